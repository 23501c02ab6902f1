//! The control plane goes, comes back, or is another: nobody's traffic notices.
use crate::steps::{Taps, await_dial, load, policy, sing, unharmed};
use e2e::{Mesh, Node, Setup, eventually};
use std::fs;

fn two_nodes(m: &mut Setup) {
    m.plane();
    m.node("a").pod("client");
    m.node("b").pod("server");
}

/// Whether the node is connected to its control plane.
fn connected(node: &Node) -> bool {
    node.status()["mesh"]["connected"] == true
}

#[track_caller]
fn await_connected(mesh: &Mesh, nodes: &[&str]) {
    for name in nodes {
        eventually("connected node", || connected(mesh.node(name)).then_some(()));
    }
}

#[track_caller]
fn await_alone(mesh: &Mesh, nodes: &[&str]) {
    for name in nodes {
        eventually("node without a control plane", || (!connected(mesh.node(name))).then_some(()));
    }
}

#[test]
fn killed_and_replaced_it_loses_no_request_and_nothing_goes_plain() {
    let mesh = Mesh::start("planekill", two_nodes);
    let http = mesh.pod("server").serve("http", 8080);
    let echo = mesh.pod("server").serve("echo", 8081);
    let load = load(&mesh, "client", http.v4(), 100);
    let taps = Taps::on(&mesh, &["a", "b"]);
    let sing = || {
        for to in echo.both() {
            sing(&mesh, "client", to);
        }
    };
    for kill in [true, false] {
        if kill {
            mesh.plane().kill();
        } else {
            assert!(mesh.plane().terminate().success());
        }
        sing();
        await_alone(&mesh, &["a", "b"]);
        sing();
        mesh.plane().start();
        sing();
        await_connected(&mesh, &["a", "b"]);
        sing();
    }
    // The new one is heard.
    mesh.write(
        "deny.yaml",
        &policy("nobody", "DENY", "app: server", "[{to: [{operation: {ports: [\"8081\"]}}]}]"),
    );
    eventually("refusal", || {
        let told = mesh.pod("client").ask_peer("tell", echo.v4(), &[&"hello"]);
        (told["ok"] == false).then_some(())
    });
    assert_eq!(taps.heard(), 0);
    unharmed(load);
    let plain = mesh.node("a").access.json().into_iter().find(|line| line["path"] != "tunnel");
    assert_eq!(plain, None);
}

#[test]
fn two_hundred_long_connections_outlive_it() {
    let mesh = Mesh::start("planelong", two_nodes);
    let server = mesh.pod("server").serve("greet", 8080);
    let mut idle = mesh.pod("client").start_peer("idle", server.v4(), &[&200]);
    assert_eq!(idle.said(0)["open"], 200);
    mesh.plane().kill();
    await_alone(&mesh, &["a", "b"]);
    assert_eq!(idle.ask()["done"], 200);
    mesh.plane().start();
    await_connected(&mesh, &["a", "b"]);
    assert_eq!(idle.ask()["done"], 200);
}

