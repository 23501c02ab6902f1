//! A newer process takes over: no request fails, none goes past the proxy.
use e2e::{Mesh, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
};

fn mesh_under_load(test: &str) -> Mesh {
    Mesh::start(test, |m| {
        m.node("a").pod("client").setting("drain_deadline: 60s");
        m.node("b").pod("server").setting("drain_deadline: 60s");
    })
}

/// Source ports of connections that the server accepted and no proxy made: those that clients
/// draw, which are neither of the ranges that deliveries come from.
fn direct(server: &e2e::Server) -> Vec<u16> {
    let port = |line: &Value| line["accepted"].as_str()?.rsplit_once(':')?.1.parse::<u16>().ok();
    let ports = server.running.lines().json();
    ports.iter().filter_map(port).filter(|port| (32_768..61_000).contains(port)).collect()
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
    assert_eq!(direct(&greeter), Vec::<u16>::new(), "connections went past the proxy");
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
    process.signal(Signal::SIGTERM);
    eventually("a node that says it drains", || (node.status()["ready"] == false).then_some(()));
    assert_eq!(held.ask()["ok"], true, "connections run on");
    eventually("a refused connection", || {
        let said = mesh.pod("client").dial("plain", server.v4());
        (said["stage"] == "connect" && said["error"] == "ConnectionRefused").then_some(())
    });
    assert_eq!(held.ask()["ok"], true, "connections still run on");
    process.signal(Signal::SIGTERM);
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

#[test]
fn a_newcomer_in_another_network_namespace_changes_nothing() {
    let mesh = mesh_under_load("hoverstray");
    let server = mesh.pod("server").serve("greet", 8080);
    let (node, client) = (mesh.node("a"), mesh.pod("client"));
    let (old, before) = (node.process(), node.status());
    let mut stray = Command::new(e2e::programs::culvert());
    stray.env_remove("CULVERT_BIN");
    stray.arg("up").arg("-f").arg(mesh.manifests()).args(["--node-name", "a"]);
    stray.args(["--instance", before["instance"].as_str().expect("a name")]);
    stray.arg("--cgroup-root").arg(client.ns.cgroup().parent().expect("the node's"));
    let ended = client.output(stray);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("another network namespace") && said.contains("nsenter"), "{said}");
    assert!(old.ended().is_none());
    assert_eq!(node.status()["generation"], before["generation"]);
    assert_eq!(client.dial("plain", server.v4())["ok"], true);
    node.await_line("outbound", server.v4());
}

/// Pods that only a newcomer knows and that have no namespaces: they keep it busy after those that
/// there are.
fn many_more(mesh: &Mesh, node: &str, folder: &Path) -> PathBuf {
    const MANY: usize = 3000;
    let like = mesh.pod(if node == "a" { "client" } else { "server" });
    let manifest = |n: usize| {
        let manifest = like.ns.manifest("mesh", "late").name(&format!("z{n}"));
        let ip = IpAddr::from([10, 99, n.to_be_bytes()[6], n.to_be_bytes()[7]]);
        manifest.netns(format!("/run/netns/none-{n}")).ips(&[ip]).to_string()
    };
    let file = folder.join(format!("{node}.yaml"));
    fs::write(&file, (0..MANY).map(manifest).collect::<Vec<_>>().join("---\n")).unwrap();
    file
}

/// The proxy's listeners in a pod.
fn proxys_listeners(mesh: &Mesh, pod: &str) -> Vec<(u16, u64)> {
    let listeners = mesh.pod(pod).listeners();
    listeners.into_iter().filter(|(port, _)| ![8080, 8081].contains(port)).collect()
}

/// A newcomer has every pod of the node, and tries more, when it dies; returns when the process
/// before has enrolled them all again.
#[track_caller]
fn newcomer_dies_halfway(mesh: &Mesh, node: &str, pods: &[&str], more: &Path) {
    let before: Vec<_> = pods.iter().map(|pod| proxys_listeners(mesh, pod)).collect();
    let newcomer = mesh.node(node).begin_with(&[more]);
    for pod in pods {
        newcomer.log.await_from(0, "that a pod is captured", |line| {
            (line.contains("captured") && line.contains(&format!("/{pod}"))).then_some(())
        });
    }
    newcomer.signal(Signal::SIGKILL);
    newcomer.await_end();
    for (pod, before) in pods.iter().zip(&before) {
        eventually("listeners of a new enrolment, and only those", || {
            let now = proxys_listeners(mesh, pod);
            let new = now.iter().all(|listener| !before.contains(listener));
            (new && now.len() == before.len()).then_some(())
        });
        mesh.node(node).await_pod(pod, "captured");
    }
}

#[test]
fn when_a_newcomer_dies_halfway_the_old_one_enrols_every_pod_again() {
    let mesh = Mesh::start("hoverhalf", |m| {
        m.node("a").pod("client").pod("other").setting("drain_deadline: 60s");
        m.node("b").pod("server").setting("drain_deadline: 60s");
    });
    let http = mesh.pod("server").serve("http", 8080);
    let greeter = mesh.pod("server").serve("greet", 8081);
    let folder = tempfile::tempdir().unwrap();
    let loaded = mesh.pod("client").start_peer("load", http.v4(), &[&200]);
    assert_eq!(loaded.said(0)["ok"], true);
    for (name, pods) in [("a", ["client", "other"].as_slice()), ("b", &["server"])] {
        let more = many_more(&mesh, name, folder.path());
        let old = mesh.node(name).process();
        for _ in 0..2 {
            newcomer_dies_halfway(&mesh, name, pods, &more);
        }
        assert!(old.ended().is_none(), "the old one goes on");
        assert_eq!(mesh.node(name).status()["pid"], old.pid);
    }
    let said = loaded.finish();
    // Those that the newcomers had accepted, or were asked for.
    let errors: Vec<&String> = said["errors"].as_object().unwrap().keys().collect();
    let expected = ["ConnectionRefused", "ConnectionReset", "UnexpectedEof"];
    assert!(errors.iter().all(|e| expected.contains(&e.as_str())), "{said}");

    let http = mesh.pod("server").serve("http", 8082);
    let load = mesh.pod("client").start_peer("load", http.v4(), &[&200]);
    let said = mesh.pod("client").ask_peer("many", greeter.v6(), &[&500]);
    assert_eq!((&said["done"], &said["failed"]), (&500.into(), &0.into()), "{said}");
    let said = load.finish();
    assert_eq!(said["failed"], 0, "{said}");
    let done = said["done"].as_u64().filter(|&done| done > 0).unwrap();
    mesh.node("a").await_lines("outbound", http.v4(), done);
    mesh.node("b").await_lines("inbound", http.v4(), done);
    assert_eq!(direct(&greeter), Vec::<u16>::new());
    assert_eq!(mesh.pod("other").dial("plain", greeter.v4())["ok"], true);
}
