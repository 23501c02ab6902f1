//! HTTP in the mesh: routed where requests are made, authorized where they are served, and whoever
//! does not ask for it left alone.
mod ads;
mod between;
mod bookinfo;
mod budgets;
mod calls;
mod dashboards;
mod examples;
mod gateway;
mod inside;
mod mutual;
mod outside;
mod own;
mod requests;
mod roots;
mod selected;
mod told;
mod tunnel;
mod visit;
mod why;

use crate::steps::fields;
use ads::{Ads, PORT};
use e2e::{Mesh, NodeSetup, eventually};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// The service of both versions, with HTTP and something else.
fn service() -> String {
    let vip = told::VIP;
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: shop, namespace: mesh, labels: {{culvert.dev/l7: enabled}}}}
spec:
  clusterIP: {vip}
  selector: {{role: shop}}
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
  - {{name: tcp-greet, port: 90, targetPort: 9090}}
"
    )
}

/// One that asks for nothing.
fn plain_service() -> String {
    "apiVersion: v1
kind: Service
metadata: {name: plain, namespace: mesh}
spec:
  clusterIP: 10.96.7.11
  selector: {app: first}
  ports: [{name: tcp-any, port: 80, targetPort: 9090}]
"
    .to_owned()
}

fn told(node: &mut NodeSetup) -> &mut NodeSetup {
    node.setting(&format!("l7_control: http://127.0.0.1:{PORT}"))
}

fn versions(node: &mut NodeSetup) {
    for name in ["first", "second"] {
        node.pod_with(name, |pod| pod.label("role", "shop"));
    }
}

fn vip(port: u16) -> SocketAddr {
    SocketAddr::new(told::VIP.parse().unwrap(), port)
}

/// Two nodes, one with clients, one with both versions.
fn two_nodes(test: &str) -> Mesh {
    let mesh = Mesh::start(test, |m| {
        // One that knows what every node has captured: between nodes there are tunnels.
        m.plane();
        told(m.node("a")).pod("client").pod("other");
        versions(told(m.node("b")));
    });
    mesh.write("shop.yaml", &service());
    mesh.write("plain.yaml", &plain_service());
    mesh
}

fn outbound_clusters(mesh: &Mesh) -> [String; 3] {
    let at = |pod: &str, port| SocketAddr::new(mesh.pod(pod).v4(), port);
    [
        told::cluster("first", at("first", 8080)),
        told::cluster("second", at("second", 8080)),
        told::cluster("away", at("first", 7777)),
    ]
}

fn inbound(mesh: &Mesh) -> String {
    let pods: Vec<IpAddr> = ["first", "second"].map(|pod| mesh.pod(pod).v4()).into();
    told::inbound(&pods, "spiffe://cluster.local/ns/mesh/sa/client")
}

#[track_caller]
fn get(mesh: &Mesh, from: &str, path: &str, headers: &[&str]) -> Value {
    let to = vip(80).to_string();
    let mut words = vec!["get", &to, path];
    words.extend(headers);
    mesh.pod(from).peer(&words).last_words()
}

/// Waits until both nodes know the services, which were written after the start.
fn known(mesh: &Mesh, nodes: &[&str]) {
    for node in nodes {
        eventually("what must pass L7", || {
            let dump = mesh.node(node).document("/config_dump");
            let workloads = dump["workloads"].as_array()?;
            let asked = |workload: &&Value| workload["l7"] == json!([8080]);
            (workloads.iter().filter(asked).count() == 2).then_some(())
        });
    }
}

/// Who speaks first is not waited for: its port does not ask for L7.
#[track_caller]
fn greeted(mesh: &Mesh) {
    let said = mesh.pod("client").dial("plain", vip(90));
    assert_eq!(said["ok"], true, "{said}");
}

#[track_caller]
fn served_by(mesh: &Mesh, said: &Value, server: &str, client: &str) {
    assert_eq!(said["status"], 200, "{said}");
    let at = SocketAddr::new(mesh.pod(server).v4(), 8080);
    assert_eq!(said["headers"]["x-own"], at.to_string(), "{said}");
    let seen: SocketAddr = said["body"].as_str().unwrap().parse().unwrap();
    assert_eq!(seen.ip(), mesh.pod(client).v4(), "the application sees its client: {said}");
}

