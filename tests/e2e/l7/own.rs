//! Our own control plane says what HTTP is to do, by manifests.
use super::{get, greeted, served_by, service, versions};
use e2e::{Mesh, eventually};
use serde_json::{Value, json};

/// Requests of `user` go to `second`, others to `first`.
pub(super) fn routes(user: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop, namespace: mesh}}
spec:
  host: shop.mesh.svc.cluster.local
  subsets: [{{name: first, labels: {{app: first}}}}, {{name: second, labels: {{app: second}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: mesh}}
spec:
  hosts: [shop.mesh.svc.cluster.local]
  http:
  - match: [{{headers: {{x-user: {{exact: {user}}}}}}}]
    route: [{{destination: {{host: shop.mesh.svc.cluster.local, subset: second}}}}]
  - route: [{{destination: {{host: shop.mesh.svc.cluster.local, subset: first}}}}]
"
    )
}

/// `client` may ask for what is not below `/admin`.
pub(super) const POLICY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: shop, namespace: mesh}
spec:
  selector: {matchLabels: {role: shop}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/mesh/sa/client]}}]
    to: [{operation: {notPaths: [/admin*]}}]
  - to: [{operation: {ports: ['9090']}}]
";

const CERTIFICATES: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: mesh, namespace: culvert-system}
data:
  mesh: |
    defaultConfig: {proxyHeaders: {forwardedClientCert: SANITIZE_SET}}
";

/// Asks until the answer is as it should be.
#[track_caller]
pub(super) fn answers(
    mesh: &Mesh,
    from: &str,
    (path, headers): (&str, &[&str]),
    is: impl Fn(&Value) -> bool,
) {
    eventually("the answer", || {
        let said = get(mesh, from, path, headers);
        is(&said).then_some(())
    });
}

pub(super) fn own(mesh: &Mesh, pod: &str) -> Value {
    json!(std::net::SocketAddr::new(mesh.pod(pod).v4(), 8080).to_string())
}

#[test]
fn manifests_route_and_authorize() {
    let mesh = Mesh::start("l7own", |m| {
        m.plane();
        m.node("a").pod("client").pod("other");
        versions(m.node("b"));
    });
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    let _greeters = ["first", "second"].map(|pod| mesh.pod(pod).serve("greet", 9090));
    let asked_for_by_rules = service().replace(", labels: {culvert.dev/l7: enabled}", "");
    mesh.write("shop.yaml", &asked_for_by_rules);
    mesh.write("routes.yaml", &routes("tester"));
    mesh.write("policy.yaml", POLICY);
    let tester: &[&str] = &["x-user: tester"];
    answers(&mesh, "client", ("/", tester), |said| {
        said["headers"]["x-own"] == own(&mesh, "second")
    });
    greeted(&mesh);
    for _ in 0..5 {
        served_by(&mesh, &get(&mesh, "client", "/", &[]), "first", "client");
        served_by(&mesh, &get(&mesh, "client", "/", tester), "second", "client");
        let said = get(&mesh, "client", "/admin/x", &[]);
        assert_eq!((&said["status"], &said["body"]), (&json!(403), &json!("RBAC: access denied")));
        assert_eq!(get(&mesh, "other", "/", &[])["status"], 403, "another principal");
    }

    // Whom the tunnel proved its client to be, an application is told if that is asked.
    let tells = |said: &Value| {
        let heard = said["headers"]["x-heard"].as_str();
        heard.is_some_and(|heard| heard.contains("URI=spiffe://cluster.local/ns/mesh/sa/client"))
    };
    assert!(!tells(&get(&mesh, "client", "/", &[])));
    mesh.write("mesh.yaml", CERTIFICATES);
    answers(&mesh, "client", ("/", &[]), tells);

    // Who follows, and how far it is.
    let status = eventually("engines that are current", || {
        let output = mesh.plane().cli(&["status", "-o", "json"]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        let engines = status["control"]["engines"].as_array()?.clone();
        let current = engines.iter().all(|one| one["current"] == true && one["proven"] == true);
        (engines.len() == 2 && current).then_some(engines)
    });
    let scopes: Vec<_> = status.iter().map(|one| one["scope"].as_str().unwrap()).collect();
    assert_eq!(scopes, ["namespace mesh on a", "namespace mesh on b"]);
    assert!(status.iter().all(|one| one["refused"] == json!([])), "{status:?}");

    // A change is in force at once, and what does not change goes on.
    mesh.write("routes.yaml", &routes("somebody"));
    answers(&mesh, "client", ("/", tester), |said| said["headers"]["x-own"] == own(&mesh, "first"));
    served_by(&mesh, &get(&mesh, "client", "/", &["x-user: somebody"]), "second", "client");

    // Whoever tells them is away: they go on.
    mesh.plane().kill();
    served_by(&mesh, &get(&mesh, "client", "/", &["x-user: somebody"]), "second", "client");
    assert_eq!(get(&mesh, "client", "/admin/x", &[])["status"], 403);
}
