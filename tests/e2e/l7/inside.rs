//! Gateways of `culvert up`: strangers come in at the node itself, and are led to its own pods in the
//! gateway's name.
use super::{
    gateway::{HOST, ask, entry, is_led_to},
    service,
    visit::{certificate, edge},
};
use crate::steps::{STRICT, fields, policy};
use e2e::{Mesh, eventually};
use serde_json::json;

#[test]
fn gateways_run_in_the_process_of_the_node() {
    let mesh = Mesh::start("l7gwinside", |m| {
        let node = m.node("edge").setting("gateways: [mesh/edge, mesh/idle]");
        for pod in ["first", "second"] {
            node.pod_with(pod, |pod| pod.label("role", "shop"));
        }
        node.pod("client").outsider("visitor");
    });
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    mesh.write("shop.yaml", &service().replace(", labels: {culvert.dev/l7: enabled}", ""));
    mesh.write("strict.yaml", STRICT);
    let only = "[{from: [{source: {principals: [\"cluster.local/ns/mesh/sa/edge\"]}}]}]";
    mesh.write("policy.yaml", &policy("shop", "ALLOW", "role: shop", only));
    mesh.write("routes.yaml", &entry("tester"));
    let root = certificate(&mesh, HOST, ("mesh", "shop-cert"));
    is_led_to(&mesh, "", None, "first");
    is_led_to(&mesh, "tester", Some(&root), "second");
    let to = format!("{}:8080", mesh.pod("first").v4());
    for other in ["client", "visitor"] {
        let said = mesh.pod(other).peer(&["get", &to, "/"]).last_words();
        assert_eq!(said["ok"], false, "{other}: {said}");
    }
    // The one that nothing is said of waits, and disturbs nobody.
    let process = edge(&mesh).process();
    eventually("what is missing of the other", || {
        let log = process.log.text();
        let missing = |line: &str| line.contains("mesh/idle") && line.contains("to listen on");
        log.lines().any(missing).then_some(())
    });

    // Another process takes over, and nobody who comes meanwhile is turned away.
    edge(&mesh).start();
    is_led_to(&mesh, "tester", Some(&root), "second");
    assert!(edge(&mesh).terminate().success());
    assert_eq!(ask(&mesh, "", None)["curl"], 7, "nobody listens any more");
    let id = "spiffe://cluster.local/ns/mesh/sa/edge";
    let line = edge(&mesh).await_access("the server's line", |line| {
        line["direction"] == "inbound" && line["src.identity"] == id
    });
    fields(&line, &json!({"path": "tunnel"}));
}
