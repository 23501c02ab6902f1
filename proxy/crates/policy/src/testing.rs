//! Policies and facts for tests; a test mentions only what it is about.
use culvert_model::{
    authz::{
        Action, Authorization, Clause, Match, Rule, Scope,
        join::{Authz, Policies},
        set::{Account, Condition, StringMatch},
    },
    identity::Identity,
    name::ObjectName,
};
use proptest::prelude::*;
use std::{net::IpAddr, sync::Arc};

pub(crate) mod mesh;

/// Who asks for what, owned.
#[derive(Clone, Debug)]
pub(crate) struct Asks {
    pub(crate) peer: Option<Identity>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) port: u16,
}

impl Asks {
    pub(crate) fn facts(&self) -> crate::Facts<'_> {
        crate::Facts::new(self.peer.as_ref(), self.source, (self.destination, self.port).into())
    }
}

/// `ns/sa` of trust domain `td`, from 10.0.0.1 to 10.0.0.2:80; `""` is plain text.
pub(crate) fn from(who: &str) -> Asks {
    Asks {
        peer: who.split_once('/').map(|(ns, sa)| Identity::try_new("td", ns, sa).unwrap()),
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
        port: 80,
    }
}

pub(crate) fn policy(name: &str, action: Action, rules: Vec<Rule>) -> Authorization {
    Authorization {
        name: ObjectName::new("shop", name),
        scope: Scope::Namespace,
        action,
        dry_run: false,
        rules: rules.into(),
        origin: None,
    }
}

/// A rule of one clause.
pub(crate) fn rule(matches: Vec<Match>) -> Rule {
    Rule { clauses: [Clause { matches: matches.into() }].into() }
}

pub(crate) fn is<S: FromIterator<T> + Default, T>(values: Vec<T>) -> Condition<S> {
    Condition { is: values.into_iter().collect(), is_not: S::default() }
}

pub(crate) fn is_not<S: FromIterator<T> + Default, T>(values: Vec<T>) -> Condition<S> {
    Condition { is: S::default(), is_not: values.into_iter().collect() }
}

pub(crate) fn exact(s: &str) -> StringMatch {
    StringMatch::Exact(s.into())
}

pub(crate) fn namespace(ns: &str) -> Match {
    Match { namespaces: is(vec![exact(ns)]), ..Match::default() }
}

/// The policies as they apply to a workload in `shop`.
pub(crate) fn authz(policies: Vec<Authorization>) -> Arc<Authz> {
    Policies::new(policies.into_iter().map(Arc::new)).join(&"shop".into(), &[])
}

pub(crate) fn any_asks() -> impl Strategy<Value = Asks> {
    (proptest::option::of(("[ab]", "[xy]")), 0..4_u8, 0..4_u8, 79..82_u16).prop_map(
        |(peer, source, destination, port)| Asks {
            peer: peer.map(|(ns, sa)| Identity::try_new("td", &ns, &sa).unwrap()),
            source: [10, 0, 0, source].into(),
            destination: [10, 0, 1, destination].into(),
            port,
        },
    )
}

/// Policies of small worlds, so that they often match.
pub(crate) fn any_policies() -> impl Strategy<Value = Vec<Authorization>> {
    proptest::collection::vec((any_action(), any_rules(), any::<bool>()), 0..5).prop_map(|list| {
        let made = list.into_iter().enumerate().map(|(at, (action, rules, dry_run))| {
            Authorization { dry_run, ..policy(&format!("p{at}"), action, rules) }
        });
        made.collect()
    })
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Allow), Just(Action::Deny)]
}

pub(crate) fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    let clause = proptest::collection::vec(any_match(), 0..3)
        .prop_map(|matches| Clause { matches: matches.into() });
    let rule = proptest::collection::vec(clause, 0..3)
        .prop_map(|clauses| Rule { clauses: clauses.into() });
    proptest::collection::vec(rule, 0..3)
}

fn any_match() -> impl Strategy<Value = Match> {
    let namespaces = any_condition(any_string("[ab]"));
    let principals = any_condition(any_string("td/ns/[ab]/sa/[xy]"));
    let accounts = any_condition(
        ("[ab]", "[xy]")
            .prop_map(|(ns, sa)| Account { namespace: ns.into(), service_account: sa.into() }),
    );
    let source = any_condition((0..4_u8, 29..33_u8).prop_map(|(last, len)| net(0, last, len)));
    let destination = any_condition((0..4_u8, 29..33_u8).prop_map(|(last, len)| net(1, last, len)));
    let ports = any_condition(79..82_u16);
    (namespaces, principals, accounts, source, destination, ports).prop_map(
        |(namespaces, principals, service_accounts, source_ips, destination_ips, ports)| Match {
            namespaces,
            service_accounts,
            principals,
            source_ips,
            destination_ips,
            destination_ports: ports,
        },
    )
}

fn net(third: u8, last: u8, len: u8) -> ipnet::IpNet {
    ipnet::IpNet::new([10, 0, third, last].into(), len).unwrap()
}

fn any_string(exact: &'static str) -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        exact.prop_map(|s| StringMatch::Exact(s.into())),
        "[abt]".prop_map(|s| StringMatch::Prefix(s.into())),
        "[abxy]".prop_map(|s| StringMatch::Suffix(s.into())),
        Just(StringMatch::Presence),
    ]
}

/// Mostly asks for nothing, since six conditions must hold together.
fn any_condition<S, T>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Condition<S>>
where
    S: FromIterator<T> + std::fmt::Debug,
    T: std::fmt::Debug + Clone + 'static,
{
    let value = value.boxed();
    let side = || {
        prop_oneof![
            3 => Just(vec![]).boxed(),
            1 => proptest::collection::vec(value.clone(), 1..3).boxed(),
        ]
    };
    (side(), side()).prop_map(|(is, is_not)| Condition {
        is: is.into_iter().collect(),
        is_not: is_not.into_iter().collect(),
    })
}
