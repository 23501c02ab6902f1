//! Gateways of the mesh: strangers come in at real listeners, and are led by tunnel, in the
//! gateway's name, to pods that take nothing else.
use super::{
    own::routes,
    service,
    visit::{certificate, open, open_with, visit},
};
use crate::steps::{STRICT, fields, policy};
use e2e::{Mesh, eventually};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf};

pub(super) const HOST: &str = "shop.example.com";

/// Where the gateway listens.
const HTTP: u16 = 8000;
const HTTPS: u16 = 8443;

/// The gateway, behind which requests of `user` go to `second`, others to `first`.
pub(super) fn entry(user: &str) -> String {
    let gateway = format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: mesh}}
spec:
  selector: {{istio: edge}}
  servers:
  - {{port: {{number: {HTTP}, name: http, protocol: HTTP}}, hosts: [shop.example.com]}}
  - port: {{number: {HTTPS}, name: https, protocol: HTTPS}}
    hosts: [shop.example.com]
    tls: {{mode: SIMPLE, credentialName: shop-cert}}
"
    );
    let own = "  hosts: [shop.mesh.svc.cluster.local]";
    let shop = routes(user).replace(own, "  gateways: [edge]\n  hosts: [shop.example.com]");
    // Of several ports of a service, a gateway's own says nothing.
    let shop = shop.replace(", subset: ", ", port: {number: 80}, subset: ");
    format!("{gateway}---\n{shop}")
}

/// One node with the gateway and who visits it, two with a version each; nobody but the gateway may
/// ask the versions.
fn mesh(test: &str) -> Mesh {
    let mesh = Mesh::start(test, |m| {
        m.plane();
        m.node("edge").without_proxy().outsider("visitor");
        m.node("a").pod("client").pod_with("first", |pod| pod.label("role", "shop"));
        m.node("b").pod_with("second", |pod| pod.label("role", "shop"));
    });
    mesh.write("shop.yaml", &service().replace(", labels: {culvert.dev/l7: enabled}", ""));
    mesh.write("strict.yaml", STRICT);
    let only = "[{from: [{source: {principals: [\"cluster.local/ns/mesh/sa/edge\"]}}]}]";
    mesh.write("policy.yaml", &policy("shop", "ALLOW", "role: shop", only));
    mesh
}

/// What the gateway answers the visitor.
#[track_caller]
pub(super) fn ask(mesh: &Mesh, user: &str, root: Option<&PathBuf>) -> Value {
    let (scheme, port) = if root.is_some() { ("https", HTTPS) } else { ("http", HTTP) };
    let url = format!("{scheme}://{HOST}:{port}/");
    visit(mesh, &url, root.map(PathBuf::as_path), &[&format!("x-user: {user}")])
}

/// Asks until `server` answers; it sees the gateway's address.
#[track_caller]
pub(super) fn is_led_to(mesh: &Mesh, user: &str, root: Option<&PathBuf>, server: &str) {
    let own = SocketAddr::new(mesh.pod(server).v4(), 8080).to_string();
    let said = eventually(&format!("answer of {server}"), || {
        let said = ask(mesh, user, root);
        (said["own"] == own).then_some(said)
    });
    assert_eq!(said["status"], 200, "{said}");
    let seen: SocketAddr = said["body"].as_str().unwrap().parse().unwrap();
    assert_eq!(seen.ip(), mesh.node("edge").ns.ip4(), "{said}");
}

#[test]
fn strangers_are_led_into_the_mesh_in_the_gateways_name() {
    let mesh = mesh("l7gateway");
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    mesh.write("routes.yaml", &entry("tester"));
    let root = certificate(&mesh, HOST, ("mesh", "shop-cert"));
    open(&mesh, "mesh/edge");
    is_led_to(&mesh, "", None, "first");
    is_led_to(&mesh, "tester", None, "second");
    is_led_to(&mesh, "tester", Some(&root), "second");

    // Nobody else may ask them, and nobody in plain text.
    let first = SocketAddr::new(mesh.pod("first").v4(), 8080);
    for other in ["client", "visitor"] {
        let said = mesh.pod(other).peer(&["get", &first.to_string(), "/"]).last_words();
        assert_eq!(said["ok"], false, "{other}: {said}");
    }

    // The control plane sees it among those who are told of HTTP, and not among nodes.
    let status = mesh.plane().status();
    let scopes = status["control"]["engines"].as_array().unwrap();
    assert!(scopes.iter().any(|one| one["scope"] == "gateway mesh/edge"), "{status}");
    let nodes = status["control"]["nodes"].as_array().unwrap();
    assert!(nodes.iter().all(|node| node["node"] != "mesh/edge"), "{status}");

    // A change is followed, and without the control plane it goes on.
    mesh.write("routes.yaml", &entry("somebody"));
    is_led_to(&mesh, "tester", None, "first");
    is_led_to(&mesh, "somebody", Some(&root), "second");
    mesh.plane().kill();
    is_led_to(&mesh, "somebody", None, "second");
    is_led_to(&mesh, "", Some(&root), "first");
    assert!(mesh.node("edge").terminate().success());

    // By tunnel and as itself.
    let id = "spiffe://cluster.local/ns/mesh/sa/edge";
    let line = mesh.node("b").await_access("the server's line", |line| {
        line["direction"] == "inbound" && line["src.identity"] == id
    });
    fields(&line, &json!({"path": "tunnel"}));
}

