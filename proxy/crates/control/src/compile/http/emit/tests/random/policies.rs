//! Policies at random.
use super::{at, labels, service, text};
use crate::compile::http::plan::policy::{
    Applies, Attribute, Policy, PolicyAction, PolicyCondition, PolicyRule,
};
use culvert_model::name::ObjectName;
use proptest::{collection::vec, prelude::*, sample::select};

fn condition() -> impl Strategy<Value = PolicyCondition> {
    let attribute = (text(), 0..13).prop_map(|(name, kind)| match kind {
        0 => Attribute::Principal,
        1 => Attribute::Namespace,
        2 => Attribute::ServiceAccount,
        3 => Attribute::SourceIp,
        4 => Attribute::RemoteIp,
        5 => Attribute::DestinationIp,
        6 => Attribute::DestinationPort,
        7 => Attribute::Sni,
        8 => Attribute::Host,
        9 => Attribute::Method,
        10 => Attribute::Path,
        11 => Attribute::Header(name),
        _ => Attribute::Unmet(name),
    });
    (attribute, vec(text(), 0..3), vec(text(), 0..2))
        .prop_map(|(attribute, is, is_not)| PolicyCondition { attribute, is, is_not })
}

/// A policy for pods of the shop.
pub(in super::super) fn policy() -> impl Strategy<Value = Policy> {
    let clause = vec(vec(condition(), 0..3), 0..3);
    let rule = (at(), vec(clause, 0..3)).prop_map(|(at, clauses)| PolicyRule { at, clauses });
    let action = select(&[PolicyAction::Allow, PolicyAction::Deny, PolicyAction::Audit][..]);
    let applies = prop_oneof![
        3 => labels().prop_map(Applies::Pods),
        1 => vec(service(), 0..2).prop_map(Applies::Services),
        1 => Just(Applies::Gateways(vec![ObjectName::new("shop", "gw")])),
    ];
    (at(), text(), applies, action, any::<bool>(), vec(rule, 0..3)).prop_map(
        |(at, name, applies, action, dry_run, rules)| Policy {
            at,
            name: ObjectName::new("shop", name),
            applies,
            action,
            dry_run,
            rules,
        },
    )
}
