//! Two pods of one node: handed over in the process first, direct from then on.
use crate::steps::{await_dial, fields, hold, policy, service, sing, sung};
use e2e::{Mesh, Server, Setup, eventually};
use serde_json::{Value, json};

const PING: u64 = "ping\n".len() as u64;

fn one_node(m: &mut Setup) {
    m.plane();
    m.node("a").pod("client").pod("other").pod("near");
}

fn directs(mesh: &Mesh, pod: &str) -> u64 {
    mesh.node("a").counter(pod, "direct")
}

/// A connection that went direct, after as many as it takes; what both its ends saw.
#[track_caller]
fn dial_direct(mesh: &Mesh, from: &str, to: std::net::SocketAddr) -> Value {
    eventually("direct connection", || {
        let before = directs(mesh, from);
        let said = mesh.pod(from).dial("plain", to);
        assert_eq!(said["ok"], true, "{said}");
        (directs(mesh, from) > before).then_some(said)
    })
}

/// Waits for the line of the connection that saw this, in this direction.
#[track_caller]
fn line_of(mesh: &Mesh, said: &Value, direction: &str) -> Value {
    mesh.node("a").await_access("its line", |line| {
        line["src.addr"] == said["local"] && line["direction"] == direction
    })
}

fn greeter(mesh: &Mesh) -> Server {
    mesh.pod("near").serve("greet", 8080)
}

#[test]
fn the_first_is_handed_over_and_later_ones_go_direct() {
    let mesh = Mesh::start("localfirst", one_node);
    let near = greeter(&mesh);
    for to in near.both() {
        let before = directs(&mesh, "client");
        let said = mesh.pod("client").dial("plain", to);
        assert_eq!(said["ok"], true, "{said}");
        assert_eq!(directs(&mesh, "client"), before, "nothing is known of the first");
        let first = json!({"path": "local", "close": "done"});
        let said_direct = dial_direct(&mesh, "client", to);
        assert_eq!(said_direct["seen"], said_direct["local"], "address and port of the client");
        assert_eq!(said_direct["peer"], to.to_string());
        let greeting =
            ["seen", "server"].map(|s| said_direct[s].as_str().unwrap().len() as u64 + 1);
        for direction in ["outbound", "inbound"] {
            fields(&line_of(&mesh, &said, direction), &first);
            let direct = json!({
                "path": "direct", "close": "done", "dst.addr": to.to_string(),
                "src.identity": "spiffe://cluster.local/ns/mesh/sa/client",
                "dst.identity": "spiffe://cluster.local/ns/mesh/sa/near",
                "bytes_sent": PING, "bytes_recv": PING + greeting[0] + greeting[1],
            });
            fields(&line_of(&mesh, &said_direct, direction), &direct);
        }
    }
}

#[test]
fn direct_connections_are_counted_by_both_reporters() {
    let mesh = Mesh::start("localcount", one_node);
    let near = greeter(&mesh);
    dial_direct(&mesh, "client", near.v4());
    let count = |reporter: &str, name: &str| {
        let labels = [reporter, "source_workload=\"client\"", "destination_workload=\"near\""];
        mesh.node("a").metric(name, &labels)
    };
    let both = || {
        ["reporter=\"source\"", "reporter=\"destination\""].map(|reporter| {
            ["opened", "closed"]
                .map(|what| count(reporter, &format!("istio_tcp_connections_{what}_total")))
        })
    };
    // The events of the one before may still be on their way.
    let before = eventually("ends of all", || {
        let [source, destination] = both();
        (source == destination && source[0] == source[1]).then_some(source[0])
    });
    let direct = directs(&mesh, "client");
    let said = mesh.pod("client").ask_peer("many", near.v4(), &[&20]);
    assert_eq!(said["done"], 20, "{said}");
    assert_eq!(directs(&mesh, "client"), direct + 20);
    eventually("counts of twenty more", || (both() == [[before + 20.0; 2]; 2]).then_some(()));
}

