//! What requests leave behind: metrics of both reporters, and a line at either end.
use super::{get, service, versions};
use crate::steps::fields;
use e2e::{Mesh, Node, eventually, programs};
use serde_json::{Value, json};
use std::{io::Write as _, net::SocketAddr, process::Stdio};

/// `client` may ask for what is not below `/admin`.
const POLICY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: shop, namespace: mesh}
spec:
  selector: {matchLabels: {role: shop}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/mesh/sa/client, cluster.local/ns/mesh/sa/near]}}]
    to: [{operation: {notPaths: [/admin*]}}]
  - to: [{operation: {ports: ['9090']}}]
";

/// Nobody is behind it.
pub(super) const EMPTY: &str = "apiVersion: v1
kind: Service
metadata: {name: empty, namespace: mesh, labels: {culvert.dev/l7: enabled}}
spec:
  clusterIP: 10.96.7.12
  selector: {app: nobody}
  ports: [{name: http, port: 80, targetPort: 8080}]
";

pub(super) const SHOP: &str = "destination_service=\"shop.mesh.svc.cluster.local\"";

fn mesh(test: &str) -> Mesh {
    let mesh = Mesh::start(test, |m| {
        m.plane();
        m.node("a").pod("client");
        versions(m.node("b").pod("near"));
    });
    mesh.write("shop.yaml", &service());
    mesh.write("empty.yaml", EMPTY);
    mesh.write("policy.yaml", POLICY);
    mesh
}

/// Asks until requests are served and refused as they are to be.
pub(super) fn await_l7(mesh: &Mesh, from: &str) {
    eventually("the way through both engines", || {
        let served = get(mesh, from, "/", &[])["status"] == 200;
        (served && get(mesh, from, "/admin", &[])["status"] == 403).then_some(())
    });
}

fn count(node: &Node, labels: &[&str]) -> f64 {
    node.metric("istio_requests_total", labels)
}

/// Waits until a counter is exactly so high, and sees that it stays there.
#[track_caller]
fn reaches(node: &Node, labels: &[&str], expected: f64) {
    eventually(&format!("{expected} requests with {labels:?}"), || {
        (count(node, labels) >= expected).then_some(())
    });
    assert_eq!(count(node, labels).total_cmp(&expected), std::cmp::Ordering::Equal, "{labels:?}");
}

/// What both reporters say of requests from `from`, and no more.
fn labels<'a>(reporter: &'a str, source: &'a str, code: &'a str) -> [&'a str; 5] {
    [reporter, source, SHOP, "request_protocol=\"http\"", code]
}

const SOURCE: &str = "reporter=\"source\"";
const DESTINATION: &str = "reporter=\"destination\"";

#[track_caller]
fn request_line(node: &Node, direction: &str, path: &str, status: u16) -> Value {
    node.await_access("the line of a request", |line| {
        line["message"] == "request complete"
            && line["direction"] == direction
            && line["http.path"] == path
            && line["http.status"] == status
    })
}

#[test]
fn both_reporters_count_what_was_served_and_what_was_denied() {
    let mesh = mesh("l7requests");
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    await_l7(&mesh, "client");
    let (a, b) = (mesh.node("a"), mesh.node("b"));
    let source = "source_workload=\"client\"";
    let sides = [(a, SOURCE), (b, DESTINATION)];
    let of = |code: &'static str| {
        sides.map(|(node, reporter)| {
            let labels = labels(reporter, source, code);
            (node, labels, count(node, &labels))
        })
    };
    // The first ones are over; nobody asks but this test.
    for (node, reporter) in sides {
        let served = labels(reporter, source, "response_code=\"200\"");
        eventually("the first requests", || (count(node, &served) > 0.0).then_some(()));
    }
    let (served, denied) = (of("response_code=\"200\""), of("response_code=\"403\""));
    for _ in 0..7 {
        assert_eq!(get(&mesh, "client", "/item?of=shop", &[])["status"], 200);
    }
    for _ in 0..3 {
        assert_eq!(get(&mesh, "client", "/admin/x", &[])["status"], 403);
    }
    for (more, before) in [(7.0, served), (3.0, denied)] {
        for (node, labels, before) in before {
            reaches(node, &labels, before + more);
        }
    }
    // One flow, told once: both know both ends, and nobody counts its connection too.
    for (node, reporter) in sides {
        let both = [
            reporter,
            source,
            SHOP,
            "source_principal=\"spiffe://cluster.local/ns/mesh/sa/client\"",
            "connection_security_policy=\"mutual_tls\"",
            "response_flags=\"-\"",
        ];
        assert!(count(node, &both) >= 7.0, "{both:?}: {}", node.metrics());
        let connections = node.metric("istio_tcp_connections_opened_total", &[source, SHOP]);
        assert!(connections < 0.5, "{}", node.metrics());
        let took = "istio_request_duration_milliseconds_count";
        assert!(node.metric(took, &both) >= 7.0);
        assert!(node.metric("istio_response_bytes_sum", &both) > 0.0);
    }
    read_by_promtool(a);
}

