//! Rules for some clients of a namespace: by the labels of the pods that ask.
use super::{
    get,
    own::{answers, own},
    service, versions,
};
use e2e::Mesh;

/// Every request goes to the chosen ones, but what `client` asks of `/only`.
const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: mesh}
spec:
  hosts: [shop.mesh.svc.cluster.local]
  http:
  - match: [{uri: {prefix: /only}, sourceLabels: {app: client}}]
    directResponse: {status: 418}
  - route: [{destination: {host: shop.mesh.svc.cluster.local, subset: chosen}}]
";

/// Whom everybody takes for the chosen ones.
const ALL: &str = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: mesh}
spec:
  host: shop.mesh.svc.cluster.local
  subsets: [{name: chosen, labels: {app: first}}]
";

/// Whom `other` takes for them.
const SELECTED: &str = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop-of-other, namespace: mesh}
spec:
  host: shop.mesh.svc.cluster.local
  workloadSelector: {matchLabels: {app: other}}
  subsets: [{name: chosen, labels: {app: second}}]
";

#[test]
fn rules_may_be_for_some_clients_only() {
    let mesh = Mesh::start("l7selected", |m| {
        m.plane();
        m.node("a").pod("client").pod("other");
        versions(m.node("b"));
    });
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    mesh.write("shop.yaml", &service().replace(", labels: {culvert.dev/l7: enabled}", ""));
    mesh.write("routes.yaml", ROUTES);
    mesh.write("all.yaml", ALL);
    mesh.write("selected.yaml", SELECTED);
    let served = |from: &str, by: &str| {
        answers(&mesh, from, ("/", &[]), |said| said["headers"]["x-own"] == own(&mesh, by));
    };
    served("other", "second");
    served("client", "first");
    assert_eq!(get(&mesh, "client", "/only", &[])["status"], 418);
    assert_eq!(get(&mesh, "other", "/only", &[])["headers"]["x-own"], own(&mesh, "second"));

    mesh.remove("selected.yaml");
    served("other", "first");
    served("client", "first");
}
