use std::{collections::BTreeMap, sync::Arc};

use culvert_model::http::{
    matcher::{HeaderMatch, StringMatch, ValueRange},
    rbac::{Action, Engine, Permission, Policies, Policy, Principal, Verdict},
    runtime::RuntimeValues,
    tree::{Branch, Input, Node, Predicate, Tree},
    value::Metadata,
};
use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::{decide, explain};
use crate::http::{
    facts::{Asking, Certificate, Connection, FilterState, Head, Tls},
    tree::Seen,
};

fn connection() -> Connection {
    let peer = Certificate {
        uris: ["spiffe://td/ns/a/sa/b".into()].into(),
        subject: "CN=x".into(),
        ..Certificate::default()
    };
    Connection {
        remote: Some("203.0.113.7:1".parse().unwrap()),
        source: Some("10.0.0.1:1".parse().unwrap()),
        direct_remote: Some("10.0.0.2:1".parse().unwrap()),
        local: Some("10.1.0.1:8080".parse().unwrap()),
        server_name: "sni.example".into(),
        tls: Some(Arc::new(Tls { peer: Some(Arc::new(peer)), ..Tls::default() })),
        ..Connection::default()
    }
}

fn allowed(engine: &Engine, headers: &HeaderMap, connection: &Connection) -> bool {
    let (metadata, state, runtime) =
        (Metadata::default(), FilterState::default(), RuntimeValues::default());
    let asking = Asking {
        head: Head {
            method: &Method::GET,
            path: "/a/b?c",
            authority: "h",
            scheme: "http",
            protocol: None,
            headers,
        },
        connection,
        metadata: &metadata,
        state: &state,
        runtime: &runtime,
        dice: 0,
    };
    let seen = Seen { connection, state: &state, asking: Some(&asking), answer: None };
    decide(engine, &seen).allowed
}

fn engine(action: Action, permission: Permission, principal: Principal) -> Engine {
    let policy = Policy { permissions: [permission].into(), principals: [principal].into() };
    Engine::Policies(Policies { action, policies: BTreeMap::from([("p".into(), policy)]) })
}

fn permits(permission: Permission) -> bool {
    let engine = engine(Action::Allow, permission, Principal::Any);
    allowed(&engine, &HeaderMap::new(), &connection())
}

fn is(principal: Principal) -> bool {
    let engine = engine(Action::Allow, Permission::Any, principal);
    allowed(&engine, &HeaderMap::new(), &connection())
}

#[test]
fn every_permission_looks_at_its_own() {
    assert!(permits(Permission::UrlPath(StringMatch::exact("/a/b"))));
    assert!(!permits(Permission::UrlPath(StringMatch::exact("/a/b?c"))));
    assert!(permits(Permission::DestinationIp("10.1.0.0/16".parse().unwrap())));
    assert!(permits(Permission::DestinationPort(8080)));
    assert!(permits(Permission::DestinationPorts(ValueRange { start: 8080, end: 8081 })));
    assert!(!permits(Permission::DestinationPorts(ValueRange { start: 8000, end: 8080 })));
    assert!(permits(Permission::ServerName(StringMatch::exact("sni.example"))));
    assert!(!permits(Permission::Not(Permission::Any.into())));
    assert!(permits(Permission::And(Box::default())));
    assert!(!permits(Permission::Or(Box::default())));
    let input = Predicate::Single(Input::ServerName, StringMatch::prefix("sni"));
    assert!(permits(Permission::Matcher(input)));
    let method = HeaderMatch::value(":method".parse().unwrap(), StringMatch::exact("GET"));
    assert!(permits(Permission::Header(method)));
}

