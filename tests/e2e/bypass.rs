//! Ways around the proxy, and what becomes of whoever takes them.
use e2e::{Mesh, Setup};
use std::net::{Ipv4Addr, SocketAddr};

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client");
    m.node("b").pod("server");
}

/// The ports that the proxy opened in a pod: those that were not there before.
fn proxys_ports(mesh: &Mesh, pod: &str) -> Vec<u16> {
    let ports = mesh.pod(pod).listening();
    assert!(!ports.is_empty(), "the proxy listens in no port of {pod}");
    ports
}

#[test]
fn a_raw_syn_is_dropped_where_the_node_is_strict() {
    let mesh = Mesh::start("bypstrict", |m| {
        m.node("a").pod("client").setting("strict: true");
        m.node("b").outsider("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let client = mesh.pod("client");
    for (dropped, to) in (1..).zip(server.both()) {
        let from = SocketAddr::new(client.ip_like(to), 44_444).to_string();
        let said = client.peer(&["raw-syn", &from, &to.to_string()]).last_words();
        assert_eq!(said["answer"], "none", "{said}");
        assert_eq!(mesh.node("a").counter("client", "guard_dropped"), dropped);
    }
    // What the proxy makes for the pod passes, and so does what comes to the pod.
    for kind in ["plain", "uring"] {
        for to in server.both() {
            assert_eq!(client.dial(kind, to)["ok"], true, "{kind} to {to}");
        }
    }
    let own = client.serve("greet", 7070);
    for to in own.both() {
        assert_eq!(mesh.pod("server").dial("plain", to)["ok"], true, "{to}");
    }
}

#[test]
fn a_raw_syn_without_the_guard_is_met_by_the_other_ends_capture() {
    let mesh = Mesh::start("bypraw", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let client = mesh.pod("client");
    for to in server.both() {
        let from = SocketAddr::new(client.ip_like(to), 44_444).to_string();
        let inbound = mesh.node("b").counter("server", "inbound");
        let said = client.peer(&["raw-syn", &from, &to.to_string()]).last_words();
        assert_eq!(said["answer"], "syn-ack", "{said}");
        assert_eq!(mesh.node("b").counter("server", "inbound"), inbound + 1);
    }
}

#[test]
fn a_connect_to_the_pods_own_listener_is_closed() {
    let mesh = Mesh::start("byplisten", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let client = mesh.pod("client");
    for port in proxys_ports(&mesh, "client") {
        for ip in [Ipv4Addr::LOCALHOST.into(), client.v4()] {
            let said = client.dial("plain", SocketAddr::new(ip, port));
            assert_ne!(said["ok"], true, "{ip}:{port}: {said}");
        }
    }
    mesh.node("a").await_access("a refusal", |line| line["close"] == "not_captured");
    assert_eq!(client.dial("plain", server.v4())["ok"], true);
}

#[test]
fn a_connect_to_another_pods_listener_is_closed() {
    let mesh = Mesh::start("bypother", |m| {
        m.node("a").pod("client").outsider("stranger");
        m.node("b").pod("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    for port in proxys_ports(&mesh, "server").into_iter().filter(|&port| port != server.port) {
        for from in ["client", "stranger"] {
            let said = mesh.pod(from).dial("plain", SocketAddr::new(mesh.pod("server").v4(), port));
            assert_ne!(said["ok"], true, "{from} to {port}: {said}");
        }
    }
    // No loop was left behind.
    assert_eq!(mesh.pod("stranger").dial("plain", server.v4())["ok"], true);
    e2e::eventually("end of every connection", || {
        let open = mesh.node("b").metric("culvert_connections_open", &[]);
        (open == 0.0).then_some(())
    });
}

#[test]
fn the_proxys_marks_on_an_applications_socket_open_nothing() {
    let mesh = Mesh::start("bypmark", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    // The mark of deliveries: whoever sets it only loses his own way.
    let said = mesh.pod("client").dial_with("marked", server.v4(), &["1337"]);
    if said["ok"] == true {
        mesh.node("a").await_line("outbound", server.v4());
    }
    let seen = server.running.lines().json().iter().filter(|l| l.get("accepted").is_some()).count();
    assert_eq!(seen, usize::from(said["ok"] == true), "{said}");
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
}

#[test]
fn a_pods_tunnel_port_is_the_proxys() {
    let mesh = Mesh::start("byphbone", |m| {
        m.node("a").pod("client").outsider("stranger");
        m.node("b").pod("server").setting("handshake_timeout: 1s");
    });
    // An application may listen there, and is not heard of.
    let server = mesh.pod("server").serve("greet", 15_008);
    for to in server.both() {
        for pod in ["client", "stranger"] {
            assert_ne!(mesh.pod(pod).dial("plain", to)["ok"], true, "{pod}");
        }
    }
    let accepted = server.running.lines().json();
    assert!(accepted.iter().all(|line| line.get("accepted").is_none()), "{accepted:?}");
}

#[test]
fn admin_is_not_reached_from_pods() {
    let mesh = Mesh::start("bypadmin", |m| {
        m.node("a").pod("client").outsider("stranger");
    });
    let node = mesh.node("a").ns.ip4();
    for pod in ["client", "stranger"] {
        let said = mesh.pod(pod).dial("plain", SocketAddr::new(node.into(), 15_000));
        assert_ne!(said["ok"], true, "{pod}: {said}");
        assert_ne!(said["error"], "WouldBlock", "{pod} was let in and waits: {said}");
    }
}
