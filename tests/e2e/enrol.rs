//! Pods come and go while the node runs and their connections go on.
use e2e::{Mesh, Running, Setup};
use std::fs;

const RATE: u64 = 200;

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client");
    m.node("b").pod("server");
}

/// Requests that do not end before they are told to; at least one was made when this returns.
#[track_caller]
fn load(mesh: &Mesh, from: &str, to: std::net::SocketAddr) -> Running {
    let load = mesh.pod(from).start_peer("load", to, &[&RATE]);
    assert_eq!(load.said(0)["ok"], true);
    load
}

#[track_caller]
fn nothing_lost(load: Running) {
    let said = load.finish();
    assert_eq!(said["failed"], 0, "{said}");
    assert!(said["done"].as_u64() > Some(0), "{said}");
}

/// A pod of `node` is enrolled and let go again and again while a client asks a server, and
/// `counter` of the kernel shows that it was captured.
#[track_caller]
fn joins_and_leaves_under_load(test: &str, pod: &str, node: &str, counter: &str) {
    let mesh = Mesh::start(test, |m| {
        m.node("a").outsider("client");
        m.node("b").outsider("server");
    });
    let server = mesh.pod("server").serve("http", 8080);
    for to in server.both() {
        let load = load(&mesh, "client", to);
        for _ in 0..3 {
            mesh.move_to(pod, "mesh");
            mesh.node(node).await_pod(pod, "captured");
            mesh.node(node).await_more(pod, counter, 30);
            mesh.move_to(pod, "outside");
            mesh.node(node).await_no_pod(pod);
        }
        nothing_lost(load);
    }
}

#[test]
fn a_client_joins_and_leaves_under_load_without_a_lost_request() {
    joins_and_leaves_under_load("enrclient", "client", "a", "captured");
}

#[test]
fn a_server_joins_and_leaves_under_load_without_a_lost_request() {
    joins_and_leaves_under_load("enrserver", "server", "b", "inbound");
}

#[test]
fn a_pod_that_leaves_keeps_its_connections_until_they_end() {
    let mesh = Mesh::start("enrleave", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let mut held = mesh.pod("client").start_peer("hold", server.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    mesh.move_to("client", "outside");
    mesh.move_to("server", "outside");
    mesh.node("a").await_pod("client", "leaving");
    mesh.node("b").await_pod("server", "leaving");
    assert_eq!(held.ask()["ok"], true, "the old connection is carried on");
    let said = mesh.pod("client").dial("plain", server.v4());
    assert_eq!(said["seen"], said["local"], "a new one is direct: {said}");
    held.finish();
    mesh.node("a").await_no_pod("client");
    mesh.node("b").await_no_pod("server");
}

#[test]
fn a_pod_can_opt_out_of_its_namespace() {
    let mesh = Mesh::start("enroptout", |m| {
        m.node("a")
            .pod_with("client", |manifest| manifest.label("culvert.dev/mesh", "disabled"))
            .pod("other");
    });
    assert!(mesh.node("a").pod("client").is_none());
    let server = mesh.pod("client").serve("greet", 8080);
    assert_eq!(mesh.pod("other").dial("plain", server.v4())["ok"], true);
    mesh.move_to("client", "mesh");
    mesh.node("a").await_pod("client", "captured");
}

#[test]
fn a_namespace_is_enrolled_and_let_go_as_a_whole() {
    let mesh = Mesh::start("enrns", |m| {
        m.node("a").outsider("one").outsider("two");
    });
    assert_eq!(mesh.node("a").status()["pods"].as_array().unwrap().len(), 0);
    let label = |value| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: outside\n  labels:\n    {value}\n"
        )
    };
    let mesh_only = fs::read_to_string(mesh.manifests().join("namespaces.yaml")).unwrap();
    let mesh_only = mesh_only.split("---").next().unwrap();
    for enrolling in ["culvert.dev/mesh: enabled", "istio.io/dataplane-mode: ambient"] {
        mesh.write("namespaces.yaml", &format!("{mesh_only}---\n{}", label(enrolling)));
        for pod in ["one", "two"] {
            mesh.node("a").await_pod(pod, "captured");
        }
        mesh.write("namespaces.yaml", &format!("{mesh_only}---\n{}", label("team: other")));
        for pod in ["one", "two"] {
            mesh.node("a").await_no_pod(pod);
        }
    }
}

#[test]
fn a_deleted_manifest_lets_the_pod_go() {
    let mesh = Mesh::start("enrdelete", two_pods);
    mesh.remove("client.yaml");
    mesh.node("a").await_no_pod("client");
    let server = mesh.pod("server").serve("greet", 8080);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    assert_eq!(mesh.node("a").access.count(), 0);
}

#[test]
fn a_pod_without_its_namespace_waits_and_holds_up_nobody() {
    let missing = "/run/netns/culvert-enrmissing-later";
    let mesh = Mesh::start("enrmissing", move |m| {
        m.node("a").pod_with("late", move |manifest| manifest.netns(missing)).pod("client");
    });
    mesh.node("a").await_reason("late", missing);
    mesh.node("a").await_pod("client", "captured");
    let status = mesh.node("a").cli(&["status"]);
    assert_eq!(status.status.code(), Some(1), "something is wrong, and status says so");
    // It comes.
    let there = mesh.pod("late").ns.netns_path();
    std::os::unix::fs::symlink(there, missing).unwrap();
    mesh.node("a").await_pod("late", "captured");
    fs::remove_file(missing).unwrap();
}

#[test]
fn a_pod_that_another_mesh_has_is_not_captured_twice() {
    let mesh = Mesh::start("enrrival", |m| {
        m.node("a").outsider("client");
    });
    // Where a ztunnel listens, and a sidecar.
    let rival = || [15_001, 15_006].map(|port| mesh.pod("client").serve("greet", port));
    let there = rival();
    mesh.move_to("client", "mesh");
    mesh.node("a").await_reason("client", "a proxy of Istio listens");
    drop(there);
    mesh.node("a").await_pod("client", "captured");
    // A pod that is captured stays so, whoever comes.
    let _there = rival();
    mesh.node("a").start();
    mesh.node("a").await_pod("client", "captured");
}

#[test]
fn a_namespace_that_vanished_is_cleaned_up() {
    let mesh = Mesh::start("enrvanish", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let held = mesh.pod("client").start_peer("hold", server.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    let name = mesh.pod("server").ns.netns_path().file_name().unwrap().to_str().unwrap();
    culvert_kernel::netns::Netns::delete_named(name).unwrap();
    mesh.node("b").await_pod("server", "pending");
    mesh.node("b").await_access("the end of its connection", |line| line["close"] == "pod_gone");
    // Its manifest goes as well, at last.
    mesh.remove("server.yaml");
    mesh.node("b").await_no_pod("server");
}

#[test]
fn a_pod_comes_again_under_its_name() {
    let mesh = Mesh::start("enragain", two_pods);
    let client = mesh.pod("client");
    let server = mesh.pod("server").serve("greet", 8080);
    assert_eq!(client.dial("plain", server.v4())["ok"], true);
    mesh.remove("client.yaml");
    mesh.node("a").await_no_pod("client");
    mesh.move_to("client", "mesh");
    mesh.node("a").await_pod("client", "captured");
    let seen = mesh.node("a").access.count();
    assert_eq!(client.dial("plain", server.v4())["ok"], true);
    mesh.node("a").await_line_after(seen, "outbound", server.v4());
}
