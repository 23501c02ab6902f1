//! What each field of a route of the Gateway API asks for.
use super::{Ask, Meant, WEB};
use crate::compile::http::emit::tests::SHOP;
use culvert_model::http::{listener::Direction, route::Action};
use culvert_policy::http::why::Engine;
use std::time::Duration;

const GATEWAY: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: culvert
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: passed, port: 443, protocol: TLS, tls: {mode: Passthrough}, hostname: '*.example'}
  - {name: bytes, port: 9000, protocol: TCP}
";

fn route(kind: &str, spec: &str) -> String {
    let version = match kind {
        "TCPRoute" => "v1alpha2",
        "TLSRoute" => "v1alpha3",
        _ => "v1",
    };
    format!(
        "---
apiVersion: gateway.networking.k8s.io/{version}
kind: {kind}
metadata: {{name: r, namespace: shop}}
spec: {{{spec}}}
"
    )
}

/// The gateway, with these rules.
fn edge(kind: &str, rules: &str) -> Engine {
    let route = route(kind, &format!("parentRefs: [{{name: edge}}], rules: [{rules}]"));
    let meant = Meant::of(&[SHOP, GATEWAY, &route].concat());
    assert_eq!(meant.notes(), [""; 0], "{rules}");
    meant.gateway("shop", "edge")
}

const EDGE: Ask<'static> =
    Ask { direction: Direction::Unspecified, to: "10.1.0.9:80", host: "a.example", ..WEB };
const TO: &str = "backendRefs: [{name: reviews, port: 9080}]";

const fn path(path: &'static str) -> Ask<'static> {
    Ask { path, ..EDGE }
}

const fn with(headers: &'static [&'static str]) -> Ask<'static> {
    Ask { headers, ..EDGE }
}