#[test]
fn an_istio_gateway_chooses_by_labels() {
    let mesh = mesh("l7gwlabels");
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    let entry = entry("tester").replace("{name: edge,", "{name: front,");
    let entry = entry.replace("gateways: [edge]", "gateways: [front]");
    let of_tier = |tier: &str| entry.replace("{istio: edge}", &format!("{{tier: {tier}}}"));
    mesh.write("routes.yaml", &of_tier("front"));
    let root = certificate(&mesh, HOST, ("mesh", "shop-cert"));
    open_with(&mesh, "mesh/edge", &["--gateway-labels=tier=front", "--gateway-labels=app=web"]);
    is_led_to(&mesh, "tester", Some(&root), "second");
    is_led_to(&mesh, "", None, "first");
    mesh.write("routes.yaml", &of_tier("back"));
    eventually("nobody who listens", || (ask(&mesh, "", None)["curl"] == 7).then_some(()));
    // What every gateway has by itself, and what all are meant by.
    for selector in ["{istio: edge}", "{gateway.networking.k8s.io/gateway-name: edge}", "{}"] {
        mesh.write("routes.yaml", &entry.replace("{istio: edge}", selector));
        is_led_to(&mesh, "", None, "first");
        mesh.write("routes.yaml", &of_tier("back"));
        eventually("nobody who listens", || (ask(&mesh, "", None)["curl"] == 7).then_some(()));
    }
}

#[test]
fn a_gateway_of_the_gateway_api_is_one_too() {
    let mesh = mesh("l7gwapi");
    let _server = mesh.pod("first").serve("http", 8080);
    let _other = mesh.pod("second").serve("http", 8080);
    open_later(&mesh);
    mesh.write(
        "gateway.yaml",
        &format!(
            "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge, namespace: mesh}}
spec:
  gatewayClassName: culvert
  listeners: [{{name: http, port: {HTTP}, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: shop, namespace: mesh}}
spec:
  parentRefs: [{{name: edge}}]
  hostnames: [shop.example.com]
  rules: [{{backendRefs: [{{name: shop, port: 80}}]}}]
"
        ),
    );
    mesh.node("edge").await_gateway();
    for server in ["first", "second"] {
        is_led_to(&mesh, "", None, server);
    }
}

/// The gateway waits for what it is to serve, and says so.
fn open_later(mesh: &Mesh) {
    let token = mesh.plane().token("mesh/edge");
    let process = mesh.node("edge").gateway("mesh/edge", mesh.plane(), &token);
    eventually("what is missing", || {
        let log = process.log.text();
        log.contains("nothing for this gateway to listen on").then_some(())
    });
}

#[test]
fn a_token_is_for_one_gateway() {
    let mesh = Mesh::start("l7gwtoken", |m| {
        m.plane();
        m.node("edge").without_proxy();
    });
    let edge = mesh.node("edge");
    // A node's, and another gateway's.
    for other in ["edge", "mesh/other"] {
        let token = mesh.plane().token(other);
        let process = edge.gateway("mesh/edge", mesh.plane(), &token);
        assert_eq!(process.await_end().code(), Some(2));
        let said = process.log.text();
        assert!(said.contains(&format!("is for {other}, and this is mesh/edge")), "{said}");
        assert!(said.contains("culvert token mesh/edge"), "{said}");
    }
    let token = mesh.plane().token("mesh/edge");
    let voided = mesh.plane().cli(&["token", "mesh/edge", "--void"]);
    assert!(voided.status.success(), "{voided:?}");
    let process = edge.gateway("mesh/edge", mesh.plane(), &token);
    eventually("the refusal", || {
        process.log.text().contains("were made void; make a new one").then_some(())
    });
}
