//! Secrets, and roots in `ConfigMap`s, that gateways name, and no others.
use crate::{
    gateway::Follower,
    plane::Plane,
    shipped::{self, USER, forbidden},
};
use culvert_cluster::{Cluster, Crds, Namespace};
use culvert_control::compile::http::gateway_api::status::Says;
use serde_json::json;

const GATEWAY: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: culvert
  listeners:
  - {name: own, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}
  - {name: far, port: 444, protocol: HTTPS, tls: {certificateRefs: [{name: far, namespace: BANK}]}}
";

const ISTIO: &str = r"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: old}
spec:
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ['*']
    tls: {mode: SIMPLE, credentialName: web}
";

const GRANT: &str = r"
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: far}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: SHOP}]
  to: [{group: '', kind: Secret, name: far}]
";

/// Makes a Secret, or changes it; what is in it is no certificate that anybody would take.
fn write(namespace: &Namespace<'_>, name: &str, content: &str) {
    let certificate =
        format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n");
    let key = format!("-----BEGIN PRIVATE KEY-----\n{content}\n-----END PRIVATE KEY-----\n");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name}, "stringData": {"tls.crt": certificate, "tls.key": key},
    });
    namespace.apply(&secret.to_string());
}

impl Plane {
    /// Waits until `ResolvedRefs` of these listeners of a gateway have these reasons.
    async fn resolves<const N: usize>(&mut self, gateway: &str, reasons: [(&str, &str); N]) {
        let object = format!("Gateway/{gateway}");
        self.until(|status| {
            let standing = status.standings.iter().find(|one| *one.object == *object);
            let Some(Says::Gateway { listeners, .. }) = standing.map(|one| &one.says) else {
                return false;
            };
            reasons.iter().all(|(name, reason)| {
                let listener = listeners.iter().find(|listener| &*listener.name == *name);
                let mut conditions = listener.iter().flat_map(|listener| &listener.conditions);
                conditions.any(|one| one.kind == "ResolvedRefs" && one.reason == *reason)
            })
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_gateway_names_is_followed_and_no_other_is_read() {
    let cluster = Cluster::api("control-secrets");
    cluster.install(Crds::Gateway);
    cluster.install(Crds::Istio);
    cluster.apply(&shipped::rules());
    let (shop, bank) = (cluster.namespace("shop"), cluster.namespace("bank"));
    write(&shop, "unnamed", "hidden");
    write(&bank, "far", "hidden-far");
    shop.apply(&GATEWAY.replace("BANK", bank.name()));
    shop.apply(ISTIO);
    let mut plane =
        Plane::of_cluster(cluster.kubeconfig_of("culvert-system", "culvert-control")).await;
    let edge = format!("{}/edge", shop.name());

    // One is missing, and one may not be named.
    plane.resolves(&edge, [("own", "InvalidCertificateRef"), ("far", "RefNotPermitted")]).await;
    write(&shop, "web", "hidden-first");
    plane.resolves(&edge, [("own", "ResolvedRefs"), ("far", "RefNotPermitted")]).await;
    bank.apply(&GRANT.replace("SHOP", shop.name()));
    plane.resolves(&edge, [("own", "ResolvedRefs"), ("far", "ResolvedRefs")]).await;

    // The gateways are told what is in them, and what is in them later.
    let (own, far) = (format!("{}/web", shop.name()), format!("{}/far", bank.name()));
    let mut gateway = Follower::start(&plane, shop.name(), "edge", &[&own, &far]).await;
    gateway.is_told(&own, "hidden-first").await;
    gateway.is_told(&far, "hidden-far").await;
    let mut old = Follower::start(&plane, shop.name(), "old", &[&own]).await;
    old.is_told(&own, "hidden-first").await;
    write(&shop, "web", "hidden-second");
    gateway.is_told(&own, "hidden-second").await;
    old.is_told(&own, "hidden-second").await;

    // It goes, and comes back; what may not be named any more is no longer told.
    shop.kubectl(&["delete", "secret", "web"]);
    bank.kubectl(&["delete", "referencegrant", "far"]);
    plane.resolves(&edge, [("own", "InvalidCertificateRef"), ("far", "RefNotPermitted")]).await;
    write(&shop, "web", "hidden-third");
    plane.resolves(&edge, [("own", "ResolvedRefs"), ("far", "RefNotPermitted")]).await;
    gateway.is_told(&own, "hidden-third").await;

    // A listener that takes another certificate has one all the time.
    write(&shop, "other", "hidden-fourth");
    let ready = plane.until(|status| status.invalid.is_empty()).await.generation;
    shop.apply(&GATEWAY.replace("BANK", bank.name()).replace("name: web", "name: other"));
    plane.until(|status| status.generation > ready).await;
    plane.resolves(&edge, [("own", "ResolvedRefs"), ("far", "RefNotPermitted")]).await;

    // Nothing else was asked for, and nothing is told to anybody else.
    let asked = cluster.requests_by(USER);
    let asked = asked.iter().filter(|line| line["objectRef"]["resource"] == "secrets");
    let asked: Vec<_> = asked.map(|line| line["requestURI"].as_str().unwrap()).collect();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|uri| uri.contains("fieldSelector=metadata.name%3D")), "{asked:?}");
    assert!(!asked.iter().any(|uri| uri.contains("unnamed")), "{asked:?}");
    let shown = format!("{:?} {:?}", plane.control.status(), plane.control);
    assert!(!shown.contains("hidden-"), "{shown}");
    assert_eq!(forbidden(&cluster), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_may_not_be_read_is_named_and_read_once_it_may() {
    let cluster = Cluster::api("control-secret-rules");
    cluster.install(Crds::Gateway);
    let rules = shipped::rules();
    assert!(rules.contains("resources: [secrets]"));
    // The first rule for them is that of the ClusterRole.
    cluster.apply(&rules.replacen("resources: [secrets]", "resources: [endpoints]", 1));
    let (shop, bank) = (cluster.namespace("shop"), cluster.namespace("bank"));
    shop.apply(&GATEWAY.replace("BANK", bank.name()));
    write(&shop, "web", "hidden-first");
    let mut plane =
        Plane::of_cluster(cluster.kubeconfig_of("culvert-system", "culvert-control")).await;
    let edge = format!("{}/edge", shop.name());
    plane.resolves(&edge, [("own", "InvalidCertificateRef"), ("far", "RefNotPermitted")]).await;
    let kinds = plane.until(|status| status.kinds.last().unwrap().because.is_some()).await;
    let because = kinds.kinds.last().unwrap().because.clone().unwrap();
    assert!(because.starts_with(&format!("{}/web: ", shop.name())), "{because}");
    assert!(because.contains("resourceNames: [web]"), "{because}");

    // A role for that one suffices.
    shop.kubectl(&[
        "create",
        "role",
        "web",
        "--verb=list,watch",
        "--resource=secrets",
        "--resource-name=web",
    ]);
    let account = "--serviceaccount=culvert-system:culvert-control";
    shop.kubectl(&["create", "rolebinding", "web", "--role=web", account]);
    plane.resolves(&edge, [("own", "ResolvedRefs"), ("far", "RefNotPermitted")]).await;
    plane.until(|status| status.kinds.last().unwrap().because.is_none()).await;
}

const MUTUAL: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: culvert
  tls:
    frontend:
      default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: clients}]}}
  listeners:
  - {name: own, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}
