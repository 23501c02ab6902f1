//! The gateway of the application, which the control plane makes.
use super::Bookinfo;
use crate::town::{NODES, Town};
use culvert_cluster::eventually;
use e2e::bookinfo::page;

/// The class that the manifest names, ours here.
const CLASS: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: istio}
spec: {controllerName: culvert.dev/gateway}
";

/// It, and not one of Istio's kind.
const GATEWAY: &str = "gateways.gateway.networking.k8s.io/bookinfo-gateway";

const STRICT: &str = "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
";

#[test]
fn a_gateway_is_made_and_leads_to_the_page_in_a_tunnel() {
    let town = Town::shared();
    let Some(bookinfo) = Bookinfo::open(&town) else { return };
    let (cluster, namespace) = (&town.cluster, &bookinfo.namespace);
    cluster.apply(CLASS);
    namespace.apply(STRICT);
    bookinfo.apply("gateway-api/bookinfo-gateway.yaml");
    // No cloud gives it an address.
    namespace.kubectl(&["annotate", GATEWAY, "networking.istio.io/service-type=NodePort"]);
    namespace.kubectl(&["wait", "--for=condition=Programmed", GATEWAY, "--timeout=100s"]);
    let pods = namespace
        .get(&["pods", "--selector=gateway.networking.k8s.io/gateway-name=bookinfo-gateway"]);
    let pods = pods["items"].as_array().unwrap();
    assert_eq!(pods.len(), 1, "{pods:#?}");
    let conditions = pods[0]["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"));

    // From outside of the cluster, by a port of every node.
    let service = namespace.get(&["service", "bookinfo-gateway-istio"]);
    let port = service["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    for node in NODES {
        let node = cluster.get(&["node", node]);
        let address = node["status"]["addresses"][0]["address"].as_str().unwrap();
        let at = |path: &str| format!("http://{address}:{port}{path}");
        let get = |url: &str| cluster.try_on("control", &["busybox", "wget", "-q", "-O", "-", url]);
        eventually(&format!("the page from {address}"), || {
            let said = get(&at("/productpage"));
            let said = String::from_utf8(said.stdout).unwrap();
            (!said.is_empty() && page(&said)[0] == "details-v1").then_some(())
        });
        let elsewhere = get(&at("/elsewhere"));
        assert!(!elsewhere.status.success(), "no route leads there: {elsewhere:?}");
    }

    // Whoever removes it removes its pods; a connection is told of when it ends.
    namespace.kubectl(&["delete", GATEWAY]);
    namespace.kubectl(&["wait", "--for=delete", "deployment/bookinfo-gateway-istio"]);
    // STRICT pods took it for who it was: it came in a tunnel.
    let pod = namespace.get(&["pods", "--selector=app=productpage"]);
    let node = pod["items"][0]["spec"]["nodeName"].as_str().unwrap();
    let node = NODES.into_iter().find(|&known| known == node).unwrap();
    let gateway = bookinfo.identity("bookinfo-gateway");
    town.proxy(node).await_access("of the gateway", |line| {
        line["direction"] == "inbound"
            && line["path"] == "tunnel"
            && line["src.identity"] == gateway
            && line["dst.identity"] == bookinfo.identity("bookinfo-productpage")
    });
    cluster.delete(CLASS);
}
