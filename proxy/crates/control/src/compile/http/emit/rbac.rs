//! Policies as filters: who may do what.
//!
//! Each rule becomes one of Envoy's policies. What L7 cannot answer, or not on this connection,
//! never holds in an ALLOW and always does in a DENY: the filters permit nothing that any policy
//! would refuse.
use super::{
    super::plan::policy::{Clause, Policy, PolicyAction, PolicyCondition, PolicyRule},
    manager::{filter, http_filter},
    names,
};
use culvert_proto::api::envoy::{
    config::{
        listener::v3::Filter,
        rbac::v3::{Permission, Policy as PolicyPb, Principal, Rbac as RbacPb, rbac::Action},
    },
    extensions::filters::{
        http::rbac::v3::Rbac as HttpRbac,
        network::{http_connection_manager::v3::HttpFilter, rbac::v3::Rbac as NetworkRbac},
    },
};
use std::collections::BTreeMap;
use term::{all_of, any_of};
use words::{Means, Said};

mod words;

mod term;

/// What a connection is to those who look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sees {
    Requests,
    /// Nothing but addresses and identities.
    Bytes,
}

/// Rules of a rule may be of both kinds; more than so many at once is nobody's wish.
const MOST_POLICIES: usize = 1024;

/// Whether a rule is asked, or only what it would say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Earnestly,
    ForTheRecord,
}

/// One kind of policies, in both ways.
#[derive(Default)]
struct Pair {
    rules: Option<RbacPb>,
    shadow: Option<RbacPb>,
}

/// The filters of requests that `policies` are.
pub(super) fn http(policies: &[&Policy]) -> Vec<HttpFilter> {
    let filter = |(name, pair): (&str, Pair)| {
        let config = HttpRbac {
            rules: pair.rules,
            shadow_rules: pair.shadow,
            shadow_rules_stat_prefix: "istio_dry_run_".to_owned() + name + "_",
            ..HttpRbac::default()
        };
        http_filter(&format!("envoy.filters.http.rbac.{name}"), &config)
    };
    pairs(policies, Sees::Requests).into_iter().map(filter).collect()
}

/// The filters of connections that they are.
pub(super) fn network(policies: &[&Policy], prefix: &str) -> Vec<Filter> {
    let filter = |(name, pair): (&str, Pair)| {
        let config = NetworkRbac {
            rules: pair.rules,
            shadow_rules: pair.shadow,
            shadow_rules_stat_prefix: "istio_dry_run_".to_owned() + name + "_",
            stat_prefix: format!("{prefix}.{name}."),
            ..NetworkRbac::default()
        };
        filter(&format!("envoy.filters.network.rbac.{name}"), &config)
    };
    pairs(policies, Sees::Bytes).into_iter().map(filter).collect()
}

/// What each of the rules is called, and where it was written.
pub(super) fn places<'a>(policies: &[&'a Policy]) -> Vec<(String, &'a str)> {
    let of = |policy: &&'a Policy| {
        let name = policy.name.clone();
        policy.rules.iter().enumerate().map(move |(index, rule)| {
            (names::rule(&name.namespace, &name.name, index), &*rule.at.place)
        })
    };
    policies.iter().flat_map(of).collect()
}

fn pairs(policies: &[&Policy], sees: Sees) -> Vec<(&'static str, Pair)> {
    let kinds = [
        ("audit", PolicyAction::Audit, Action::Log),
        ("deny", PolicyAction::Deny, Action::Deny),
        ("allow", PolicyAction::Allow, Action::Allow),
    ];
    let pair = |(name, kind, action)| {
        let asked = |how: Asked| {
            let is_asked = |policy: &&&Policy| {
                policy.action == kind && policy.dry_run == (how == Asked::ForTheRecord)
            };
            let mut of_kind = policies.iter().filter(is_asked).peekable();
            of_kind.peek()?;
            let mut all = BTreeMap::new();
            for (mut name, policy) in of_kind.flat_map(|policy| self::policies(policy, sees)) {
                // Of two objects that are called the same, both count.
                while all.contains_key(&name) {
                    name.push('+');
                }
                all.insert(name, policy);
            }
            let policies = all.into_iter().collect();
            Some(RbacPb { action: Action::into(action), policies, ..RbacPb::default() })
        };
        let pair = Pair { rules: asked(Asked::Earnestly), shadow: asked(Asked::ForTheRecord) };
        (pair.rules.is_some() || pair.shadow.is_some()).then_some((name, pair))
    };
    kinds.into_iter().filter_map(pair).collect()
}