";

#[tokio::test(flavor = "multi_thread")]
async fn roots_in_a_config_map_are_followed_as_secrets_are() {
    let cluster = Cluster::api("control-roots");
    cluster.install(Crds::Gateway);
    cluster.apply(&shipped::rules());
    let shop = cluster.namespace("shop");
    write(&shop, "web", "hidden");
    let roots = |content: &str| {
        let roots = format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n");
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clients"},
            "data": {"ca.crt": roots},
        });
        shop.apply(&map.to_string());
    };
    shop.apply(MUTUAL);
    let mut plane =
        Plane::of_cluster(cluster.kubeconfig_of("culvert-system", "culvert-control")).await;
    let edge = format!("{}/edge", shop.name());
    plane.resolves(&edge, [("own", "InvalidCACertificateRef")]).await;
    roots("first-roots");
    plane.resolves(&edge, [("own", "ResolvedRefs")]).await;
    let clients = format!("configmap://{}/clients", shop.name());
    let mut gateway = Follower::start(&plane, shop.name(), "edge", &[&clients]).await;
    gateway.is_told(&clients, "first-roots").await;
    roots("second-roots");
    gateway.is_told(&clients, "second-roots").await;
    shop.kubectl(&["delete", "configmap", "clients"]);
    plane.resolves(&edge, [("own", "InvalidCACertificateRef")]).await;

    // No other is asked for.
    let asked = cluster.requests_by(USER);
    let of = |uri: &&str| uri.contains("configmaps");
    let asked = asked.iter().filter_map(|line| line["requestURI"].as_str()).filter(of);
    let named = ["mesh", "istio", "clients"].map(|name| format!("metadata.name%3D{name}&"));
    for uri in asked.filter(|uri| uri.contains('?') && !uri.contains("culvert-root")) {
        assert!(named.iter().any(|name| format!("{uri}&").contains(name)), "{uri}");
    }
    assert_eq!(forbidden(&cluster), [""; 0]);
}
