//! What a connection carries arrives: every byte, each half's end, and resets.
use e2e::Mesh;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// How the two pods' nodes talk to each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// Each is a mesh of its own.
    Plain,
    /// They have one control plane, and speak in tunnels.
    Tunnel,
    /// The pods are on one node, whose proxy hands the first connection over.
    Local,
}

impl Way {
    /// A client and a server, and a mesh for them.
    #[track_caller]
    pub(crate) fn mesh(self, test: &str) -> Mesh {
        // The names of the labs differ.
        let (mark, [client, server]) = match self {
            Self::Plain => ("", self.nodes()),
            Self::Tunnel => ("t", self.nodes()),
            Self::Local => ("l", self.nodes()),
        };
        Mesh::start(&format!("{test}{mark}"), |m| {
            if !matches!(self, Self::Plain) {
                m.plane();
            }
            let node = m.node(client).pod("client");
            let node = if client == server { node } else { m.node(server) };
            node.pod("server");
        })
    }

    /// The nodes of client and server.
    pub(crate) const fn nodes(self) -> [&'static str; 2] {
        if matches!(self, Self::Local) { ["a", "a"] } else { ["a", "b"] }
    }

    /// What access lines say of it.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tunnel => "tunnel",
            Self::Local => "local",
        }
    }
}

