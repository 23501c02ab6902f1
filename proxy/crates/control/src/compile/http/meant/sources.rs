//! Where connections go by where they are from: `sourceSubnet` of a `VirtualService`, in the mesh and
//! at gateways.
use super::{
    Ask, Meant, WEB,
    gateways::{EDGE, SECURED},
    routes::{SUBSETS, route},
};
use crate::compile::http::emit::tests::SHOP;
use culvert_policy::http::why::Engine;

/// The first that is for a connection counts, whichever says more.
const RULES: &str = "
  tcp:
  - {match: [{sourceSubnet: 10.1.0.1}, {sourceSubnet: 10.1.0.3/32, port: 9999}], route: [{destination: {host: reviews, subset: v1}}]}
  - {match: [{sourceSubnet: 10.1.7.7/16}], route: [{destination: {host: reviews, subset: v2}}]}
  - {match: [{sourceSubnet: 10.1.0.0/30}], route: [{destination: {host: ratings, port: {number: 80}}}]}
  - {match: [{sourceSubnet: 'fd00::/8'}], route: [{destination: {host: ratings, port: {number: 443}}}]}
";

/// Addresses, and where connections from there go.
const WHERE: &[(&str, &str)] = &[
    ("10.1.0.1:40000", "reviews:9080/v1"),
    ("10.1.0.3:40000", "reviews:9080/v2"),
    ("10.1.200.1:40000", "reviews:9080/v2"),
    ("[fd00::1]:40000", "ratings:443"),
];

fn meant(more: &str) -> Meant {
    let meant = Meant::of(&[SHOP, SUBSETS, more].concat());
    assert_eq!(meant.notes(), [""; 0]);
    meant
}

fn goes(engine: &Engine, ask: Ask<'_>) {
    for (from, to) in WHERE {
        assert_eq!(Ask { from, ..ask }.said(engine), format!("bytes to {to}"), "{from}");
    }
}

#[test]
fn connections_of_pods_are_told_by_their_subnets() {
    let text = format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: r, namespace: shop}}
spec:
  hosts: [ratings]{RULES}"
    );
    let engine = meant(&text).engine("shop");
    let database = Ask { to: "10.96.0.2:3306", ..WEB };
    goes(&engine, database);
    let other = Ask { from: "10.2.0.1:40000", ..database };
    assert_eq!(other.said(&engine), "bytes to ratings:3306", "what no rule is for goes on");
}

#[test]
fn a_subnet_and_labels_must_both_hold() {
    let both = "match: [{sourceSubnet: 10.1.0.0/24, sourceLabels: {app: web}}], route: [{destination: {host: reviews, subset: v1}}]";
    let subnet =
        "match: [{sourceSubnet: 10.1.0.3}], route: [{destination: {host: reviews, subset: v2}}]";
    let labels = "match: [{sourceLabels: {app: web}}], route: [{destination: {host: reviews}}]";
    let said = |rules: &str, from: &str| {
        let text = route(&format!("hosts: [ratings], tcp: [{rules}]"));
        Ask { to: "10.96.0.2:3306", from, ..WEB }.said(&meant(&text).engine("shop"))
    };
    let (web, ratings) = ("10.1.0.3:40000", "10.1.0.2:40000");
    assert_eq!(said(&format!("{{{both}}}"), web), "bytes to reviews:9080/v1");
    assert_eq!(said(&format!("{{{both}}}"), ratings), "bytes to ratings:3306");
    let all = format!("{{{subnet}}}, {{{both}}}, {{{labels}}}");
    assert_eq!(said(&all, web), "bytes to reviews:9080/v2");
    assert_eq!(said(&all, ratings), "bytes to ratings:3306");
    let far = both.replace("10.1.0.0/24", "10.7.0.0/16");
    assert_eq!(said(&format!("{{{far}}}, {{{labels}}}"), web), "bytes to reviews:9080");
}

#[test]
fn strangers_at_a_gateway_are_told_by_their_subnets() {
    let edge = |protocol: &str, tls: &str| {
        let text = format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: r, namespace: shop}}
spec:
  hosts: ['*']
  gateways: [edge]{RULES}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec: {{selector: {{app: edge}}, servers: [{{port: {{number: 443, name: p, protocol: {protocol}}}, hosts: ['*']{tls}}}]}}
"
        );
        meant(&text).gateway("shop", "edge")
    };
    let closed = |ask: Ask<'_>, engine: &Engine| {
        let other = Ask { from: "192.0.2.1:40000", ..ask };
        assert_eq!(other.said(engine), "bytes to BlackHoleCluster");
    };
    let plain = edge("TCP", "");
    goes(&plain, EDGE);
    closed(EDGE, &plain);
    let ended = edge("TLS", ", tls: {mode: SIMPLE, credentialName: own}");
    goes(&ended, SECURED);
    closed(SECURED, &ended);
    assert_eq!(EDGE.said(&ended), "nobody", "nothing is served without TLS");
}
