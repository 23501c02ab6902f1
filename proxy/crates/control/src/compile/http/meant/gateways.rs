//! What servers of Istio's gateways do with TLS and with bytes.
use super::{Ask, Meant, WEB};
use crate::compile::http::emit::tests::SHOP;
use culvert_model::http::{
    listener::{Direction, FilterChain},
    tls::{DownstreamTls, DownstreamTransport, TlsVersion, Validation},
};
use culvert_policy::http::why::{Does, Engine, Filtered};
use std::sync::Arc;

pub(super) const EDGE: Ask<'static> =
    Ask { direction: Direction::Unspecified, to: "10.1.0.9:443", host: "a.example", ..WEB };
pub(super) const SECURED: Ask<'static> = Ask { tls: true, sni: Some("a.example"), ..EDGE };

const ROUTES: &str = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: r, namespace: shop}
spec:
  hosts: ['*']
  gateways: [edge]
  http: [{route: [{destination: {host: reviews}}]}]
  tcp: [{match: [{port: 443}], route: [{destination: {host: ratings, port: {number: 3306}}}]}]
  tls:
  - match: [{sniHosts: [a.example]}]
    route: [{destination: {host: ratings, port: {number: 443}}}]
  - match: [{sniHosts: ['*.b.example']}]
    route: [{destination: {host: reviews}, weight: 3}, {destination: {host: ratings, port: {number: 443}}, weight: 1}]
";

/// One server on port 443.
fn gateway(protocol: &str, hosts: &str, tls: &str) -> String {
    let tls = if tls.is_empty() { String::new() } else { format!(", tls: {{{tls}}}") };
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec: {{selector: {{app: edge}}, servers: [{{port: {{number: 443, name: p, protocol: {protocol}}}, hosts: [{hosts}]{tls}}}]}}
"
    )
}

fn meant(protocol: &str, hosts: &str, tls: &str) -> Meant {
    let meant = Meant::of(&[SHOP, ROUTES, &gateway(protocol, hosts, tls)].concat());
    assert_eq!(meant.notes(), [""; 0]);
    meant
}

fn engine(protocol: &str, hosts: &str, tls: &str) -> Engine {
    meant(protocol, hosts, tls).gateway("shop", "edge")
}

fn chain(engine: &Engine) -> Arc<FilterChain> {
    SECURED.side(engine).chain.unwrap()
}

fn tls(chain: &FilterChain) -> &DownstreamTls {
    let DownstreamTransport::Tls(tls) = &chain.transport else { panic!("{chain:?}") };
    tls
}

fn secrets(tls: &DownstreamTls) -> String {
    format!("{:?}", tls.common.certificates)
}

#[test]
fn a_server_that_ends_tls_shows_its_certificate() {
    let engine = engine(
        "HTTPS",
        "a.example",
        "mode: SIMPLE, credentialName: own, minProtocolVersion: TLSV1_3, cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]",
    );
    assert_eq!(SECURED.said(&engine), "reviews:9080");
    assert_eq!(EDGE.said(&engine), "nobody", "nothing is served without TLS");
    let other = Ask { sni: Some("c.example"), ..SECURED };
    assert_eq!(other.said(&engine), "nobody", "another name has no certificate");
    let chain = chain(&engine);
    let tls = tls(&chain);
    assert!(secrets(tls).contains("kubernetes://shop/own"), "{}", secrets(tls));
    assert!(!tls.require_client_certificate && tls.common.validation.is_none());
    assert_eq!((tls.common.min, tls.common.max), (TlsVersion::V1_3, TlsVersion::V1_3));
    assert_eq!(*tls.common.ciphers, ["ECDHE-RSA-AES128-GCM-SHA256".into()]);
}

/// Whether a certificate of the client is asked for, and of whom it must be.
fn asked(mode: &str) -> (bool, String, usize, bool) {
    let engine = engine("HTTPS", "a.example", mode);
    assert_eq!(SECURED.said(&engine), "reviews:9080");
    let chain = chain(&engine);
    let tls = tls(&chain);
    let validation = tls.common.validation.as_ref().unwrap();
    let Validation { sans, accept_untrusted, .. } = &*validation.here;
    (
        tls.require_client_certificate,
        format!("{:?}", validation.secret),
        sans.len(),
        *accept_untrusted,
    )
}