/// Makes each scenario a test of either way.
macro_rules! either_way {
    ($($scenario:ident),+ $(,)?) => {
        mod plain {
            $(#[test] fn $scenario() { super::$scenario(crate::forwarding::Way::Plain); })+
        }
        mod tunnel {
            $(#[test] fn $scenario() { super::$scenario(crate::forwarding::Way::Tunnel); })+
        }
    };
}
pub(crate) use either_way;

either_way!(
    carries_a_hundred_mebibytes_up_and_down_unchanged,
    the_clients_half_may_end_first,
    the_servers_half_may_end_first,
    the_clients_reset_reaches_the_server_as_a_reset,
    the_servers_reset_reaches_the_client_as_a_reset,
    the_server_may_speak_first_or_last,
    ten_thousand_short_connections_from_eight_thousand_ports,
    two_thousand_idle_connections_at_once,
);

/// And those of which every connection is the first to its destination.
mod local {
    use super::Way::Local;

    #[test]
    fn carries_a_hundred_mebibytes_up_and_down_unchanged() {
        super::carries_a_hundred_mebibytes_up_and_down_unchanged(Local);
    }

    #[test]
    fn one_half_may_end_first() {
        super::the_clients_half_may_end_first(Local);
        super::the_servers_half_may_end_first(Local);
    }

    #[test]
    fn resets_arrive_as_resets() {
        super::the_clients_reset_reaches_the_server_as_a_reset(Local);
        super::the_servers_reset_reaches_the_client_as_a_reset(Local);
    }
}

/// The access lines of both nodes for the connection that was just made.
#[track_caller]
fn lines(mesh: &Mesh, way: Way, to: std::net::SocketAddr) -> [Value; 2] {
    let [client, server] = way.nodes();
    let lines =
        [mesh.node(client).await_line("outbound", to), mesh.node(server).await_line("inbound", to)];
    for line in &lines {
        assert_eq!(line["path"], way.path(), "{line}");
    }
    lines
}

fn carries_a_hundred_mebibytes_up_and_down_unchanged(way: Way) {
    let mesh = way.mesh("fwdbulk");
    let bytes = 100 * MIB;
    let sink = mesh.pod("server").serve("sink", 8080);
    let source = mesh.pod("server").serve_with("source", 8081, &[&bytes.to_string()]);
    let up = mesh.pod("client").ask_peer("upload", sink.v4(), &[&bytes]);
    assert_eq!(up["ok"], true, "{up}");
    let down = mesh.pod("client").ask_peer("download", source.v6(), &[&bytes]);
    assert_eq!(down["ok"], true, "{down}");
    for line in lines(&mesh, way, sink.v4()) {
        assert_eq!(line["bytes_sent"], bytes, "{line}");
    }
    for line in lines(&mesh, way, source.v6()) {
        assert_eq!(line["bytes_recv"], bytes, "{line}");
    }
}

fn the_clients_half_may_end_first(way: Way) {
    let mesh = way.mesh("fwdhalfc");
    let server = mesh.pod("server").serve("sink", 8080);
    for to in server.both() {
        // The answer comes only after the server has seen the end.
        let said = mesh.pod("client").ask_peer("half-close", to, &[&(3 * MIB + 1)]);
        assert_eq!(said["ok"], true, "{said}");
    }
}

fn the_servers_half_may_end_first(way: Way) {
    let mesh = way.mesh("fwdhalfs");
    let server = mesh.pod("server").serve_with("source", 8080, &["1000000"]);
    for to in server.both() {
        let said = mesh.pod("client").ask_peer("outlive", to, &[&(2 * MIB)]);
        assert_eq!((&said["ok"], &said["bytes"]), (&true.into(), &1_000_000.into()), "{said}");
        let ended = server
            .running
            .lines()
            .await_json("the whole upload", |line| line["how"]["bytes"] == json!(2 * MIB));
        assert_eq!(ended["how"]["ok"], true);
    }
}

fn the_clients_reset_reaches_the_server_as_a_reset(way: Way) {
    let mesh = way.mesh("fwdrstc");
    let server = mesh.pod("server").serve("echo", 8080);
    let said = mesh.pod("client").ask_peer("abort", server.v4(), &[]);
    assert_eq!(said["ok"], true, "{said}");
    let ended = server.running.lines().await_json("an end", |line| line.get("ended").is_some());
    assert_eq!(ended["how"]["error"], "ConnectionReset", "{ended}");
    for line in lines(&mesh, way, server.v4()) {
        assert_eq!(line["close"], "source_reset", "{line}");
    }
}

fn the_servers_reset_reaches_the_client_as_a_reset(way: Way) {
    let mesh = way.mesh("fwdrsts");
    let server = mesh.pod("server").serve("reset", 8080);
    let said = mesh.pod("client").ask_peer("abort", server.v4(), &[]);
    assert_eq!(said["error"], "ConnectionReset", "{said}");
    for line in lines(&mesh, way, server.v4()) {
        assert_eq!(line["close"], "destination_reset", "{line}");
    }
}

#[test]
fn a_port_where_nobody_listens_resets_the_client() {
    let mesh = Mesh::start("fwdclosed", |m| {
        m.node("a").pod("client");
        m.node("b").pod("server").outsider("stranger");
    });
    let client = mesh.pod("client");
    for (pod, inside) in [("server", true), ("stranger", false)] {
        for ip in mesh.pod(pod).ns.ips() {
            let to = std::net::SocketAddr::new(ip, 4444);
            let said = client.dial("plain", to);
            // The proxy took the connect; where the reset is noticed is a matter of luck.
            assert_eq!(said["error"], "ConnectionReset", "{to}: {said}");
            let line = mesh.node("a").await_line("outbound", to);
            // The other proxy takes the connect, too, before it knows.
            let expect = if inside { "destination_reset" } else { "upstream_refused" };
            assert_eq!(line["close"], expect, "{line}");
            if inside {
                assert_eq!(mesh.node("b").await_line("inbound", to)["close"], "upstream_refused");
            }
        }
    }
}

fn the_server_may_speak_first_or_last(way: Way) {
    let mesh = way.mesh("fwdfirst");
    let first = mesh.pod("server").serve("greet", 8080);
    let last = mesh.pod("server").serve("http", 8081);
    assert_eq!(mesh.pod("client").dial("plain", first.v4())["ok"], true);
    let mut load = mesh.pod("client").start_peer("load", last.v4(), &[&50]);
    assert_eq!(load.lines().await_json("that it loads", |_| true)["ok"], true);
    mesh.node("b").await_line("inbound", last.v4());
    assert!(load.runs());
    let said = load.finish();
    assert_eq!(said["ok"], true, "{said}");
}

fn ten_thousand_short_connections_from_eight_thousand_ports(way: Way) {
    let mesh = way.mesh("fwdmany");
    let server = mesh.pod("server").serve("greet", 8080);
    // The client's kernel sees one destination whatever is dialled: without reuse of TIME_WAIT
    // these ports would be used up.
    mesh.pod("client").ns.sysctl("ipv4/ip_local_port_range", "40000 47999").unwrap();
    let said = mesh.pod("client").ask_peer("many", server.v4(), &[&10_000]);
    assert_eq!((&said["done"], &said["failed"]), (&10_000.into(), &0.into()), "{said}");
    for node in ["a", "b"] {
        let open = || mesh.node(node).metric("culvert_connections_open", &[]);
        e2e::eventually("end of every connection", || (open() == 0.0).then_some(()));
    }
}

fn two_thousand_idle_connections_at_once(way: Way) {
    let mesh = way.mesh("fwdidle");
    let server = mesh.pod("server").serve("greet", 8080);
    let mut idle = mesh.pod("client").start_peer("idle", server.v4(), &[&2000]);
    let said = idle.lines().await_json("that all are open", |_| true);
    assert_eq!(said["open"], 2000, "{said}");
    let open = mesh.node("a").metric("culvert_connections_open", &["direction=\"outbound\""]);
    assert_eq!(open, 2000.0);
    // Others are served meanwhile, and every one still works after its sleep.
    assert_eq!(mesh.pod("client").dial("plain", server.v6())["ok"], true);
    for _ in 0..2 {
        let said = idle.ask();
        assert_eq!((&said["done"], &said["failed"]), (&2000.into(), &0.into()), "{said}");
    }
}