#[test]
fn requests_are_routed_at_their_client_and_authorized_at_their_server() {
    let mesh = two_nodes("l7routes");
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    let _greeters = ["first", "second"].map(|pod| mesh.pod(pod).serve("greet", 9090));
    let client = Ads::start(mesh.node("a"), &[told::outbound()], &outbound_clusters(&mesh));
    let server = Ads::start(mesh.node("b"), &[inbound(&mesh)], &[told::original()]);
    known(&mesh, &["a", "b"]);
    greeted(&mesh);

    let said = get(&mesh, "client", "/", &[]);
    served_by(&mesh, &said, "first", "client");
    let heard = said["headers"]["x-heard"].as_str().unwrap();
    assert!(heard.contains("URI=spiffe://cluster.local/ns/mesh/sa/client"), "{heard}");
    let said = get(&mesh, "client", "/", &["x-user: tester"]);
    served_by(&mesh, &said, "second", "client");

    let said = get(&mesh, "client", "/away", &[]);
    assert_eq!(said["status"], 503, "{said}");
    assert!(said["body"].as_str().unwrap().contains("upstream connect error"), "{said}");
    let said = get(&mesh, "client", "/admin/x", &[]);
    assert_eq!((&said["status"], &said["body"]), (&json!(403), &json!("RBAC: access denied")));
    let said = get(&mesh, "other", "/", &[]);
    assert_eq!(said["status"], 403, "another principal: {said}");

    let line = mesh.node("a").await_access("the client's line", |line| {
        line["direction"] == "outbound" && line["path"] == "l7"
    });
    fields(&line, &json!({"close": "done", "dst.addr": vip(80).to_string()}));
    let line = mesh.node("b").await_access("the server's line", |line| {
        line["direction"] == "inbound"
            && line["src.workload"] == "client"
            && line["path"] == "tunnel"
    });
    let id = "spiffe://cluster.local/ns/mesh/sa/client";
    fields(&line, &json!({"src.identity": id}));
    let asked = client.heard();
    let own = |heard: &String| heard.contains(".mesh~mesh.svc.cluster.local");
    assert!(asked.iter().any(own), "one engine for the namespace: {asked:?}");

    // Whoever tells them what to do is away: they go on.
    drop((client, server));
    let said = get(&mesh, "client", "/", &["x-user: tester"]);
    served_by(&mesh, &said, "second", "client");
}

#[test]
fn who_must_pass_l7_waits_for_it_and_is_refused_when_nobody_says_what_to_do() {
    let mesh = two_nodes("l7missing");
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    let _greeters = ["first", "second"].map(|pod| mesh.pod(pod).serve("greet", 9090));
    known(&mesh, &["a", "b"]);
    let said = get(&mesh, "client", "/", &[]);
    assert_eq!((&said["ok"], &said["error"]), (&json!(false), &json!("ConnectionReset")), "{said}");
    let line = mesh.node("a").await_access("the refusal", |line| line["close"] == "no_l7");
    assert!(
        line["error"].as_str().unwrap().contains("must pass L7 of the namespace mesh"),
        "{line}"
    );
    // By its own address it reaches the server's node, which does not let it round L7 either.
    let to = SocketAddr::new(mesh.pod("first").v4(), 8080).to_string();
    let said = mesh.pod("client").peer(&["get", &to, "/"]).last_words();
    assert_eq!(said["ok"], false, "{said}");
    mesh.node("b").await_access("the refusal there", |line| line["close"] == "no_l7");
    // What does not ask for it is as it was.
    for to in [vip(90), SocketAddr::new("10.96.7.11".parse().unwrap(), 80)] {
        let said = mesh.pod("client").dial("plain", to);
        assert_eq!(said["ok"], true, "{said}");
    }
    let line = mesh.node("a").await_access("of the service without", |line| {
        line["dst.service"] == "plain.mesh.svc.cluster.local" && line["direction"] == "outbound"
    });
    fields(&line, &json!({"path": "tunnel", "close": "done"}));

    let _client = Ads::start(mesh.node("a"), &[told::outbound()], &outbound_clusters(&mesh));
    let _server = Ads::start(mesh.node("b"), &[inbound(&mesh)], &[told::original()]);
    let said = eventually("answer through L7", || {
        let said = get(&mesh, "client", "/", &[]);
        (said["status"] == 200).then_some(said)
    });
    served_by(&mesh, &said, "first", "client");
}

#[test]
fn nobody_gets_round_l7_on_one_node() {
    let mesh = Mesh::start("l7one", |m| {
        versions(told(m.node("a")).pod("client").pod("other"));
    });
    mesh.write("shop.yaml", &service());
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    let _greeters = ["first", "second"].map(|pod| mesh.pod(pod).serve("greet", 9090));
    let clusters = outbound_clusters(&mesh);
    let clusters: Vec<_> = clusters.into_iter().chain([told::original()]).collect();
    let _told = Ads::start(mesh.node("a"), &[told::outbound(), inbound(&mesh)], &clusters);
    known(&mesh, &["a"]);
    let direct = mesh.node("a").counter("client", "direct");
    let at = SocketAddr::new(mesh.pod("first").v4(), 8080).to_string();
    for _ in 0..3 {
        served_by(&mesh, &get(&mesh, "client", "/", &[]), "first", "client");
        assert_eq!(get(&mesh, "client", "/admin", &[])["status"], 403);
        // Past the service, there is the server's side.
        let said = mesh.pod("client").peer(&["get", &at, "/admin"]).last_words();
        assert_eq!(said["status"], 403, "{said}");
    }
    assert_eq!(
        mesh.node("a").counter("client", "direct"),
        direct,
        "none goes from socket to socket"
    );
}