#[test]
fn clients_show_certificates_where_that_is_asked() {
    let (required, trust, names, untrusted) = asked("mode: MUTUAL, credentialName: own");
    assert!(required && trust.contains("kubernetes://shop/own") && !untrusted, "{trust}");
    assert_eq!(names, 0);
    let (required, trust, names, untrusted) = asked(
        "mode: MUTUAL, credentialName: own, caCertCredentialName: theirs, subjectAltNames: [a.test, b.test]",
    );
    assert!(required && trust.contains("kubernetes://shop/theirs") && !untrusted, "{trust}");
    assert!(names >= 2, "{names}");
    let (required, trust, _, untrusted) = asked("mode: OPTIONAL_MUTUAL, credentialName: own");
    assert!(!required && trust.contains("kubernetes://shop/own"), "{trust}");
    assert!(!untrusted, "one that is shown is verified");
}

#[test]
fn tls_is_passed_on_by_the_name_asked_for() {
    let engine = engine("TLS", "a.example, '*.b.example'", "mode: PASSTHROUGH");
    let asked = |sni| Ask { sni: Some(sni), ..SECURED }.said(&engine);
    assert_eq!(asked("a.example"), "bytes to ratings:443");
    assert_eq!(asked("x.b.example"), "bytes to reviews:9080 3, ratings:443 1");
    assert_eq!(asked("c.example"), "nobody");
    assert_eq!(EDGE.said(&engine), "nobody");
    assert_eq!(chain(&engine).transport, DownstreamTransport::Plain, "it does not end here");
}

#[test]
fn only_names_of_the_server_are_passed_on() {
    let engine = engine("TLS", "a.example", "mode: PASSTHROUGH");
    assert_eq!(Ask { sni: Some("x.b.example"), ..SECURED }.said(&engine), "nobody");
}

#[test]
fn bytes_are_led_as_tcp_routes_say() {
    let plain = engine("TCP", "'*'", "");
    assert_eq!(EDGE.said(&plain), "bytes to ratings:3306");
    let ended = engine("TLS", "a.example", "mode: SIMPLE, credentialName: own");
    assert_eq!(SECURED.said(&ended), "bytes to ratings:3306");
    assert!(secrets(tls(&chain(&ended))).contains("kubernetes://shop/own"));
    assert_eq!(EDGE.said(&ended), "nobody");
}

#[test]
fn what_is_plain_is_sent_to_https() {
    let engine = engine("HTTP", "a.example", "httpsRedirect: true");
    let ask = Ask { host: "a.example", path: "/x?y", ..EDGE };
    assert_eq!(ask.said(&engine), "301 https://a.example/x?y");
}

/// A DENY of the edge by its labels and of `/mesh*` everywhere, and one that is about others.
const POLICIES: &str = "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: edge, namespace: shop}
spec: {selector: {matchLabels: {istio: edge}}, action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: mesh, namespace: istio-system}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/mesh*]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: others, namespace: shop}
spec: {selector: {matchLabels: {app: reviews}}, action: DENY, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: elsewhere, namespace: bank}
spec: {action: DENY, rules: [{}]}
";

#[test]
fn policies_select_gateways_by_their_labels_as_they_do_pods() {
    let gateway = gateway("HTTP", "a.example", "");
    let meant = Meant::of(&[SHOP, ROUTES, &gateway, POLICIES].concat());
    let engine = meant.gateway("shop", "edge");
    let asked = |path| Ask { path, ..EDGE }.said(&engine);
    assert_eq!(asked("/"), "reviews:9080");
    assert_eq!(asked("/admin/x"), "403");
    assert_eq!(asked("/mesh"), "403");
}

#[test]
fn an_allowance_for_a_namespace_is_for_its_gateways_too() {
    let allowed = "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: known, namespace: shop}
spec: {rules: [{from: [{source: {ipBlocks: [10.1.0.0/24]}}]}]}
";
    let meant = Meant::of(&[SHOP, ROUTES, &gateway("TCP", "'*'", ""), allowed].concat());
    let engine = meant.gateway("shop", "edge");
    assert_eq!(EDGE.said(&engine), "bytes to ratings:3306");
    let refused = |engine: &Engine| {
        let side = Ask { from: "192.0.2.1:40000", ..EDGE }.side(engine);
        let denies = |one: &Filtered| matches!(one.does, Does::Rules { allowed: false, .. });
        side.connection.iter().any(denies)
    };
    assert!(refused(&engine));
}
