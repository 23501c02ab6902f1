//! The proxy dies: what happens to connections until it is back.
use e2e::{Mesh, Setup, eventually};
use std::net::SocketAddr;

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client").outsider("stranger");
    m.node("b").pod("server");
}

#[track_caller]
fn refused(mesh: &Mesh, from: &str, to: SocketAddr) {
    let said = mesh.pod(from).dial("plain", to);
    assert_eq!(
        (&said["stage"], &said["error"]),
        (&"connect".into(), &"ConnectionRefused".into()),
        "{from} to {to}: {said}"
    );
}

#[test]
fn without_a_proxy_connections_are_refused_until_it_is_back() {
    let mesh = Mesh::start("crashclosed", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    mesh.node("a").kill();
    for to in server.both() {
        refused(&mesh, "client", to);
    }
    mesh.node("a").start();
    for to in server.both() {
        assert_eq!(mesh.pod("client").dial("plain", to)["ok"], true);
    }
    mesh.node("b").kill();
    for to in server.both() {
        refused(&mesh, "stranger", to);
    }
    mesh.node("b").start();
    for to in server.both() {
        assert_eq!(mesh.pod("stranger").dial("plain", to)["ok"], true);
    }
}

#[test]
fn without_a_proxy_a_pod_that_fails_open_goes_direct() {
    let mesh = Mesh::start("crashopen", |m| {
        let open =
            |manifest: culvert_lab::PodManifest| manifest.annotation("culvert.dev/fail", "open");
        m.node("a").pod_with("client", open).outsider("stranger");
        m.node("b").pod_with("server", open);
    });
    let server = mesh.pod("server").serve("greet", 8080);
    mesh.node("a").kill();
    mesh.node("b").kill();
    for to in server.both() {
        for from in ["client", "stranger"] {
            let said = mesh.pod(from).dial("plain", to);
            assert_eq!(said["ok"], true, "{from} to {to}: {said}");
            assert_eq!(said["seen"], said["local"], "nobody is between: {said}");
        }
    }
    mesh.node("a").start();
    mesh.node("b").start();
    assert!(mesh.node("a").counter("client", "failed_open") >= 2);
    for to in server.both() {
        let seen = mesh.node("a").access.count();
        assert_eq!(mesh.pod("client").dial("plain", to)["ok"], true);
        mesh.node("a").await_line_after(seen, "outbound", to);
    }
}

#[test]
fn a_crash_under_load_loses_no_connection_to_the_outside() {
    let mesh = Mesh::start("crashload", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let http = mesh.pod("server").serve("http", 8081);
    let load = mesh.pod("client").start_peer("load", http.v4(), &[&200]);
    assert_eq!(load.said(0)["ok"], true);
    let many = mesh.pod("client").start_peer("many", server.v4(), &[&20_000]);
    let accepted = |at_least: usize| {
        let count = server.running.lines().count();
        (count > at_least).then_some(count)
    };
    for round in 0..3 {
        eventually("connections before the crash", || accepted(round * 200 + 100));
        mesh.node("a").kill();
        mesh.node("a").start();
    }
    eventually("connections after the crash", || accepted(1000));
    let said = load.finish();
    // Refused, or cut in the middle, while the proxy was away; then well again.
    let errors: Vec<&String> = said["errors"].as_object().unwrap().keys().collect();
    let expected = ["ConnectionRefused", "ConnectionReset", "UnexpectedEof"];
    assert!(errors.iter().all(|e| expected.contains(&e.as_str())), "{said}");
    assert!(said["failed"].as_u64() > Some(0), "{said}");
    assert!(said["done"].as_u64() > Some(0), "{said}");
    drop(many);
    // None of them was direct: deliveries come from ports that clients do not draw.
    let direct = server.running.lines().json().into_iter().find(|line| {
        let port =
            line["accepted"].as_str().and_then(|a| a.rsplit_once(':')?.1.parse::<u16>().ok());
        port.is_some_and(|port| (32_768..61_000).contains(&port))
    });
    assert_eq!(direct, None);
}

#[test]
fn a_pod_that_went_while_nobody_looked_is_let_go() {
    let mesh = Mesh::start("crashgone", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    mesh.node("a").kill();
    mesh.move_to("client", "outside");
    refused(&mesh, "client", server.v4());
    mesh.node("a").start();
    let said = eventually("a direct connection", || {
        let said = mesh.pod("client").dial("plain", server.v4());
        (said["ok"] == true).then_some(said)
    });
    assert_eq!(said["ok"], true);
    assert_eq!(mesh.node("a").access.count(), 0);
    assert_eq!(mesh.pod("client").listening(), [0; 0]);
}
