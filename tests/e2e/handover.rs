//! A newer process takes over: no request fails, none goes past the proxy.
use e2e::{Mesh, eventually};
use serde_json::Value;

fn mesh_under_load(test: &str) -> Mesh {
    Mesh::start(test, |m| {
        m.node("a").pod("client").setting("drain_deadline: 60s");
        m.node("b").pod("server").setting("drain_deadline: 60s");
    })
}

/// How many connections the server accepted that no proxy made: their source port is one that
/// clients draw.
fn direct(server: &e2e::Server) -> usize {
    let is_direct = |line: &Value| {
        let peer =
            line["accepted"].as_str().and_then(|a| a.rsplit_once(':')?.1.parse::<u16>().ok());
        peer.is_some_and(|port| port < 61_000)
    };
    server.running.lines().json().iter().filter(|line| is_direct(line)).count()
}

#[test]
fn no_request_fails_while_processes_take_over_from_each_other() {
    let mesh = mesh_under_load("hoverload");
    let server = mesh.pod("server").serve("http", 8080);
    let greeter = mesh.pod("server").serve("greet", 8081);
    let load = mesh.pod("client").start_peer("load", server.v4(), &[&200]);
    assert_eq!(load.said(0)["ok"], true);
    let many = mesh.pod("client").start_peer("many", greeter.v6(), &[&3000]);
    for round in 2..=4 {
        for node in ["a", "b"].map(|name| mesh.node(name)) {
            let old = node.process();
            let before = node.status()["generation"].as_u64().unwrap();
            node.start();
            // The old one may have had a question in hand.
            let generation = eventually("a later generation", || {
                node.status()["generation"].as_u64().filter(|&now| now > before)
            });
            assert!(generation >= round, "{before} then {generation}");
            old.await_end();
        }
    }
    let said = many.last_words();
    assert_eq!((&said["done"], &said["failed"]), (&3000.into(), &0.into()), "{said}");
    let said = load.finish();
    assert_eq!(said["failed"], 0, "{said}");
    assert_eq!(direct(&greeter), 0, "connections went past the proxy");
}

#[test]
fn connections_go_on_in_the_old_process_which_ends_after_them() {
    let mesh = mesh_under_load("hoverheld");
    let server = mesh.pod("server").serve("greet", 8080);
    let mut held = mesh.pod("client").start_peer("hold", server.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    let olds = ["a", "b"].map(|name| {
        let old = mesh.node(name).process();
        mesh.node(name).start();
        old
    });
    assert_eq!(held.ask()["ok"], true, "the held connection goes on");
    assert_eq!(mesh.pod("client").dial("plain", server.v6())["ok"], true);
    assert!(olds.iter().all(|old| old.ended().is_none()), "the old ones carry it");
    held.finish();
    for old in olds {
        let status = old.await_end();
        assert!(status.success(), "{status}: {}", old.log.last());
    }
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let mesh = Mesh::start("hoverdrain", |m| {
        m.node("a").pod("client").setting("drain_deadline: 1s");
        m.node("b").outsider("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let held = mesh.pod("client").start_peer("hold", server.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    let old = mesh.node("a").process();
    mesh.node("a").start();
    old.await_end();
    assert_eq!(mesh.node("a").await_line("outbound", server.v4())["close"], "drained");
}

#[test]
fn sigterm_drains_and_a_second_one_ends_it() {
    let mesh = mesh_under_load("hoverterm");
    let server = mesh.pod("server").serve("greet", 8080);
    let mut held = mesh.pod("client").start_peer("hold", server.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    let node = mesh.node("a");
    let process = node.process();
    process.signal(nix::sys::signal::Signal::SIGTERM);
    eventually("a node that says it drains", || (node.status()["ready"] == false).then_some(()));
    assert_eq!(held.ask()["ok"], true, "connections run on");
    eventually("a refused connection", || {
        let said = mesh.pod("client").dial("plain", server.v4());
        (said["stage"] == "connect" && said["error"] == "ConnectionRefused").then_some(())
    });
    assert_eq!(held.ask()["ok"], true, "connections still run on");
    process.signal(nix::sys::signal::Signal::SIGTERM);
    process.await_end();
}

#[test]
fn a_newcomer_with_wrong_manifests_changes_nothing() {
    let mesh = mesh_under_load("hoverwrong");
    let server = mesh.pod("server").serve("greet", 8080);
    let node = mesh.node("a");
    let generation = node.status()["generation"].clone();
    let old = node.process();
    mesh.write("wrong.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  nam: x\n");
    let newcomer = node.begin();
    assert_eq!(newcomer.await_end().code(), Some(1), "{}", newcomer.log.last());
    assert!(old.ended().is_none());
    assert_eq!(node.status()["generation"], generation);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    node.await_line("outbound", server.v4());
}
