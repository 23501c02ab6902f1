//! What tunnels promise beyond what plain connections do.
use crate::{
    forwarding::Way,
    steps::{STRICT, await_close, await_dial, hold, load, unharmed},
};
use e2e::{Mesh, Node, Setup, eventually};
use std::{fs, net::SocketAddr};

const MIB: u64 = 1 << 20;

/// What the node's process occupies of memory.
fn resident(node: &Node) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.process().pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = line.split_whitespace().next().unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

/// How much of the connection to `to` the node has taken, once that no longer changes.
#[track_caller]
fn await_standstill(node: &Node, to: SocketAddr) -> u64 {
    const LOOKS: usize = 50;
    let (mut last, mut looks) = (0, 0);
    eventually("standstill", || {
        let connections = node.document("/connections");
        let all = connections.as_array()?;
        let ours = all.iter().find(|one| one["destination"].as_str() == Some(&to.to_string()))?;
        let sent = ours["bytes_sent"].as_u64().filter(|&sent| sent > 0)?;
        looks = if sent == last { looks + 1 } else { 0 };
        last = sent;
        (looks == LOOKS).then_some(sent)
    })
}

#[test]
fn a_peer_that_stops_reading_holds_up_nobody_else_and_fills_no_memory() {
    const GIB: u64 = 1 << 30;
    let mesh = Way::Tunnel.mesh("tunstuck");
    let stuck = mesh.pod("server").serve("stuck", 8080);
    let server = mesh.pod("server").serve("http", 8081);
    assert_eq!(mesh.pod("client").ask_peer("many", server.v4(), &[&0])["ok"], true);
    let nodes = ["a", "b"].map(|name| mesh.node(name));
    let before = nodes.map(resident);
    let mut uploads: Vec<_> = stuck
        .both()
        .map(|to| mesh.pod("client").start_peer("upload", to, &[&GIB]))
        .into_iter()
        .collect();
    let load = load(&mesh, "client", server.v4(), 50);
    for to in stuck.both() {
        let taken = await_standstill(nodes[0], to);
        assert!(taken < 64 * MIB, "{taken} bytes are on their way");
    }
    for (node, before) in nodes.iter().zip(before) {
        let more = resident(node).saturating_sub(before);
        assert!(more < 64 * MIB, "{more} bytes more on {}", node.ns.name());
    }
    unharmed(load);
    assert!(uploads.iter_mut().all(e2e::Running::runs), "they still wait");
}

/// Writes the server's manifest anew, in the mesh or out of it.
fn set_enrolled(mesh: &Mesh, pod: &str, enrolled: bool) {
    let manifest = mesh.pod(pod).ns.manifest("mesh", pod);
    let says = if enrolled { "enabled" } else { "disabled" };
    mesh.write(&format!("{pod}.yaml"), &manifest.label("culvert.dev/mesh", says).to_string());
}

/// The way of the next connections.
#[track_caller]
fn await_path(mesh: &Mesh, path: &str) {
    let seen = mesh.node("a").access.count();
    mesh.node("a").access.await_from(seen, path, |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["path"] == path).then_some(())
    });
}

fn enrolment_under_load(test: &str, pod: &str, also: &str) {
    let mesh = Way::Tunnel.mesh(test);
    mesh.write("also.yaml", also);
    let server = mesh.pod("server").serve("http", 8080);
    await_dial(&mesh, "client", mesh.pod("server").serve("greet", 8081).v4(), true);
    let loads = server.both().map(|to| load(&mesh, "client", to, 50));
    let node = mesh.node(mesh.pod(pod).ns.node());
    for _ in 0..3 {
        set_enrolled(&mesh, pod, false);
        node.await_no_pod(pod);
        if pod == "server" {
            await_path(&mesh, "plain");
        }
        set_enrolled(&mesh, pod, true);
        node.await_pod(pod, "captured");
        await_path(&mesh, "tunnel");
    }
    for load in loads {
        unharmed(load);
    }
}