fn policies(policy: &Policy, sees: Sees) -> Vec<(String, PolicyPb)> {
    let open = policy.action != PolicyAction::Allow;
    let mut all = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        let name = names::rule(&policy.name.namespace, &policy.name.name, index);
        let parts = self::rule(rule, open, sees, &policy.name.namespace);
        for (part, policy) in parts.into_iter().enumerate() {
            let name = if part == 0 { name.clone() } else { format!("{name}-{part}") };
            all.push((name, policy));
        }
    }
    all
}

/// What is done, and by whom: all of it.
#[derive(Clone, Default)]
struct Both {
    permissions: Vec<Permission>,
    principals: Vec<Principal>,
}

/// One rule; `open`: what cannot be answered holds.
fn rule(rule: &PolicyRule, open: bool, sees: Sees, namespace: &str) -> Vec<PolicyPb> {
    let mut all = vec![Both::default()];
    for clause in &rule.clauses {
        let Some(alternatives) = alternatives(clause, open, sees, namespace) else {
            return Vec::new();
        };
        all = match joined(&alternatives) {
            Some(one) => all.into_iter().map(|both| both.and(&one)).collect(),
            // Both kinds at once: each alternative is a policy of its own.
            None => {
                let each = |both: Both| {
                    alternatives.iter().map(|one| both.clone().and(one)).collect::<Vec<_>>()
                };
                all.into_iter().flat_map(each).collect()
            }
        };
        if all.len() > MOST_POLICIES {
            // Nobody writes that; whatever it is, it closes.
            return if open { vec![Both::default().policy()] } else { Vec::new() };
        }
    }
    all.into_iter().map(Both::policy).collect()
}

/// `None`: none of them can hold.
fn alternatives(clause: &Clause, open: bool, sees: Sees, namespace: &str) -> Option<Vec<Both>> {
    let one = |all: &Vec<PolicyCondition>| {
        let mut both = Both::default();
        for condition in all {
            match words::condition(condition, sees, namespace) {
                Said::Always => {}
                Said::Never => return None,
                Said::Unknown if open => {}
                Said::Unknown => return None,
                Said::If(Means::Permission(permission)) => both.permissions.push(permission),
                Said::If(Means::Principal(principal)) => both.principals.push(principal),
            }
        }
        Some(both)
    };
    let found: Vec<Both> = clause.iter().filter_map(one).collect();
    (!found.is_empty()).then_some(found)
}

/// Alternatives of one kind as one condition; `None`: they are of both kinds.
fn joined(alternatives: &[Both]) -> Option<Both> {
    if alternatives.iter().any(|one| one.permissions.is_empty() && one.principals.is_empty()) {
        return Some(Both::default());
    }
    if let [only] = alternatives {
        return Some(only.clone());
    }
    if alternatives.iter().all(|one| one.principals.is_empty()) {
        let rules = alternatives.iter().map(|one| all_of(one.permissions.clone())).collect();
        return Some(Both { permissions: vec![any_of(rules)], principals: Vec::new() });
    }
    if alternatives.iter().all(|one| one.permissions.is_empty()) {
        let ids = alternatives.iter().map(|one| all_of(one.principals.clone())).collect();
        return Some(Both { permissions: Vec::new(), principals: vec![any_of(ids)] });
    }
    None
}

impl Both {
    fn and(mut self, other: &Self) -> Self {
        self.permissions.extend(other.permissions.iter().cloned());
        self.principals.extend(other.principals.iter().cloned());
        self
    }

    fn policy(self) -> PolicyPb {
        PolicyPb {
            permissions: vec![all_of(self.permissions)],
            principals: vec![all_of(self.principals)],
            ..PolicyPb::default()
        }
    }
}
