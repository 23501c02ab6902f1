//! Every connection of an enrolled pod goes through its node's proxy, and neither end can tell.
use e2e::{Mesh, Setup};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A client and a server in the mesh, on two nodes.
fn two_pods(m: &mut Setup) {
    m.node("a").pod("client");
    m.node("b").pod("server");
}

fn ip_of(address: &Value) -> IpAddr {
    let text = address.as_str().unwrap_or_else(|| panic!("no address: {address}"));
    text.parse::<SocketAddr>().unwrap().ip()
}

/// Dials from `client` to `to` in `server`; checks what both applications and both proxies saw.
#[track_caller]
fn check(mesh: &Mesh, kind: &str, to: SocketAddr, more: &[&str]) -> Value {
    let (a, b) = (mesh.node("a"), mesh.node("b"));
    let seen = [a.access.count(), b.access.count()];
    let said = mesh.pod("client").dial_with(kind, to, more);
    let client = mesh.pod("client").ip_like(to);
    assert_eq!(said["ok"], true, "{kind} to {to}: {said}");
    assert_eq!(ip_of(&said["local"]), client, "{kind}: getsockname");
    assert_eq!(ip_of(&said["seen"]), client, "{kind}: what the server sees");
    assert_eq!(said["server"], to.to_string(), "{kind}: the address the server was reached at");
    for (node, seen, direction) in [(a, seen[0], "outbound"), (b, seen[1], "inbound")] {
        let line = node.await_line_after(seen, direction, to);
        assert_eq!(ip_of(&line["src.addr"]), client, "{kind}: {line}");
        assert_eq!(line["src.workload"], "client", "{kind}: {line}");
        assert_eq!(line["dst.workload"], "server", "{kind}: {line}");
        assert_eq!(line["close"], "done", "{kind}: {line}");
    }
    said
}

/// The same, and `getpeername` shows the address that was dialled.
#[track_caller]
fn check_unseen(mesh: &Mesh, kind: &str, to: SocketAddr, more: &[&str]) {
    let said = check(mesh, kind, to, more);
    assert_eq!(said["peer"], to.to_string(), "{kind}: getpeername");
}

/// Dials something that the proxy leaves alone; checks that it did.
#[track_caller]
fn check_untouched(mesh: &Mesh, kind: &str, to: SocketAddr, more: &[&str]) {
    let node = mesh.node("a");
    let counters = ["captured", "inbound"];
    let before = counters.map(|counter| node.counter("client", counter));
    let said = mesh.pod("client").dial_with(kind, to, more);
    assert_eq!(said["ok"], true, "{kind} to {to}: {said}");
    assert_eq!(said["peer"], to.to_string(), "{kind} to {to}: getpeername");
    let after = counters.map(|counter| node.counter("client", counter));
    assert_eq!(after, before, "{kind} to {to}: {counters:?}");
}

