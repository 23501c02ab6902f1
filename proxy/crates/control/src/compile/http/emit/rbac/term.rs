//! What conditions of policies are made of, and how several are one.
use culvert_proto::api::envoy::config::rbac::v3::{
    Permission, Principal,
    permission::{self, Rule},
    principal::{self, Identifier},
};

/// What is done ([`Permission`]), or by whom ([`Principal`]).
pub(super) trait Term: Sized {
    /// Whatever it is.
    fn always() -> Self;

    fn and(all: Vec<Self>) -> Self;

    fn or(any: Vec<Self>) -> Self;

    fn not(one: Self) -> Self;
}

/// All of them; of none, whatever it is.
pub(super) fn all_of<T: Term>(mut terms: Vec<T>) -> T {
    match terms.len() {
        0 => T::always(),
        1 => terms.remove(0),
        _ => T::and(terms),
    }
}

/// Any of them; `terms` is not empty.
pub(super) fn any_of<T: Term>(mut terms: Vec<T>) -> T {
    match terms.len() {
        1 => terms.remove(0),
        _ => T::or(terms),
    }
}

pub(super) fn permission(rule: Rule) -> Permission {
    Permission { rule: Some(rule) }
}

pub(super) fn principal(identifier: Identifier) -> Principal {
    Principal { identifier: Some(identifier) }
}

impl Term for Permission {
    fn always() -> Self {
        permission(Rule::Any(true))
    }

    fn and(rules: Vec<Self>) -> Self {
        permission(Rule::AndRules(permission::Set { rules }))
    }

    fn or(rules: Vec<Self>) -> Self {
        permission(Rule::OrRules(permission::Set { rules }))
    }

    fn not(one: Self) -> Self {
        permission(Rule::NotRule(Box::new(one)))
    }
}

impl Term for Principal {
    fn always() -> Self {
        principal(Identifier::Any(true))
    }

    fn and(ids: Vec<Self>) -> Self {
        principal(Identifier::AndIds(principal::Set { ids }))
    }

    fn or(ids: Vec<Self>) -> Self {
        principal(Identifier::OrIds(principal::Set { ids }))
    }

    fn not(one: Self) -> Self {
        principal(Identifier::NotId(Box::new(one)))
    }
}