#[test]
fn a_change_of_policy_ends_direct_connections_it_forbids() {
    let mesh = Mesh::start("localpolicy", one_node);
    let near = greeter(&mesh);
    let direct = |from| {
        eventually("direct connection that stays", || {
            let before = directs(&mesh, from);
            let held = hold(&mesh, from, near.v4());
            (directs(&mesh, from) > before).then_some(held)
        })
    };
    let (mut kept, cut) = (direct("client"), direct("other"));
    let other = "[{from: [{source: {principals: [\"cluster.local/ns/mesh/sa/other\"]}}]}]";
    mesh.write("deny.yaml", &policy("no-other", "DENY", "app: near", other));
    let end = cut.lines().await_json("the end", |line| line["ok"] == false);
    assert_eq!(end["error"], "ConnectionReset", "{end}");
    let line = mesh.node("a").await_access("that it was revoked", |line| {
        line["close"] == "policy_revoked" && line["direction"] == "inbound"
    });
    fields(&line, &json!({"path": "direct", "src.workload": "other"}));
    assert!(line.to_string().contains("no-other"), "{line}");
    assert_eq!(kept.ask()["ok"], true, "who is allowed is not disturbed");
    let said = mesh.pod("other").dial("plain", near.v4());
    assert_eq!(said["ok"], false, "{said}");
    // What was decided before the change is forgotten, and decided anew.
    dial_direct(&mesh, "client", near.v4());
    mesh.remove("deny.yaml");
    await_dial(&mesh, "other", near.v4(), true);
    dial_direct(&mesh, "other", near.v4());
}

#[test]
fn a_services_connections_go_direct_too() {
    let mesh = Mesh::start("localvip", one_node);
    let _near = greeter(&mesh);
    mesh.write("web.yaml", &service("web", "10.96.0.7", "app: near"));
    let vip = "10.96.0.7:80".parse().unwrap();
    eventually("service", || {
        let services = mesh.node("a").document("/config_dump")["services"].to_string();
        services.contains("10.96.0.7").then_some(())
    });
    let said = dial_direct(&mesh, "client", vip);
    assert_eq!(said["peer"], vip.to_string(), "what was dialled is what is seen");
    let line = line_of(&mesh, &said, "outbound");
    fields(&line, &json!({"path": "direct", "close": "done", "dst.workload": "near"}));
    assert_eq!(line["dst.service"], "web.mesh.svc.cluster.local", "{line}");
    mesh.write("deny.yaml", &policy("nobody", "DENY", "app: near", "[{}]"));
    await_dial(&mesh, "client", vip, false);
}

#[test]
fn without_a_proxy_nothing_goes_direct() {
    let mesh = Mesh::start("localkilled", one_node);
    let near = greeter(&mesh);
    dial_direct(&mesh, "client", near.v4());
    mesh.node("a").kill();
    // What was permitted holds for as long as the lease, a moment.
    await_dial(&mesh, "client", near.v4(), false);
    mesh.node("a").start();
    dial_direct(&mesh, "client", near.v4());
}

#[test]
fn a_setting_encrypts_even_within_a_node() {
    let mesh = Mesh::start("localencrypt", |m| {
        m.plane();
        m.node("a").pod("client").pod("near").setting("encrypt_local: true");
        m.node("b").pod("one").pod("two");
    });
    let near = greeter(&mesh);
    for to in near.both() {
        for _ in 0..3 {
            let said = mesh.pod("client").dial("plain", to);
            assert_eq!(said["ok"], true, "{said}");
            for direction in ["outbound", "inbound"] {
                let line = line_of(&mesh, &said, direction);
                fields(&line, &json!({"path": "tunnel", "close": "done"}));
            }
        }
    }
    assert_eq!(directs(&mesh, "client"), 0);
    let echo = mesh.pod("near").serve("echo", 8081);
    assert_eq!(sung(&mesh, &["a"], "client", echo.v4()), 0);
    let plain = mesh.pod("two").serve("echo", 8081);
    eventually("direct connection", || {
        let before = mesh.node("b").counter("one", "direct");
        sing(&mesh, "one", plain.v4());
        (mesh.node("b").counter("one", "direct") > before).then_some(())
    });
    assert!(sung(&mesh, &["b"], "one", plain.v4()) > 0, "what goes direct is not encrypted");
}
