//! What each field of an `AuthorizationPolicy` asks for, by requests that it is for and others.
use super::{Ask, Meant, SERVED};
use crate::compile::http::emit::tests::{SHOP, labelled};
use culvert_model::http::listener::Direction;
use culvert_policy::{http::why::Engine, why::Answer};

const TELLER: &str = "spiffe://cluster.local/ns/bank/sa/teller";
const STRANGER: &str = "spiffe://other.example/ns/shop/sa/web";

pub(super) fn policy(name: &str, annotation: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, \
         metadata: {{name: {name}, namespace: shop{annotation}}}, spec: {{{spec}}}}}\n"
    )
}

const DRY_RUN: &str = ", annotations: {istio.io/dry-run: 'true'}";

pub(super) fn permits(engine: &Engine, ask: &Ask<'_>) -> bool {
    ask.side(engine).answer() == Answer::Permitted
}

/// A rule, requests that it is for, and others.
type Case = (&'static str, &'static [Ask<'static>], &'static [Ask<'static>]);

const fn who(who: &'static str) -> Ask<'static> {
    Ask { who: Some(who), ..SERVED }
}

const NOBODY: Ask<'static> = Ask { who: None, ..SERVED };
const BANK: Ask<'static> = who(TELLER);
const OTHER: Ask<'static> = who(STRANGER);
const POST: Ask<'static> = Ask { method: "POST", ..SERVED };
const FAR: Ask<'static> = Ask { from: "192.0.2.7:40000", ..SERVED };
const BEHIND: Ask<'static> = Ask { headers: &["x-forwarded-for: 203.0.113.7"], ..SERVED };
const NAMED: Ask<'static> = Ask { sni: Some("a.example"), ..SERVED };

const fn path(path: &'static str) -> Ask<'static> {
    Ask { path, ..SERVED }
}

const fn host(host: &'static str) -> Ask<'static> {
    Ask { host, ..SERVED }
}

const fn user(headers: &'static [&'static str]) -> Ask<'static> {
    Ask { headers, ..SERVED }
}

const CASES: &[Case] = &[
    ("{}", &[SERVED, NOBODY, POST], &[]),
    // Who asks.
    (
        "{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}",
        &[SERVED],
        &[BANK, OTHER, NOBODY],
    ),
    (
        "{from: [{source: {principals: ['cluster.local/ns/shop/*']}}]}",
        &[SERVED],
        &[BANK, OTHER, NOBODY],
    ),
    ("{from: [{source: {principals: ['*/sa/web']}}]}", &[SERVED, OTHER], &[BANK, NOBODY]),
    ("{from: [{source: {principals: ['*']}}]}", &[SERVED, BANK, OTHER], &[NOBODY]),
    (
        "{from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/web]}}]}",
        &[BANK, OTHER, NOBODY],
        &[SERVED],
    ),
    ("{from: [{source: {namespaces: [bank]}}]}", &[BANK], &[SERVED, NOBODY]),
    ("{from: [{source: {namespaces: ['ba*', x]}}]}", &[BANK], &[SERVED, NOBODY]),
    ("{from: [{source: {notNamespaces: [bank]}}]}", &[SERVED, NOBODY], &[BANK]),
    ("{from: [{source: {serviceAccounts: [bank/teller]}}]}", &[BANK], &[SERVED, NOBODY]),
    ("{from: [{source: {serviceAccounts: [web]}}]}", &[SERVED], &[BANK, NOBODY]),
    ("{from: [{source: {notServiceAccounts: [web]}}]}", &[BANK, NOBODY], &[SERVED]),
    ("{from: [{source: {trustDomains: [other.example]}}]}", &[OTHER], &[SERVED, NOBODY]),
    ("{from: [{source: {trustDomains: ['*.example']}}]}", &[OTHER], &[SERVED, NOBODY]),
    ("{from: [{source: {notTrustDomains: [other.example]}}]}", &[SERVED, NOBODY], &[OTHER]),
    ("{from: [{source: {ipBlocks: [10.1.0.0/24]}}]}", &[SERVED, BEHIND], &[FAR]),
    ("{from: [{source: {ipBlocks: [192.0.2.7]}}]}", &[FAR], &[SERVED]),
    ("{from: [{source: {notIpBlocks: [192.0.2.0/24]}}]}", &[SERVED], &[FAR]),
    ("{from: [{source: {remoteIpBlocks: [203.0.113.0/24]}}]}", &[BEHIND], &[SERVED, FAR]),
    ("{from: [{source: {notRemoteIpBlocks: [203.0.113.0/24]}}]}", &[SERVED, FAR], &[BEHIND]),
    // All of a source, any of several.
    ("{from: [{source: {namespaces: [shop], notPrincipals: ['*/sa/web']}}]}", &[], &[SERVED, BANK]),
    (
        "{from: [{source: {namespaces: [bank]}}, {source: {ipBlocks: [192.0.2.0/24]}}]}",
        &[BANK, FAR],
        &[SERVED],
    ),
    // What is asked for.
    ("{to: [{operation: {methods: [POST, PUT]}}]}", &[POST], &[SERVED]),
    ("{to: [{operation: {notMethods: [POST]}}]}", &[SERVED], &[POST]),
    (
        "{to: [{operation: {paths: [/a]}}]}",
        &[path("/a"), path("/a?b=c"), path("/x/../a")],
        &[path("/a/b"), path("/A")],
    ),
    ("{to: [{operation: {paths: ['/a*']}}]}", &[path("/a"), path("/ab")], &[path("/b/a")]),
    (
        "{to: [{operation: {paths: ['*.html']}}]}",
        &[path("/a.html"), path("/b.html?x")],
        &[path("/a.htm")],
    ),
    (
        "{to: [{operation: {paths: ['/v/{*}/x']}}]}",
        &[path("/v/1/x")],
        &[path("/v/1/2/x"), path("/v//x")],
    ),
    ("{to: [{operation: {paths: ['/v/{**}']}}]}", &[path("/v/1/2"), path("/v/1")], &[path("/w/1")]),
    ("{to: [{operation: {notPaths: ['/a*']}}]}", &[path("/b")], &[path("/a"), path("/ab")]),
    (
        "{to: [{operation: {hosts: [a.example]}}]}",
        &[host("a.example"), host("A.Example")],
        &[host("b.example")],
    ),
    (
        "{to: [{operation: {hosts: ['*.example', 'a.test:*']}}]}",
        &[host("b.example"), host("a.test:80")],
        &[host("a.test")],
    ),
    ("{to: [{operation: {notHosts: [a.example]}}]}", &[host("b.example")], &[host("A.EXAMPLE")]),
    ("{to: [{operation: {ports: ['8080'], methods: [GET]}}]}", &[SERVED], &[POST]),
    ("{to: [{operation: {ports: ['9080']}}]}", &[], &[SERVED]),
    ("{to: [{operation: {notPorts: ['8080']}}]}", &[], &[SERVED]),
    ("{to: [{operation: {notPorts: ['9080']}}]}", &[SERVED], &[]),
    // Conditions, by every key.
    (
        "{when: [{key: 'request.headers[X-User]', values: [tester, 'ad*']}]}",
        &[user(&["x-user: tester"]), user(&["x-user: admin"])],
        &[user(&["x-user: Tester"]), SERVED],
    ),
    (
        "{when: [{key: 'request.headers[x-user]', values: ['*']}]}",
        &[user(&["x-user: anybody"])],
        &[SERVED],
    ),
    (
        "{when: [{key: 'request.headers[x-user]', notValues: [tester]}]}",
        &[SERVED, user(&["x-user: x"])],
        &[user(&["x-user: tester"])],
    ),
    ("{when: [{key: source.ip, values: [192.0.2.0/24]}]}", &[FAR], &[SERVED, BEHIND]),
    ("{when: [{key: source.ip, notValues: [192.0.2.7]}]}", &[SERVED], &[FAR]),
    ("{when: [{key: remote.ip, values: [203.0.113.7, 192.0.2.0/24]}]}", &[BEHIND, FAR], &[SERVED]),
    ("{when: [{key: source.namespace, values: [bank]}]}", &[BANK], &[SERVED, NOBODY]),
    ("{when: [{key: source.principal, values: ['*/sa/teller']}]}", &[BANK], &[SERVED, NOBODY]),
    ("{when: [{key: source.principal, notValues: ['*/sa/teller']}]}", &[SERVED, NOBODY], &[BANK]),
    ("{when: [{key: source.serviceAccount, values: [bank/teller]}]}", &[BANK], &[SERVED, NOBODY]),
    ("{when: [{key: source.trustDomain, values: [other.example]}]}", &[OTHER], &[SERVED, NOBODY]),
    ("{when: [{key: destination.ip, values: [10.1.0.0/24]}]}", &[SERVED], &[]),
    ("{when: [{key: destination.ip, notValues: [10.1.0.1]}]}", &[], &[SERVED]),
    ("{when: [{key: destination.port, values: ['8080']}]}", &[SERVED], &[]),
    ("{when: [{key: destination.port, values: ['80']}]}", &[], &[SERVED]),
    ("{when: [{key: connection.sni, values: ['*.example']}]}", &[NAMED], &[SERVED]),
    // All conditions, and all three parts.
    (
        "{when: [{key: source.namespace, values: [shop]}, {key: source.ip, notValues: [192.0.2.7]}]}",
        &[SERVED],
        &[FAR, BANK],
    ),
    (
        "{from: [{source: {namespaces: [shop]}}], to: [{operation: {methods: [GET]}}], when: [{key: 'request.headers[x-user]', values: [tester]}]}",
        &[user(&["x-user: tester"])],
        &[SERVED, POST, BANK],
    ),
];

#[test]
fn every_field_is_for_what_it_says() {
    let shop = labelled(SHOP);
    for (rule, held, others) in CASES {
        for action in ["ALLOW", "DENY"] {
            let text = policy("p", "", &format!("action: {action}, rules: [{rule}]"));
            let engine = Meant::of(&format!("{shop}{text}")).engine("shop");
            let held = held.iter().map(|ask| (ask, true));
            for (ask, holds) in held.chain(others.iter().map(|ask| (ask, false))) {
                let permitted = permits(&engine, ask);
                assert_eq!(permitted, holds == (action == "ALLOW"), "{action} {rule}: {ask:?}");
            }
        }
    }
}

/// What is only noted refuses nobody, and lets nobody pass whom another refuses.
#[test]
fn what_is_only_noted_decides_nothing() {
    let shop = labelled(SHOP);
    let none = policy("none", "", "action: ALLOW, rules: [{to: [{operation: {methods: [PUT]}}]}]");
    for (rule, held, others) in CASES {
        let noted = [
            policy("p", "", &format!("action: AUDIT, rules: [{rule}]")),
            policy("p", DRY_RUN, &format!("action: DENY, rules: [{rule}]")),
            policy("p", DRY_RUN, &format!("action: ALLOW, rules: [{rule}]")),
        ];
        for text in noted {
            let alone = Meant::of(&format!("{shop}{text}")).engine("shop");
            let beside = Meant::of(&format!("{shop}{text}{none}")).engine("shop");
            for ask in held.iter().chain(*others) {
                assert!(permits(&alone, ask), "{text}: {ask:?}");
                assert!(!permits(&beside, ask), "{text}: {ask:?}");
            }
        }
    }
}

/// A policy without rules matches nothing: an ALLOW of that kind closes, a DENY does nothing.
#[test]
fn without_rules_nothing_matches() {
    let with = |spec: &str| {
        Meant::of(&format!("{}{}", labelled(SHOP), policy("p", "", spec))).engine("shop")
    };
    assert!(!permits(&with(""), &SERVED));
    assert!(permits(&with("action: DENY"), &SERVED));
}

/// What nobody answers yet allows nothing, and denies whatever else of the rule holds.
#[test]
fn what_cannot_be_answered_closes() {
    for unmet in [
        "{from: [{source: {requestPrincipals: ['*']}}]}",
        "{from: [{source: {notRequestPrincipals: ['*']}}]}",
        "{when: [{key: 'request.auth.claims[iss]', values: [a]}]}",
        "{when: [{key: request.auth.audiences, notValues: [a]}]}",
        "{when: [{key: request.auth.presenter, values: [a]}]}",
        "{when: [{key: request.auth.principal, values: [a]}]}",
    ] {
        for action in ["ALLOW", "DENY"] {
            let text = policy("p", "", &format!("action: {action}, rules: [{unmet}]"));
            let meant = Meant::of(&format!("{SHOP}{text}"));
            assert!(!permits(&meant.engine("shop"), &SERVED), "{text}");
            assert_eq!(meant.notes().len(), 1, "{text}");
        }
    }
    let rule =
        "{from: [{source: {requestPrincipals: ['*']}}], to: [{operation: {methods: [POST]}}]}";
    let text = policy("p", "", &format!("action: DENY, rules: [{rule}]"));
    let engine = Meant::of(&format!("{SHOP}{text}")).engine("shop");
    assert!(permits(&engine, &SERVED) && !permits(&engine, &POST));
}

#[test]
fn a_policy_is_for_the_pods_it_selects() {
    let shop = labelled(SHOP);
    let denies = |selector: &str| {
        let text = policy("p", "", &format!("{selector}, action: DENY, rules: [{{}}]"));
        !permits(&Meant::of(&format!("{shop}{text}")).engine("shop"), &SERVED)
    };
    assert!(denies("selector: {matchLabels: {app: reviews}}"));
    assert!(denies("selector: {matchLabels: {app: reviews, version: v1}}"));
    assert!(!denies("selector: {matchLabels: {version: v2}}"));
}

#[test]
fn a_policy_is_for_the_services_it_names() {
    let entry = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: inner, namespace: shop}
spec:
  hosts: [inner.example]
  addresses: [240.0.0.9]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: {labels: {version: v1}}
  ports: [{number: 7000, targetPort: 7070, name: http, protocol: HTTP}]
";
    let shop = format!("{}{entry}", labelled(SHOP));
    let entry = Ask { to: "10.1.0.1:7070", ..SERVED };
    let denied = |target: &str| {
        let text = policy("p", "", &format!("targetRefs: [{target}], action: DENY, rules: [{{}}]"));
        let engine = Meant::of(&format!("{shop}{text}")).engine("shop");
        (!permits(&engine, &SERVED), !permits(&engine, &entry))
    };
    assert_eq!(denied("{group: '', kind: Service, name: reviews}"), (true, false));
    assert_eq!(denied("{group: '', kind: Service, name: ratings}"), (false, false));
    assert_eq!(
        denied("{group: networking.istio.io, kind: ServiceEntry, name: inner}"),
        (false, true)
    );
}

#[test]
fn a_policy_is_for_the_gateway_it_names() {
    let gateway = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: culvert, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: reviews, port: 9080}]}]}
";
    let target = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]";
    let rule = "rules: [{from: [{source: {remoteIpBlocks: [10.1.0.0/24]}}], to: [{operation: {paths: ['/a*']}}]}]";
    let text = policy("p", "", &format!("{target}, action: DENY, {rule}"));
    let meant = Meant::of(&format!("{SHOP}{gateway}{text}"));
    let engine = meant.gateway("shop", "edge");
    let ask = Ask { direction: Direction::Unspecified, to: "10.1.0.9:80", who: None, ..SERVED };
    assert_eq!(ask.said(&engine), "reviews:9080");
    assert_eq!(Ask { path: "/a", ..ask }.said(&engine), "403");
    assert_eq!(Ask { path: "/a", from: "192.0.2.7:1", ..ask }.said(&engine), "reviews:9080");
    // It is the gateway's alone.
    assert!(permits(
        &Meant::of(&format!("{}{gateway}{text}", labelled(SHOP))).engine("shop"),
        &Ask { path: "/a", ..SERVED }
    ));
}