#[test]
fn a_server_joins_and_leaves_under_strict_without_a_lost_request() {
    enrolment_under_load("tunjoinstrict", "server", STRICT);
}

#[test]
fn a_client_joins_and_leaves_without_a_lost_request() {
    enrolment_under_load("tunjoinclient", "client", "");
}

#[test]
fn only_what_is_registered_is_reached_when_the_mesh_says_so() {
    let mesh = Mesh::start("tunregistry", |m: &mut Setup| {
        m.plane();
        m.node("a").pod("client");
        m.node("b").pod("server").outsider("outside");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let outside = mesh.pod("outside").serve("greet", 8080);
    // A node's own address is no workload's.
    let on_node = mesh.node("b").peer(&["serve", "greet", "0.0.0.0:7777"]);
    on_node.lines().await_json("that it listens", |_| true);
    let unknown = SocketAddr::new(mesh.node("b").ns.ip4().into(), 7777);
    assert_eq!(mesh.pod("client").dial("plain", unknown)["ok"], true);
    let cut = hold(&mesh, "client", unknown);
    let mut kept = hold(&mesh, "client", outside.v4());
    mesh.write(
        "settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mesh, namespace: culvert-system}\n\
         data:\n  mesh: |\n    outboundTrafficPolicy:\n      mode: REGISTRY_ONLY\n",
    );
    let end = cut.lines().await_json("the end", |line| line["ok"] == false);
    assert_eq!(end["error"], "ConnectionReset", "{end}");
    await_close(&mesh, "a", "policy_revoked");
    await_dial(&mesh, "client", unknown, false);
    let line = await_close(&mesh, "a", "no_route");
    assert_eq!(line["dst.addr"], unknown.to_string(), "{line}");
    for to in [server.v4(), outside.v4()] {
        let said = mesh.pod("client").dial("plain", to);
        assert_eq!(said["ok"], true, "{to}: {said}");
    }
    assert_eq!(kept.ask()["ok"], true, "who is registered is not disturbed");
}

#[test]
fn processes_take_over_from_each_other_without_a_lost_request() {
    let mesh = Mesh::start("tuntakeover", |m| {
        m.plane();
        m.node("a").pod("client").pod("near").setting("drain_deadline: 60s");
        m.node("b").pod("server").setting("drain_deadline: 60s");
    });
    let (http, near) =
        (mesh.pod("server").serve("http", 8080), mesh.pod("near").serve("http", 8080));
    let greeter = mesh.pod("server").serve("greet", 8081);
    let mut held = hold(&mesh, "client", greeter.v6());
    let loads = [http.v4(), near.v4()].map(|to| load(&mesh, "client", to, 50));
    for _ in 0..2 {
        for name in ["a", "b"] {
            mesh.node(name).start();
        }
    }
    assert_eq!(held.ask()["ok"], true, "what was there goes on");
    for load in loads {
        unharmed(load);
    }
    let lines = mesh.node("a").access.json();
    let plain = lines.iter().find(|line| line["path"] == "plain");
    assert_eq!(plain, None);
}

#[test]
fn who_gets_the_address_of_another_is_met_as_who_it_is() {
    let mesh = Way::Tunnel.mesh("tunaddress");
    let server = mesh.pod("server").serve("greet", 8080);
    let held = hold(&mesh, "client", server.v4());
    let newcomer = mesh.pod("server").ns.manifest("mesh", "heir").name("heir");
    mesh.write("server.yaml", &newcomer.to_string());
    mesh.node("b").await_pod("heir", "captured");
    eventually("way to the newcomer", || {
        let seen = mesh.node("a").access.count();
        if mesh.pod("client").dial("plain", server.v4())["ok"] != true {
            return None;
        }
        let line = mesh.node("a").await_line_after(seen, "outbound", server.v4());
        (line["dst.identity"] == "spiffe://cluster.local/ns/mesh/sa/heir").then_some(())
    });
    drop(held);
}