#[test]
fn while_it_is_away_connections_are_made_and_pods_wait_for_it() {
    let mesh = Mesh::start("planeaway", |m| {
        m.plane();
        m.node("a").pod("client").outsider("late");
        m.node("b").pod("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    mesh.plane().kill();
    await_alone(&mesh, &["a", "b"]);
    let said = mesh.pod("client").ask_peer("many", server.v4(), &[&50]);
    assert_eq!((&said["done"], &said["failed"]), (&50.into(), &0.into()), "{said}");
    assert_eq!(mesh.pod("client").dial("plain", server.v6())["ok"], true);
    // Nobody can say yet who it is: it is held, and does not talk as if it were nobody.
    mesh.move_to("late", "mesh");
    mesh.node("a").await_pod("late", "captured");
    let said = mesh.pod("late").dial("plain", server.v4());
    assert_eq!(said["ok"], false, "{said}");
    let line = mesh.node("a").await_access("its line", |line| line["src.workload"] == "late");
    assert_eq!(line["close"], "no_route", "{line}");
    mesh.plane().start();
    await_dial(&mesh, "late", server.v4(), true);
    // Node b may hear of the pod only now: what the tunnel proves, it knows at once.
    let late = "spiffe://cluster.local/ns/mesh/sa/late";
    let line = mesh.node("b").await_access("its line", |line| line["src.identity"] == late);
    assert_eq!(line["path"], "tunnel", "{line}");
}

#[test]
fn a_node_that_starts_while_it_is_away_stays_closed_and_says_so() {
    let mesh = Mesh::start("planenone", two_nodes);
    let server = mesh.pod("server").serve("greet", 8080);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    mesh.plane().kill();
    let node = mesh.node("a");
    node.kill();
    let process = node.begin();
    let waiting = eventually("node that waits", || {
        let status = node.try_status().filter(|status| status["pid"] == process.pid)?;
        (status["mesh"]["error"].is_string()).then_some(status)
    });
    assert_eq!(waiting["ready"], false);
    let shown = waiting["waiting"].to_string();
    assert!(shown.contains("the control plane has not said"), "{shown}");
    let said = mesh.pod("client").dial("plain", server.v4());
    assert_eq!(said["ok"], false, "{said}");
    mesh.plane().start();
    node.await_ready(&process);
    await_dial(&mesh, "client", server.v4(), true);
    let lines = node.access.json();
    assert!(lines.iter().all(|line| line["path"] != "plain"), "{lines:?}");
}

#[test]
fn a_token_of_another_node_or_control_plane_is_refused() {
    let mesh = Mesh::start("planetoken", |m| {
        m.plane();
        m.node("a").pod("client");
        m.node("b").without_proxy().pod("server");
    });
    let (node, plane) = (mesh.node("b"), mesh.plane());
    let own = mesh.folder().join("b.token");
    let good = fs::read(&own).unwrap();
    fs::copy(plane.token("a"), &own).unwrap();
    let process = node.begin();
    assert_eq!(process.await_end().code(), Some(2));
    process.log.await_end();
    let said = process.log.text();
    assert!(said.contains("is for a, and this is b"), "{said}");
    assert!(said.contains("culvert token b"), "what to do: {said}");
    fs::write(&own, "just words").unwrap();
    let process = node.begin();
    assert_eq!(process.await_end().code(), Some(2));
    // Signed by somebody else.
    fs::write(&own, good).unwrap();
    assert!(plane.terminate().success());
    fs::remove_file(plane.state().join("join-key")).unwrap();
    plane.start();
    let process = node.begin();
    let error = eventually("refusal", || {
        let status = node.try_status()?;
        status["mesh"]["error"].as_str().filter(|error| error.contains("token")).map(str::to_owned)
    });
    assert!(error.contains("not made by this control plane"), "{error}");
    assert_eq!(node.status()["ready"], false);
    // Who is in already shows its certificate.
    await_connected(&mesh, &["a"]);
    // The file is read anew for every call.
    plane.token("b");
    node.await_ready(&process);
}

#[test]
fn ten_thousand_workloads_reach_every_node() {
    const MANY: usize = 10_000;
    let mesh = Mesh::start("planemany", two_nodes);
    let server = mesh.pod("server").serve("greet", 8080);
    let pods = (0..MANY).map(|n| {
        let [.., high, low] = n.to_be_bytes();
        let pod = mesh.pod("client").ns.manifest("outside", "many").name(&format!("many-{n}"));
        let pod = pod.netns(format!("/run/netns/none-{n}")).ips(&[[10, 99, high, low].into()]);
        pod.to_string().replace("nodeName: a", "nodeName: elsewhere")
    });
    mesh.write("many.yaml", &pods.collect::<Vec<_>>().join("---\n"));
    let known = |node: &str, count: usize| {
        eventually("ten thousand workloads", || {
            (mesh.node(node).status()["mesh"]["workloads"] == count).then_some(())
        });
    };
    for node in ["a", "b"] {
        known(node, MANY + 2);
    }
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    // A node that starts anew gets them all again.
    mesh.node("a").start();
    known("a", MANY + 2);
    assert_eq!(mesh.pod("client").dial("plain", server.v6())["ok"], true);
    mesh.remove("many.yaml");
    known("a", 2);
}
