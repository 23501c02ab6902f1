//! What holds for the whole mesh.
use super::{objects, settings, shown::shown};
use culvert_model::snapshot::OutboundPolicy;

#[track_caller]
fn check(text: &str, expect: (&str, &str, &str, OutboundPolicy)) {
    let mesh = crate::compile::mesh(&objects(text), &settings()).unwrap();
    let config = &mesh.config;
    let got = (&*config.root_namespace, &*config.trust_domain, &*config.network, config.outbound);
    assert_eq!(got, expect, "{text}");
    assert!(mesh.policies.keys().any(|name| *name.namespace == *expect.0));
}

fn settings_in(namespace: &str, inner: &str) -> String {
    let inner: String = inner.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: mesh, namespace: {namespace}}}\n\
         data:\n  mesh: |\n{inner}  other: x\n---\n"
    )
}

#[test]
fn the_root_is_named_or_found() {
    let any = OutboundPolicy::AllowAny;
    check("", ("culvert-system", "cluster.local", "", any));
    let namespace = |name: &str| {
        format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}\n---\n")
    };
    check(&namespace("istio-system"), ("istio-system", "cluster.local", "", any));
    let both = [namespace("istio-system"), namespace("culvert-system")].concat();
    check(&both, ("culvert-system", "cluster.local", "", any));
    let policy = "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: a, namespace: istio-system}}";
    check(policy, ("istio-system", "cluster.local", "", any));
    check(&settings_in("istio-system", ""), ("istio-system", "cluster.local", "", any));
    let inner = "rootNamespace: root\ntrustDomain: example.org\noutboundTrafficPolicy:\n  mode: REGISTRY_ONLY";
    let text = settings_in("culvert-system", inner)
        + "{apiVersion: v1, kind: Namespace, metadata: {name: root, labels: {topology.istio.io/network: n1}}}";
    check(&text, ("root", "example.org", "n1", OutboundPolicy::RegistryOnly));
}

#[test]
fn settings_that_are_not_used_are_told_where_they_are() {
    let inner = "accessLogFile: /dev/stdout\nenableAutoMtls: true\nrootNamespace: root";
    insta::assert_snapshot!(shown(&settings_in("culvert-system", inner)), @r"
    shop.yaml:6:5: `accessLogFile` is not used yet by this version
    shop.yaml:7:5: `enableAutoMtls` is not used: ignored
    ");
    let other = "{apiVersion: v1, kind: ConfigMap, metadata: {name: app, namespace: shop}, data: {mesh: '['}}";
    assert_eq!(shown(other), "");
}

#[test]
fn settings_that_are_wrong_are_refused_where_they_are() {
    let inner = "trustDomain: 7\noutboundTrafficPolicy:\n  mode: DENY\nx: [";
    let text = settings_in("culvert-system", inner);
    let (_, problems) = crate::object::Objects::parse("mesh.yaml", text.as_bytes());
    let told: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    insta::assert_snapshot!(told, @r"
    mesh.yaml:9:8: unclosed bracket '['
     9 |     x: [
       |        ^
    ");
    let text =
        settings_in("culvert-system", "trustDomain: 7\noutboundTrafficPolicy:\n  mode: DENY");
    let (_, problems) = crate::object::Objects::parse("mesh.yaml", text.as_bytes());
    let told: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    insta::assert_snapshot!(told, @r"
    mesh.yaml:6:18: want text, not the number 7
     6 |     trustDomain: 7
       |                  ^
    mesh.yaml:8:7: want {mode: ALLOW_ANY} or {mode: REGISTRY_ONLY}
     8 |       mode: DENY
       |       ^
    ");
}
