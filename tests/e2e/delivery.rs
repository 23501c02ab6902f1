//! What the application at the other end sees, and the ports that deliveries take for it.
use e2e::{Mesh, Setup};
use serde_json::Value;
use std::net::SocketAddr;

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client");
    m.node("b").pod("server");
}

fn port_of(address: &Value) -> u16 {
    address.as_str().unwrap().parse::<SocketAddr>().unwrap().port()
}

#[test]
fn deliveries_come_from_ports_that_clients_do_not_draw() {
    let mesh = Mesh::start("delports", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    for to in server.both() {
        let said = mesh.pod("client").dial("plain", to);
        assert!(port_of(&said["seen"]) >= 61_000, "{said}");
        assert!(port_of(&said["local"]) < 61_000, "{said}");
    }
    let reserved = "/proc/sys/net/ipv4/ip_local_reserved_ports";
    let reserved = mesh.pod("client").ns.run(|| std::fs::read_to_string(reserved)).unwrap();
    assert!(reserved.unwrap().contains("61000-65535"));
}

#[test]
fn connections_older_than_enrolment_go_on_and_are_not_run_over() {
    let mesh = Mesh::start("delold", |m| {
        m.node("a").outsider("client");
        m.node("b").outsider("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let mut old = mesh.pod("client").start_peer("idle-from", server.v4(), &[&300, &61_000]);
    assert_eq!(old.said(0)["open"], 300);
    mesh.move_to("server", "mesh");
    mesh.node("b").await_pod("server", "captured");
    let said = mesh.pod("client").ask_peer("many", server.v4(), &[&500]);
    assert_eq!((&said["done"], &said["failed"]), (&500.into(), &0.into()), "{said}");
    mesh.node("b").await_line("inbound", server.v4());
    let said = old.ask();
    assert_eq!((&said["done"], &said["failed"]), (&300.into(), &0.into()), "{said}");
}

#[test]
fn an_application_can_listen_while_deliveries_are_open() {
    let mesh = Mesh::start("dellisten", |m| {
        m.node("a").pod("client");
        m.node("b").pod_with("server", |manifest| manifest.port(8080).port(20_000));
    });
    let first = mesh.pod("server").serve("greet", 8080);
    let mut held = mesh.pod("client").start_peer("idle", first.v4(), &[&200]);
    assert_eq!(held.said(0)["open"], 200);
    let later = mesh.pod("server").serve("greet", 20_000);
    assert_eq!(mesh.pod("client").dial("plain", later.v4())["ok"], true);
    let said = held.ask();
    assert_eq!(said["failed"], 0, "{said}");
}

#[test]
fn a_restarted_server_gets_its_port_again_while_clients_are_still_there() {
    let mesh = Mesh::start("delrestart", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let to = server.both();
    let clients: Vec<_> = to
        .iter()
        .map(|to| {
            let idle = mesh.pod("client").start_peer("idle", *to, &[&20]);
            let said = idle.lines().await_json("that all are open", |_| true);
            assert_eq!(said["open"], 20, "{said}");
            idle
        })
        .collect();
    // Its connections end, and the proxy's side of each stays on the port for a while.
    drop(server);
    let server = mesh.pod("server").serve("greet", 8080);
    for to in server.both() {
        assert_eq!(mesh.pod("client").dial("plain", to)["ok"], true);
    }
    drop(clients);
}
