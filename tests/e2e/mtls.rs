//! Between nodes everything is encrypted, and each side knows who the other is.
use crate::steps::{fields, sung};
use e2e::{Mesh, Setup};
use serde_json::json;
use std::net::SocketAddr;

fn two_nodes(m: &mut Setup) {
    m.plane();
    m.node("a").pod("client").outsider("stranger");
    m.node("b").pod("server").outsider("listener");
}

#[test]
fn what_enrolled_pods_say_is_not_on_the_wire() {
    let mesh = Mesh::start("mtlswire", two_nodes);
    let server = mesh.pod("server").serve("echo", 8080);
    let outside = mesh.pod("listener").serve("echo", 8080);
    for to in server.both() {
        assert_eq!(sung(&mesh, &["a", "b"], "client", to), 0, "{to}");
    }
    assert!(
        sung(&mesh, &["a", "b"], "stranger", outside.v4()) > 0,
        "the tap hears what is not encrypted"
    );
}

#[test]
fn both_sides_know_each_others_identity() {
    let mesh = Mesh::start("mtlsident", two_nodes);
    let server = mesh.pod("server").serve("greet", 8080);
    for to in server.both() {
        let said = mesh.pod("client").dial("plain", to);
        assert_eq!(said["ok"], true, "{said}");
        let client = mesh.pod("client").ip_like(to).to_string();
        let seen: SocketAddr = said["seen"].as_str().unwrap().parse().unwrap();
        assert_eq!(seen.ip().to_string(), client, "the server sees the client's own address");
        assert_eq!(said["peer"], to.to_string(), "and the client the server's");
        for (node, direction) in [("a", "outbound"), ("b", "inbound")] {
            let line = mesh.node(node).await_line(direction, to);
            let expect = json!({
                "src.identity": "spiffe://cluster.local/ns/mesh/sa/client",
                "dst.identity": "spiffe://cluster.local/ns/mesh/sa/server",
                "src.addr": said["local"],
                "path": "tunnel", "close": "done",
            });
            fields(&line, &expect);
        }
    }
    for (node, reporter) in [("a", "source"), ("b", "destination")] {
        let labels = [
            format!("reporter=\"{reporter}\""),
            "connection_security_policy=\"mutual_tls\"".to_owned(),
            "source_principal=\"spiffe://cluster.local/ns/mesh/sa/client\"".to_owned(),
            "destination_principal=\"spiffe://cluster.local/ns/mesh/sa/server\"".to_owned(),
        ];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let opened = mesh.node(node).metric("istio_tcp_connections_opened_total", &labels);
        assert_eq!(opened, 2.0, "{node}");
    }
}

#[test]
fn a_stranger_and_an_enrolled_pod_talk_in_plain_text() {
    let mesh = Mesh::start("mtlsplain", two_nodes);
    let server = mesh.pod("server").serve("greet", 8080);
    let outside = mesh.pod("listener").serve("greet", 8080);
    assert_eq!(mesh.pod("stranger").dial("plain", server.v4())["ok"], true);
    let line = mesh.node("b").await_line("inbound", server.v4());
    fields(&line, &json!({"path": "plain", "close": "done"}));
    assert!(line.get("src.identity").is_none(), "{line}");
    assert_eq!(mesh.pod("client").dial("plain", outside.v4())["ok"], true);
    let line = mesh.node("a").await_line("outbound", outside.v4());
    fields(&line, &json!({"path": "plain", "close": "done"}));
}

#[test]
fn nobody_answers_where_nobody_listens() {
    let mesh = Mesh::start("mtlsclosed", two_nodes);
    for ip in mesh.pod("server").ns.ips() {
        let to = SocketAddr::new(ip, 4444);
        let said = mesh.pod("client").dial("plain", to);
        assert_eq!(said["error"], "ConnectionReset", "{to}: {said}");
        let line = mesh.node("a").await_line("outbound", to);
        assert_eq!(line["close"], "peer_unavailable", "{line}");
        let line = mesh.node("b").await_line("inbound", to);
        assert_eq!(line["close"], "upstream_refused", "{line}");
    }
}