#[test]
fn a_request_has_a_line_at_either_end() {
    let mesh = mesh("l7lines");
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    await_l7(&mesh, "client");
    let (a, b) = (mesh.node("a"), mesh.node("b"));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01");
    assert_eq!(get(&mesh, "client", "/traced?x=1", &[&traceparent])["status"], 200);
    assert_eq!(get(&mesh, "client", "/admin/traced", &[&traceparent])["status"], 403);
    for (node, direction) in [(a, "outbound"), (b, "inbound")] {
        let line = request_line(node, direction, "/traced?x=1", 200);
        fields(
            &line,
            &json!({
                "level": "info", "src.workload": "client", "src.namespace": "mesh",
                "src.identity": "spiffe://cluster.local/ns/mesh/sa/client",
                "dst.service": "shop.mesh.svc.cluster.local", "dst.namespace": "mesh",
                "http.method": "GET", "http.version": "HTTP/1.1", "path": "tunnel",
                "response_details": "via_upstream", "trace_id": trace,
            }),
        );
        let server = line["dst.workload"].as_str().unwrap();
        assert_eq!(line["dst.identity"], format!("spiffe://cluster.local/ns/mesh/sa/{server}"));
        assert!(line["bytes_recv"].as_u64() > Some(0), "{line}");
        assert!(line["request_id"].is_string(), "{line}");
    }
    let line = request_line(b, "inbound", "/admin/traced", 403);
    let details = line["response_details"].as_str().unwrap();
    assert!(details.starts_with("rbac_access_denied"), "{line}");
    fields(&line, &json!({"src.identity": "spiffe://cluster.local/ns/mesh/sa/client"}));
}

#[test]
fn what_was_served_by_which_configuration_is_on_its_line() {
    let mesh = mesh("l7stamp");
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    await_l7(&mesh, "client");
    assert_eq!(get(&mesh, "client", "/before", &[])["status"], 200);
    let (a, b) = (mesh.node("a"), mesh.node("b"));
    let of = |node, direction, path, status| {
        let line = request_line(node, direction, path, status);
        line["configuration"].as_str().unwrap().parse::<u32>().unwrap()
    };
    let before = [of(a, "outbound", "/before", 200), of(b, "inbound", "/before", 200)];
    mesh.write("policy.yaml", &POLICY.replace("[/admin*]", "[/admin*, /item*]"));
    eventually("the changed policy", || {
        (get(&mesh, "client", "/item", &[])["status"] == 403).then_some(())
    });
    // Who denied it had the newer one; at the client nothing has changed.
    assert!(of(b, "inbound", "/item", 403) > before[1]);
    assert_eq!(of(a, "outbound", "/item", 403), before[0]);
    let engine = ["engine=\"mesh\""];
    let now = b.metric("culvert_l7_generation", &engine);
    assert!(now > before[1].into(), "{now}");
    let admin = SocketAddr::from(([127, 0, 0, 1], 15000));
    let (_, engines) = b.ask(admin, "/l7").unwrap();
    let engines: Value = serde_json::from_str(&engines).unwrap();
    assert_eq!(engines[0]["generation"], now.to_string(), "{engines}");
}

#[test]
fn a_request_that_nobody_answered_is_told_of_where_it_was_made() {
    let mesh = mesh("l7nobody");
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    await_l7(&mesh, "client");
    let said = eventually("an answer of the engine", || {
        let said = mesh.pod("client").peer(&["get", "10.96.7.12:80", "/gone"]).last_words();
        (said["status"] == 503).then_some(said)
    });
    assert_eq!(said["body"], "no healthy upstream");
    let a = mesh.node("a");
    let labels = [
        SOURCE,
        "destination_service=\"empty.mesh.svc.cluster.local\"",
        "destination_workload=\"unknown\"",
        "destination_cluster=\"Kubernetes\"",
        "response_code=\"503\"",
        "response_flags=\"UH\"",
        "connection_security_policy=\"none\"",
    ];
    eventually("the request", || (count(a, &labels) > 0.0).then_some(()));
    let line = request_line(a, "outbound", "/gone", 503);
    fields(&line, &json!({"level": "error", "response_flags": "UH"}));
    assert!(line.get("dst.workload").is_none(), "{line}");
}

#[test]
fn two_pods_of_a_node_are_counted_by_both_reporters_there() {
    let mesh = mesh("l7near");
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    await_l7(&mesh, "near");
    let b = mesh.node("b");
    let before = [SOURCE, DESTINATION].map(|reporter| {
        let labels = labels(reporter, "source_workload=\"near\"", "response_code=\"200\"");
        eventually("the first request", || (count(b, &labels) > 0.0).then_some(()));
        (labels, count(b, &labels))
    });
    for _ in 0..5 {
        assert_eq!(get(&mesh, "near", "/", &[])["status"], 200);
    }
    for (labels, before) in before {
        reaches(b, &labels, before + 5.0);
        let all = labels.iter().copied().chain([
            "connection_security_policy=\"none\"",
            "source_principal=\"spiffe://cluster.local/ns/mesh/sa/near\"",
        ]);
        let all: Vec<_> = all.collect();
        assert!(count(b, &all) >= 5.0, "{all:?}: {}", b.metrics());
    }
}

#[track_caller]
fn read_by_promtool(node: &Node) {
    let mut promtool = programs::of_machine("promtool", "prometheus");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(node.metrics().as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    // 3: readable, but Istio's names are not what promtool would have called them.
    let words = String::from_utf8(said.stderr).unwrap();
    assert!([Some(0), Some(3)].contains(&said.status.code()), "{words}");
}