/// Rule, what is asked, what becomes of it.
const HTTP: &[(&str, Ask<'static>, &str)] = &[
    (
        "backendRefs: [{name: reviews, port: 9080, weight: 9}, {name: ratings, port: 80, weight: 1}]",
        EDGE,
        "reviews:9080 9/10, ratings:80 1/10",
    ),
    (
        "matches: [{path: {value: /a}}], backendRefs: [{name: reviews, port: 9080}]",
        path("/a/b"),
        "reviews:9080",
    ),
    (
        "matches: [{path: {value: /a}}], backendRefs: [{name: reviews, port: 9080}]",
        path("/ab"),
        "404",
    ),
    (
        "matches: [{path: {type: RegularExpression, value: '/[0-9]+'}}], backendRefs: [{name: reviews, port: 9080}]",
        path("/12"),
        "reviews:9080",
    ),
    (
        "matches: [{queryParams: [{type: RegularExpression, name: v, value: '[0-9]+'}]}], backendRefs: [{name: reviews, port: 9080}]",
        path("/?v=12"),
        "reviews:9080",
    ),
    (
        "matches: [{queryParams: [{type: RegularExpression, name: v, value: '[0-9]+'}]}], backendRefs: [{name: reviews, port: 9080}]",
        path("/?v=a"),
        "404",
    ),
    (
        "matches: [{headers: [{type: RegularExpression, name: X-User, value: 't.*r'}]}], backendRefs: [{name: reviews, port: 9080}]",
        with(&["x-user: tester"]),
        "reviews:9080",
    ),
    (
        "matches: [{headers: [{name: x-user, value: tester}], method: GET}], backendRefs: [{name: reviews, port: 9080}]",
        EDGE,
        "404",
    ),
    (
        "filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: b.example, port: 8443, statusCode: 302}}]",
        path("/a?b"),
        "302 https://b.example:8443/a?b",
    ),
    (
        "matches: [{path: {value: /a}}], filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]",
        path("/a/x"),
        "302 http://a.example/b/x",
    ),
    (
        "filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /b}, statusCode: 301}}]",
        path("/a/x"),
        "301 http://a.example/b",
    ),
    (
        "filters: [{type: URLRewrite, urlRewrite: {hostname: inner.example}}], backendRefs: [{name: reviews, port: 9080}]",
        EDGE,
        "reviews:9080 of inner.example",
    ),
    (
        "matches: [{path: {value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}], backendRefs: [{name: reviews, port: 9080}]",
        path("/a/x?y"),
        "reviews:9080 as /b/x?y",
    ),
    (
        "matches: [{path: {value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], backendRefs: [{name: reviews, port: 9080}]",
        path("/a/x"),
        "reviews:9080 as /x",
    ),
    (
        "matches: [{path: {value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], backendRefs: [{name: reviews, port: 9080}]",
        path("/a"),
        "reviews:9080 as /",
    ),
    (
        "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /all}}}], backendRefs: [{name: reviews, port: 9080}]",
        path("/a/x?y"),
        "reviews:9080 as /all?y",
    ),
];

#[test]
fn every_match_and_filter_does_what_it_says() {
    for (rule, ask, wanted) in HTTP {
        assert_eq!(
            ask.said(&edge("HTTPRoute", &format!("{{{rule}}}"))),
            *wanted,
            "{rule}: {ask:?}"
        );
    }
}

#[test]
fn headers_are_set_added_and_removed() {
    let change =
        "set: [{name: x-set, value: new}], add: [{name: x-add, value: more}], remove: [x-gone]";
    let engine = edge(
        "HTTPRoute",
        &format!(
            "{{filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{{change}}}}}, \
             {{type: ResponseHeaderModifier, responseHeaderModifier: {{{change}}}}}], {TO}}}"
        ),
    );
    let side = with(&["x-set: old", "x-add: one", "x-gone: x"]).side(&engine);
    let headers = &side.sent().unwrap().shares[0].request.headers;
    let all = |name: &str| {
        headers.get_all(name).iter().map(|one| one.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((all("x-set"), all("x-gone")), (vec!["new".to_owned()], vec![]));
    assert_eq!(all("x-add"), ["one", "more"]);
    let response = format!("{:?}", side.passage().unwrap().taken().unwrap().route.response);
    assert!(["x-set", "x-add", "x-gone"].iter().all(|name| response.contains(name)), "{response}");
}

#[test]
fn copies_times_and_tries_are_as_they_are_written() {
    let engine = edge(
        "HTTPRoute",
        &format!(
            "{{filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{name: ratings, port: 80}}, percent: 25}}}}], \
             timeouts: {{request: 10s, backendRequest: 2s}}, retry: {{attempts: 3, codes: [500, 503], backoff: 100ms}}, {TO}}}"
        ),
    );
    let side = EDGE.side(&engine);
    let sent = side.sent().unwrap();
    let [(mirror, share)] = &sent.mirrors[..] else { panic!("{sent:?}") };
    assert_eq!(super::short(mirror), "ratings:80");
    assert!(format!("{share:?}").contains("25"), "{share:?}");
    let tries = sent.tries.as_ref().unwrap();
    assert_eq!(sent.timeout, Some(Duration::from_secs(10)));
    assert_eq!((tries.most, tries.each), (3, Some(Duration::from_secs(2))));
    let Action::Forward(forward) = &side.passage().unwrap().taken().unwrap().route.action else {
        panic!()
    };
    let retry = forward.retry.as_ref().unwrap();
    assert_eq!(
        (&*retry.status_codes, retry.back_off.base),
        (&[500, 503][..], Duration::from_millis(100))
    );
}

#[test]
fn browsers_are_told_of_other_sites() {
    let cors = "filters: [{type: CORS, cors: {allowOrigins: ['https://a.test', 'https://*.b.test'], allowMethods: [GET, PUT], maxAge: 60}}]";
    let engine = edge("HTTPRoute", &format!("{{{cors}, {TO}}}"));
    let asks =
        |headers: &'static [&'static str]| Ask { method: "OPTIONS", ..with(headers) }.said(&engine);
    assert_eq!(asks(&["origin: https://a.test", "access-control-request-method: PUT"]), "200");
    assert_eq!(asks(&["origin: https://x.b.test", "access-control-request-method: PUT"]), "200");
    assert_eq!(with(&["origin: https://a.test"]).said(&engine), "reviews:9080");
}

const GRPC: &[&str] = &["content-type: application/grpc"];

#[test]
fn calls_of_grpc_are_led_by_service_and_method() {
    let engine = edge(
        "GRPCRoute",
        &format!(
            "{{matches: [{{method: {{service: a.Shop, method: Buy}}}}], {TO}}}, \
             {{matches: [{{method: {{service: a.Shop}}, headers: [{{name: x-user, value: tester}}]}}], backendRefs: [{{name: ratings, port: 80}}]}}, \
             {{matches: [{{method: {{type: RegularExpression, service: 'b[.].*'}}}}], backendRefs: [{{name: ratings, port: 80}}]}}"
        ),
    );
    let call = |path: &'static str, headers: &'static [&'static str]| {
        Ask { method: "POST", path, headers, ..EDGE }.said(&engine)
    };
    assert_eq!(call("/a.Shop/Buy", GRPC), "reviews:9080");
    assert_eq!(call("/a.Shop/Sell", GRPC), "404");
    assert_eq!(
        call("/a.Shop/Sell", &["content-type: application/grpc", "x-user: tester"]),
        "ratings:80"
    );
    assert_eq!(call("/b.Bank/Any", GRPC), "ratings:80");
    assert_eq!(call("/a.Shopping/Buy", GRPC), "404");
}

#[test]
fn tls_is_passed_on_by_its_name_and_bytes_by_their_port() {
    let spec = "parentRefs: [{name: edge, sectionName: passed}], hostnames: [a.example], rules: [{backendRefs: [{name: ratings, port: 443}]}]";
    let engine =
        Meant::of(&[SHOP, GATEWAY, &route("TLSRoute", spec)].concat()).gateway("shop", "edge");
    let asked = |sni| Ask { to: "10.1.0.9:443", tls: true, sni: Some(sni), ..EDGE }.said(&engine);
    assert_eq!(asked("a.example"), "bytes to ratings:443");
    assert_eq!(asked("b.example"), "nobody");
    let spec = "parentRefs: [{name: edge, sectionName: bytes}], rules: [{backendRefs: [{name: ratings, port: 3306, weight: 3}, {name: reviews, port: 9080, weight: 1}]}]";
    let engine =
        Meant::of(&[SHOP, GATEWAY, &route("TCPRoute", spec)].concat()).gateway("shop", "edge");
    let ask = Ask { to: "10.1.0.9:9000", ..EDGE };
    assert_eq!(ask.said(&engine), "bytes to ratings:3306 3, reviews:9080 1");
}

/// In the mesh: routes whose parent is the service.
#[test]
fn routes_of_a_service_are_for_its_clients() {
    let parent = "parentRefs: [{group: '', kind: Service, name: ratings, port: 3306}]";
    let spec = format!("{parent}, rules: [{{{TO}}}]");
    let engine = Meant::of(&[SHOP, &route("TCPRoute", &spec)].concat()).engine("shop");
    assert_eq!(Ask { to: "10.96.0.2:3306", ..WEB }.said(&engine), "bytes to reviews:9080");
    let parent = "parentRefs: [{group: '', kind: Service, name: reviews}]";
    let spec = format!(
        "{parent}, rules: [{{matches: [{{method: {{service: a.Shop}}}}], backendRefs: [{{name: ratings, port: 80}}]}}]"
    );
    let engine = Meant::of(&[SHOP, &route("GRPCRoute", &spec)].concat()).engine("shop");
    let ask = Ask { method: "POST", headers: GRPC, ..WEB };
    assert_eq!(Ask { path: "/a.Shop/Buy", ..ask }.said(&engine), "ratings:80");
    assert_eq!(Ask { path: "/b.Shop/Buy", ..ask }.said(&engine), "404");
}

/// Of a service without an address each pod's is a door.
#[test]
fn routes_of_a_headless_service_are_for_its_pods_addresses() {
    let headless = SHOP.replace("  clusterIP: 10.96.0.1\n", "  clusterIP: None\n");
    assert_ne!(headless, SHOP);
    let parent = "parentRefs: [{group: '', kind: Service, name: reviews}]";
    let spec = format!(
        "{parent}, rules: [{{matches: [{{path: {{value: /a}}}}], backendRefs: [{{name: ratings, port: 80}}]}}]"
    );
    let engine = Meant::of(&[&headless, &*route("HTTPRoute", &spec)].concat()).engine("shop");
    for to in ["10.1.0.1:8080", "10.2.0.1:8080"] {
        let ask = Ask { to, ..WEB };
        let said =
            [Ask { path: "/a", ..ask }.said(&engine), Ask { path: "/b", ..ask }.said(&engine)];
        assert_eq!(said, ["ratings:80", "404"], "{to}");
    }
}

/// `allowedRoutes` by labels of namespaces.
#[test]
fn a_listener_takes_routes_of_the_namespaces_it_selects() {
    let bank = |labels: &str| {
        let namespace = "{name: bank, labels: {culvert.dev/mesh: enabled}}";
        let labelled = format!("{{name: bank, labels: {{culvert.dev/mesh: enabled{labels}}}}}");
        let gateway = GATEWAY.replace(
            "port: 80, protocol: HTTP",
            "port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}",
        );
        let spec = "parentRefs: [{name: edge, namespace: shop}], rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: b.example}}]}]";
        let route =
            route("HTTPRoute", spec).replace("namespace: shop}\nspec", "namespace: bank}\nspec");
        let text =
            [&SHOP.replace(namespace, &labelled), &gateway, &route].map(String::as_str).concat();
        EDGE.said(&Meant::of(&text).gateway("shop", "edge"))
    };
    assert_eq!(bank(", team: a"), "302 http://b.example/");
    assert_ne!(bank(", team: b"), "302 http://b.example/");
}
