//! Two objects that speak of one host.
use super::{Ask, Meant, WEB};
use crate::compile::http::emit::tests::SHOP;
use culvert_model::http::listener::Direction;

fn virtual_service(name: &str, made: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{made}'}}
spec: {{{spec}}}
"
    )
}

/// Everything of `path` to a port of `ratings`.
fn to(path: &str, port: u16) -> String {
    let of = if path.is_empty() {
        String::new()
    } else {
        format!("match: [{{uri: {{prefix: {path}}}}}], ")
    };
    format!("{{{of}route: [{{destination: {{host: ratings, port: {{number: {port}}}}}}}]}}")
}

const OLD: &str = "2026-01-01T00:00:00Z";
const YOUNG: &str = "2026-02-01T00:00:00Z";

/// Istio merges none in the mesh: the older one counts whole.
#[test]
fn in_the_mesh_the_older_one_has_the_host() {
    let young = virtual_service("a", YOUNG, &format!("hosts: [reviews], http: [{}]", to("/a", 80)));
    let old = virtual_service("b", OLD, &format!("hosts: [reviews], http: [{}]", to("/b", 3306)));
    let meant = Meant::of(&[SHOP, &young, &old].concat());
    let engine = meant.engine("shop");
    let asked = |path| Ask { path, ..WEB }.said(&engine);
    assert_eq!((asked("/b"), asked("/a")), ("ratings:3306".into(), "404".into()));
    // When it goes, the other one takes its place.
    let meant = Meant::of(&[SHOP, &young].concat());
    assert_eq!(Ask { path: "/a", ..WEB }.said(&meant.engine("shop")), "ratings:80");
}

const GATEWAY: &str = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {app: edge}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]
";

/// At a gateway they are merged: the older one's rules first, and what is for every request last.
#[test]
fn at_a_gateway_they_are_merged() {
    let of = |rules: &[String]| {
        format!("hosts: [a.example.com], gateways: [edge], http: [{}]", rules.join(", "))
    };
    let old = virtual_service("z", OLD, &of(&[to("/a", 80), to("", 443)]));
    let young = virtual_service("a", YOUNG, &of(&[to("/a/b", 9), to("/b", 3306), to("", 9)]));
    let either =
        "{match: [{uri: {prefix: /c}}, {uri: {prefix: /}}], redirect: {uri: /c}}".to_owned();
    let youngest = virtual_service("b", YOUNG, &of(&[either]));
    let meant = Meant::of(&[SHOP, GATEWAY, &young, &old, &youngest].concat());
    let engine = meant.gateway("shop", "edge");
    let asked = |path| {
        let host = "a.example.com";
        let (direction, to) = (Direction::Unspecified, "10.1.0.9:8080");
        Ask { path, host, direction, to, ..WEB }.said(&engine)
    };
    assert_eq!(asked("/a/b"), "ratings:80", "the older one's come first");
    assert_eq!(asked("/b"), "ratings:3306", "what is for everything hides nothing of the others");
    assert_eq!(asked("/c"), "301 http://a.example.com/c");
    assert_eq!(asked("/else"), "ratings:443", "of those for everything, the older one's");
}

/// One alone is kept in the order in which it was written.
#[test]
fn alone_it_is_kept_as_it_is_written() {
    let rules = [to("", 443), to("/a", 80)].join(", ");
    let spec = format!("hosts: [a.example.com], gateways: [edge], http: [{rules}]");
    let meant = Meant::of(&[SHOP, GATEWAY, &virtual_service("a", OLD, &spec)].concat());
    let (direction, to) = (Direction::Unspecified, "10.1.0.9:8080");
    let ask = Ask { path: "/a", host: "a.example.com", direction, to, ..WEB };
    assert_eq!(ask.said(&meant.gateway("shop", "edge")), "ratings:443");
}

/// Of two gateways that claim a name on a port, the older one has it.
#[test]
fn of_two_gateways_the_older_one_has_the_name() {
    let gateway = |name: &str, made: &str| {
        GATEWAY.replace("name: edge,", &format!("name: {name}, creationTimestamp: '{made}',"))
    };
    let route = |name: &str, port| {
        let spec = format!("hosts: [a.example.com], gateways: [{name}], http: [{}]", to("", port));
        virtual_service(name, OLD, &spec)
    };
    let all = [gateway("a", YOUNG), gateway("b", OLD), route("a", 80), route("b", 443)];
    let meant = Meant::of(&format!("{SHOP}{}", all.concat()));
    let (direction, to) = (Direction::Unspecified, "10.1.0.9:8080");
    let ask = Ask { host: "a.example.com", direction, to, ..WEB };
    assert_eq!(ask.said(&meant.gateway("shop", "edge")), "ratings:443");
}
