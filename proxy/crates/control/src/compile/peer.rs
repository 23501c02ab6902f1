//! `PeerAuthentication` as policies that deny plain text.
//!
//! Nothing else is asked of L4: tunnels prove who their peer is. A workload of which every port is
//! strict is given one policy that is the same for all; one with exceptions by port is given the
//! policy that its own `PeerAuthentication` becomes, with what is wider taken in.
use super::mesh::MeshConfig;
use crate::{
    object::{
        meta::Meta,
        peer_authentication::{Mode, PeerAuthentication},
    },
    problem::Problem,
};
use culvert_model::{
    authz::{
        Action, Authorization, Clause, Match, Rule, Scope,
        set::{Condition, StringMatch},
    },
    name::ObjectName,
};
use std::{num::NonZeroU16, sync::Arc};

/// No name that Kubernetes would take, so that nobody's policy is called so.
const STATIC: &str = "istio_converted_static_strict";

const CONVERTED: &str = "converted_peer_authentication_";

/// What a `PeerAuthentication` means for the workloads it chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Plain text is taken on every port.
    Nothing,
    /// On none.
    Everywhere,
    /// On some.
    Own(Authorization),
}

/// The policy of workloads of which every port is strict.
pub(super) fn everywhere(config: &MeshConfig) -> Authorization {
    Authorization {
        name: static_name(config),
        scope: Scope::Selector,
        action: Action::Deny,
        dry_run: false,
        rules: [Rule { clauses: [clause(plain_text())].into() }].into(),
        origin: None,
    }
}

pub(super) fn static_name(config: &MeshConfig) -> ObjectName {
    ObjectName::new(Arc::clone(&config.root_namespace), STATIC)
}

/// Whether this is the policy of workloads of which every port is strict.
pub(super) fn is_static(name: &ObjectName) -> bool {
    *name.name == *STATIC
}

/// The mode in force for what no selector chooses: the oldest of `policies` that says one.
pub(super) fn wide<'a>(policies: impl IntoIterator<Item = &'a PeerAuthentication>) -> Option<Mode> {
    let wide = policies.into_iter().filter(|policy| policy.selector.is_empty());
    let oldest = wide.min_by(|a, b| a.meta.seniority().cmp(&b.meta.seniority()));
    oldest.map(|policy| policy.mode)
}

/// What `policy` means where `wider` is in force.
pub(super) fn demand(policy: &PeerAuthentication, wider: Mode) -> Demand {
    let mode = policy.mode.or(wider);
    let ports = |strict: bool| {
        let said = policy.ports.iter().filter(|(_, mode)| **mode != Mode::Unset);
        said.filter(move |(_, mode)| mode.is_strict() == strict).map(|(port, _)| *port)
    };
    let rules: Vec<Rule> = if mode.is_strict() {
        let mut exceptions: Vec<Clause> = ports(false).map(|port| clause(not_on(port))).collect();
        if exceptions.is_empty() {
            return Demand::Everywhere;
        }
        // Istio writes what the policy says itself first, and what it takes in last.
        let at = if policy.mode.is_strict() { 0 } else { exceptions.len() };
        exceptions.insert(at, clause(plain_text()));
        vec![Rule { clauses: exceptions.into() }]
    } else {
        let on = |port| Rule { clauses: [clause(plain_text_on(port))].into() };
        ports(true).map(on).collect()
    };
    if rules.is_empty() {
        return Demand::Nothing;
    }
    let Meta { name, origin, .. } = &policy.meta;
    Demand::Own(Authorization {
        name: ObjectName::new(Arc::clone(&name.namespace), format!("{CONVERTED}{}", name.name)),
        scope: Scope::Selector,
        action: Action::Deny,
        dry_run: false,
        rules: rules.into(),
        origin: Some(origin.to_string().into()),
    })
}

/// What a person has to know of a policy, of which `others` are in its namespace.
pub(super) fn notes<'a>(
    policy: &PeerAuthentication,
    others: impl IntoIterator<Item = &'a PeerAuthentication>,
    root: &str,
) -> Vec<Problem> {
    let named = policy.meta.named();
    if *policy.meta.name.namespace == *root && !policy.selector.is_empty() {
        let message = format!("in {root}, a policy with a selector chooses nothing");
        return vec![named.warning(message).with_fix("write it in the workloads' namespace")];
    }
    let same = others.into_iter().filter(|other| other.selector == policy.selector);
    let oldest = same.min_by(|a, b| a.meta.seniority().cmp(&b.meta.seniority()));
    let oldest = oldest.filter(|oldest| oldest.meta.name != policy.meta.name);
    let used = oldest.map(|oldest| {
        let message =
            format!("{} says the same for the same: this one is not used", oldest.meta.name);
        named.warning(message)
    });
    used.into_iter().collect()
}

fn clause(one: Match) -> Clause {
    Clause { matches: [one].into() }
}

/// Nobody has proven anything.
fn plain_text() -> Match {
    let is_not = [StringMatch::Presence].into_iter().collect();
    Match { principals: Condition { is_not, ..Condition::default() }, ..Match::default() }
}

fn plain_text_on(port: NonZeroU16) -> Match {
    let is = [port.get()].into_iter().collect();
    Match { destination_ports: Condition { is, ..Condition::default() }, ..plain_text() }
}

fn not_on(port: NonZeroU16) -> Match {
    let is_not = [port.get()].into_iter().collect();
    let destination_ports = Condition { is_not, ..Condition::default() };
    Match { destination_ports, ..Match::default() }
}