#[test]
fn every_principal_looks_at_its_own() {
    let name = |text: &str| Principal::Authenticated(Some(StringMatch::exact(text)));
    assert!(is(name("spiffe://td/ns/a/sa/b")));
    assert!(is(name("CN=x")));
    assert!(!is(name("spiffe://td/ns/a/sa/c")));
    assert!(is(Principal::Authenticated(None)));
    assert!(is(Principal::RemoteIp("203.0.113.0/24".parse().unwrap())));
    assert!(is(Principal::SourceIp("10.0.0.1/32".parse().unwrap())));
    assert!(is(Principal::DirectRemoteIp("10.0.0.2/32".parse().unwrap())));
    assert!(!is(Principal::SourceIp("203.0.113.0/24".parse().unwrap())));
    assert!(!is(Principal::FilterState("k".into(), StringMatch::prefix(""))));
    let plain = Connection { tls: None, ..connection() };
    let any = engine(Action::Allow, Permission::Any, Principal::Authenticated(None));
    assert!(!allowed(&any, &HeaderMap::new(), &plain));
}

#[test]
fn a_header_that_comes_twice_slips_past_nothing() {
    let mut headers = HeaderMap::new();
    headers.append("x-role", "admin".parse().unwrap());
    headers.append("x-role", "other".parse().unwrap());
    let wanted = HeaderMatch::value("x-role".parse().unwrap(), StringMatch::exact("admin"));
    let deny = engine(Action::Deny, Permission::Header(wanted), Principal::Any);
    assert!(!allowed(&deny, &headers, &connection()));
}

#[test]
fn a_tree_denies_what_it_leads_nowhere() {
    let leaf = |action| Branch::Leaf(Verdict { name: "v".into(), action });
    let node = Node::Exact(
        Input::DestinationPort,
        BTreeMap::from([("8080".into(), leaf(Action::Allow)), ("9".into(), leaf(Action::Deny))]),
    );
    let tree = Engine::Tree(Tree { node, otherwise: None });
    let to = |port: u16| Connection { local: Some(([10, 1, 0, 1], port).into()), ..connection() };
    let none = HeaderMap::new();
    assert!(allowed(&tree, &none, &to(8080)));
    assert!(!allowed(&tree, &none, &to(9)));
    assert!(!allowed(&tree, &none, &to(10)));
}

#[test]
fn people_are_told_which_policy_and_why_not() {
    let policy = |permission, principal| Policy {
        permissions: [Permission::DestinationPort(1), permission].into(),
        principals: [principal].into(),
    };
    let none = Principal::Not(Principal::Any.into());
    let rules = Policies {
        action: Action::Allow,
        policies: BTreeMap::from([
            ("a".into(), policy(Permission::DestinationPort(2), Principal::Any)),
            ("b".into(), policy(Permission::Any, none)),
            ("c".into(), policy(Permission::Any, Principal::Any)),
            ("d".into(), policy(Permission::Any, Principal::Any)),
        ]),
    };
    let (connection, state) = (connection(), FilterState::default());
    let seen = Seen { connection: &connection, state: &state, asking: None, answer: None };
    let told: Vec<_> = explain(&rules, &seen).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "policy a: no permission is for what is done",
            "policy b: permission 1 is, and no principal is for who does it",
            "policy c: permission 1 and principal 0 match",
        ]
    );
}

fn any_permission() -> impl Strategy<Value = Permission> {
    let leaf = prop_oneof![
        Just(Permission::Any),
        Just(Permission::DestinationPort(8080)),
        Just(Permission::DestinationPort(1)),
        Just(Permission::UrlPath(StringMatch::prefix("/a"))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|all| Permission::And(all.into())),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|any| Permission::Or(any.into())),
            inner.prop_map(|one| Permission::Not(one.into())),
        ]
    })
}

proptest! {
    #[test]
    fn deny_is_the_opposite_of_allow_and_log_allows_all(permission in any_permission()) {
        let of = |action| {
            let engine = engine(action, permission.clone(), Principal::Any);
            allowed(&engine, &HeaderMap::new(), &connection())
        };
        prop_assert_ne!(of(Action::Allow), of(Action::Deny));
        prop_assert!(of(Action::Log));
        prop_assert_eq!(permits(Permission::Not(permission.clone().into())), !permits(permission));
    }
}