#[test]
fn capture_of_plain_connections_keeps_all_addresses() {
    let mesh = Mesh::start("capplain", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    for to in server.both() {
        check_unseen(&mesh, "plain", to, &[]);
    }
}

#[test]
fn capture_within_one_node() {
    let mesh = Mesh::start("caponenode", |m| {
        m.node("a").pod("client").pod("near");
    });
    let server = mesh.pod("near").serve("greet", 8080);
    for to in server.both() {
        let said = mesh.pod("client").dial("plain", to);
        assert_eq!(ip_of(&said["seen"]), mesh.pod("client").ip_like(to), "{said}");
        mesh.node("a").await_line("outbound", to);
        mesh.node("a").await_line("inbound", to);
    }
}

#[test]
fn capture_of_v4_mapped_addresses() {
    let mesh = Mesh::start("capmapped", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    check_unseen(&mesh, "mapped", server.v4(), &[]);
}

#[test]
fn capture_of_nonblocking_connects() {
    let mesh = Mesh::start("capnonblock", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    for to in server.both() {
        check_unseen(&mesh, "nonblocking", to, &[]);
    }
}

#[test]
fn capture_of_io_uring_connects() {
    let mesh = Mesh::start("capuring", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    for to in server.both() {
        check_unseen(&mesh, "uring", to, &[]);
    }
}

#[test]
fn capture_of_multipath_tcp() {
    let mesh = Mesh::start("capmptcp", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    if !std::path::Path::new("/proc/sys/net/mptcp").exists() {
        let said = mesh.pod("client").dial("multipath", server.v4());
        assert_eq!(said["stage"], "connect", "a kernel without MPTCP makes such a socket: {said}");
        return;
    }
    for to in server.both() {
        // Known limit: getpeername() of an MPTCP socket is answered by another layer.
        check(&mesh, "multipath", to, &[]);
    }
}

#[test]
fn capture_of_fast_open_both_ways() {
    let mesh = Mesh::start("captfo", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    for pod in ["client", "server"] {
        // Client and server, and data on the SYN without a cookie.
        mesh.pod(pod).ns.sysctl("ipv4/tcp_fastopen", "0x603").unwrap();
    }
    for kind in ["fast-open-send", "fast-open-connect"] {
        // The second one would have a cookie.
        for _ in 0..2 {
            check_unseen(&mesh, kind, server.v4(), &[]);
        }
        check_unseen(&mesh, kind, server.v6(), &[]);
    }
}

#[test]
fn capture_of_bound_sockets() {
    let mesh = Mesh::start("capbound", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    for to in server.both() {
        let own = mesh.pod("client").ip_like(to);
        for port in [0, 33_333] {
            let from = SocketAddr::new(own, port).to_string();
            check_unseen(&mesh, "bound", to, &[&from]);
        }
        check_unseen(&mesh, "bound-to-device", to, &["eth0"]);
    }
}

#[test]
fn capture_of_a_socket_used_again_after_af_unspec() {
    let mesh = Mesh::start("capreuse", two_pods);
    let far = mesh.pod("server").serve("greet", 8080);
    let own = mesh.pod("client").serve("greet", 7070);
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, own.port));
    // First somewhere in the mesh, then where nothing is captured; and the other way round.
    let said = mesh.pod("client").dial_with("reused", loopback, &[&far.v4().to_string()]);
    assert_eq!(said["ok"], true, "{said}");
    assert_eq!(said["peer"], loopback.to_string(), "a stale destination: {said}");
    // What was let go by AF_UNSPEC was reset.
    for (node, direction) in [("a", "outbound"), ("b", "inbound")] {
        let line = mesh.node(node).await_line(direction, far.v4());
        assert_eq!(line["close"], "source_reset", "{line}");
    }
    check_unseen(&mesh, "reused", far.v4(), &[&loopback.to_string()]);
}

#[test]
fn capture_of_marked_sockets() {
    let mesh = Mesh::start("capmarked", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    check_unseen(&mesh, "marked", server.v4(), &["7"]);
}

#[test]
fn capture_leaves_loopback_and_the_own_address_alone() {
    let mesh = Mesh::start("capown", two_pods);
    let client = mesh.pod("client");
    let own = client.serve("greet", 7070);
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    for ip in loopback.into_iter().chain(client.ns.ips()) {
        check_untouched(&mesh, "plain", SocketAddr::new(ip, own.port), &[]);
    }
    check_untouched(&mesh, "mapped", own.v4(), &[]);
}

#[test]
fn capture_leaves_pods_outside_the_mesh_alone() {
    let mesh = Mesh::start("capoutside", |m| {
        m.node("a").outsider("one").outsider("two").pod("client");
        m.node("b").pod("server");
    });
    let (outside, inside) =
        (mesh.pod("two").serve("greet", 80), mesh.pod("server").serve("greet", 80));
    let (a, b) = (mesh.node("a"), mesh.node("b"));
    for to in outside.both() {
        // Neither end is in the mesh.
        let said = mesh.pod("one").dial("plain", to);
        assert_eq!(said["ok"], true, "{said}");
    }
    for to in inside.both() {
        // The server's node alone carries it.
        let said = mesh.pod("one").dial("plain", to);
        assert_eq!(ip_of(&said["seen"]), mesh.pod("one").ip_like(to), "{said}");
        assert_eq!(ip_of(&b.await_line("inbound", to)["src.addr"]), ip_of(&said["local"]));
    }
    for to in outside.both() {
        // The client's node alone carries it.
        let said = mesh.pod("client").dial("plain", to);
        assert_eq!(ip_of(&said["seen"]), mesh.pod("client").ip_like(to), "{said}");
        a.await_line("outbound", to);
    }
    let lines = a.access.json();
    assert_eq!(lines.len(), 2, "only the client's two were carried: {lines:?}");
}

#[test]
fn capture_leaves_the_hosts_probes_alone() {
    let mesh = Mesh::start("capprobe", |m| {
        m.node("a").pod("client");
    });
    let server = mesh.pod("client").serve("greet", 8080);
    let node = mesh.node("a");
    for to in server.both() {
        let inbound = node.counter("client", "inbound");
        let said = node.dial("plain", to);
        assert_eq!(said["ok"], true, "{said}");
        assert_eq!(said["seen"], said["local"], "nobody is between: {said}");
        assert_eq!(node.counter("client", "inbound"), inbound);
    }
}

#[test]
fn capture_takes_the_hosts_connections_that_are_no_probes() {
    let mesh = Mesh::start("capnoprobe", |m| {
        m.node("a").pod("client").pod("kubelet").setting("prober_cgroup: CGROUP/pod-kubelet");
    });
    let server = mesh.pod("client").serve("greet", 8080);
    let node = mesh.node("a");
    for to in server.both() {
        let said = node.dial("plain", to);
        assert_eq!(said["ok"], true, "{said}");
        node.await_line("inbound", to);
    }
}

#[test]
fn capture_leaves_excluded_destinations_alone() {
    let mesh = Mesh::start("capexclude", |m| {
        m.node("a")
            .pod("client")
            .setting("exclude: [\"10.77.2.10:8080\", \"fd77:0:0:2::/64:8080\"]");
        m.node("b").outsider("server");
    });
    let left_alone = mesh.pod("server").serve("greet", 8080);
    let captured = mesh.pod("server").serve("greet", 8081);
    for to in left_alone.both() {
        check_untouched(&mesh, "plain", to, &[]);
    }
    check_untouched(&mesh, "mapped", left_alone.v4(), &[]);
    assert!(mesh.node("a").counter("client", "excluded") >= 3);
    for to in captured.both() {
        assert_eq!(mesh.pod("client").dial("plain", to)["ok"], true);
        mesh.node("a").await_line("outbound", to);
    }
}

#[test]
fn capture_refuses_a_family_without_an_address() {
    let v4: IpAddr = "10.77.1.10".parse().unwrap();
    let mesh = Mesh::start("capfamily", |m| {
        m.node("a").pod_with("client", move |manifest| manifest.ips(&[v4]));
        m.node("b").outsider("server");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let said = mesh.pod("client").dial("plain", server.v6());
    assert_eq!(said["stage"], "connect", "{said}");
    assert_eq!(mesh.node("a").counter("client", "refused_family"), 1);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
}

#[test]
fn capture_with_syn_cookies() {
    let mesh = Mesh::start("capcookies", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    for pod in ["client", "server"] {
        // Always, as in a flood.
        mesh.pod(pod).ns.sysctl("ipv4/tcp_syncookies", "2").unwrap();
    }
    for to in server.both() {
        check_unseen(&mesh, "plain", to, &[]);
    }
}
