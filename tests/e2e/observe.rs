//! What happened can be seen: access log, metrics, admin.
use e2e::{Mesh, Setup, eventually, programs};
use serde_json::{Value, json};
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

fn two_pods(m: &mut Setup) {
    m.node("a").pod("client");
    m.node("b").pod("server");
}

#[track_caller]
fn json_of(mesh: &Mesh, args: &[&str]) -> Value {
    let said = mesh.node("a").cli(args);
    let text = String::from_utf8(said.stdout).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

#[test]
fn an_access_line_tells_both_ends_bytes_and_the_close() {
    let mesh = Mesh::start("obsaccess", two_pods);
    let server = mesh.pod("server").serve("sink", 8080);
    let said = mesh.pod("client").ask_peer("upload", server.v4(), &[&123_456]);
    let source = said["local"].as_str().unwrap();
    let answer = 7; // "123456\n"
    for (node, direction) in [("a", "outbound"), ("b", "inbound")] {
        let line = mesh.node(node).await_line(direction, server.v4());
        let expect = json!({
            "src.workload": "client", "src.namespace": "mesh",
            "dst.workload": "server", "dst.namespace": "mesh",
            "bytes_sent": 123_456, "bytes_recv": answer, "close": "done", "path": "plain",
        });
        for (key, value) in expect.as_object().unwrap() {
            assert_eq!(&line[key], value, "{key} of {line}");
        }
        assert!(line.get("error").is_none(), "{line}");
    }
    // The application's own address, not that of the proxy's connection.
    assert_eq!(mesh.node("a").await_line("outbound", server.v4())["src.addr"], source);
}

#[test]
fn metrics_have_istios_names_and_prometheus_reads_them() {
    let mesh = Mesh::start("obsmetrics", two_pods);
    let server = mesh.pod("server").serve("sink", 8080);
    let bytes = 50_000;
    assert_eq!(mesh.pod("client").ask_peer("upload", server.v4(), &[&bytes])["ok"], true);
    for (node, reporter) in [("a", "reporter=\"source\""), ("b", "reporter=\"destination\"")] {
        let node = mesh.node(node);
        let labels = [
            reporter,
            "source_workload=\"client\"",
            "destination_workload=\"server\"",
            "source_workload_namespace=\"mesh\"",
            "connection_security_policy=\"none\"",
        ];
        let metric = |name: &str| node.metric(name, &labels);
        eventually("closed connection", || {
            (metric("istio_tcp_connections_closed_total") == 1.0).then_some(())
        });
        assert_eq!(metric("istio_tcp_connections_opened_total"), 1.0);
        // Istio's "received" is what the destination's side received.
        assert_eq!(metric("istio_tcp_received_bytes_total"), f64::from(bytes));
        assert_eq!(metric("istio_tcp_sent_bytes_total"), 6.0);
        assert_eq!(node.metric("culvert_connections_open", &[]), 0.0);
        assert_eq!(node.metric("culvert_pods", &["state=\"captured\""]), 1.0);
    }
    let captured = mesh.node("a").metric("culvert_kernel_captured_total", &["pod_name=\"client\""]);
    assert_eq!(captured, 1.0);
    let mut promtool = programs::of_machine("promtool", "prometheus");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(mesh.node("a").metrics().as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let words = String::from_utf8(said.stderr).unwrap();
    // 3: readable, but Istio's names are not what promtool would have called them.
    assert!([Some(0), Some(3)].contains(&said.status.code()), "{words}");
}

#[test]
fn admin_shows_connections() {
    let mesh = Mesh::start("obsadmin", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let mut held = mesh.pod("client").start_peer("hold", server.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    assert_eq!(held.ask()["ok"], true);
    let connections = eventually("the connection's bytes", || {
        let connections = json_of(&mesh, &["connections", "-o", "json"]);
        (connections[0]["bytes_sent"] == 5).then_some(connections)
    });
    assert_eq!(connections.as_array().unwrap().len(), 1, "{connections}");
    let connection = &connections[0];
    assert_eq!(connection["pod"], "mesh/client", "{connection}");
    assert_eq!(connection["direction"], "outbound", "{connection}");
    assert_eq!(connection["destination"], server.v4().to_string(), "{connection}");
    assert_eq!(connection["state"], "open", "{connection}");
}

#[test]
fn admin_shows_pods_settings_and_log() {
    let mesh = Mesh::start("obsstatus", two_pods);
    let server = mesh.pod("server").serve("greet", 8080);
    let held = mesh.pod("client").start_peer("hold", server.v4(), &[]);
    assert_eq!(held.said(0)["ok"], true);
    let status = json_of(&mesh, &["status", "-o", "json"]);
    assert_eq!(status["pods"][0]["connections"], 1, "{status}");
    assert_eq!(status["instance"], mesh.node("a").ns.instance(), "{status}");
    let config = json_of(&mesh, &["config", "-o", "json"]);
    let node_name =
        config["settings"].as_array().unwrap().iter().find(|s| s["name"] == "node_name");
    assert_eq!(node_name.unwrap()["value"], "a", "{config}");
    assert_eq!(config["workloads"].as_array().unwrap().len(), 2, "{config}");
    assert_eq!(json_of(&mesh, &["log", "-o", "json"])["log"], "info");
    assert!(mesh.node("a").cli(&["log", "debug"]).status.success());
    assert_eq!(json_of(&mesh, &["log", "-o", "json"])["log"], "debug");
    assert_eq!(mesh.node("a").cli(&["log", "no=such=level"]).status.code(), Some(2));
}

#[test]
fn the_loopback_door_changes_nothing() {
    let mesh = Mesh::start("obsloopback", |m| {
        m.node("a").pod("client");
    });
    let mut curl = programs::of_machine("curl", "curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT"]);
    curl.arg("http://127.0.0.1:15000/log?level=debug").stdout(Stdio::piped());
    let said = mesh.node("a").ns.spawn(curl).unwrap().output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "405");
    assert_eq!(json_of(&mesh, &["log", "-o", "json"])["log"], "info");
}

#[test]
fn a_command_without_a_node_says_what_to_do() {
    let mesh = Mesh::start("obsnobody", |m| {
        m.node("a").without_proxy().pod("client");
    });
    for command in ["status", "connections", "config", "log"] {
        let said = mesh.node("a").cli(&[command]);
        assert_eq!(said.status.code(), Some(3), "{command}");
        let words = String::from_utf8(said.stderr).unwrap();
        assert!(words.lines().last().unwrap().starts_with("next: "), "{command}: {words}");
    }
}

#[test]
fn a_node_that_was_stopped_is_told_from_one_that_never_was() {
    let mesh = Mesh::start("obsstopped", |m| {
        m.node("a").pod("client");
    });
    assert!(mesh.node("a").terminate().success());
    let said = mesh.node("a").cli(&["status"]);
    assert_eq!(said.status.code(), Some(3));
    let words = String::from_utf8(said.stderr).unwrap();
    assert!(words.contains("its pods' new connections are refused"), "{words}");
    let uninstall = format!("culvert uninstall --instance {}", mesh.node("a").ns.instance());
    assert!(words.lines().last().unwrap().contains(&uninstall), "{words}");
}

#[test]
fn connections_of_a_pod_that_is_not_here_are_a_mistake() {
    let mesh = Mesh::start("obsnopod", |m| {
        m.node("a").pod("client");
    });
    let pod = mesh.node("a").pod("client").unwrap();
    let name = format!("{}/{}", pod["namespace"].as_str().unwrap(), pod["name"].as_str().unwrap());
    assert!(mesh.node("a").cli(&["connections", "--pod", &name]).status.success());
    assert_eq!(mesh.node("a").cli(&["connections", "--pod", "shop/nobody"]).status.code(), Some(1));
}

#[test]
fn an_access_log_as_text_and_none() {
    let mesh = Mesh::start("obstext", |m| {
        m.node("a").pod("client").setting("access_log: text");
        m.node("b").pod("server").setting("access_log: off");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    let to = format!("dst.addr={}", server.v4());
    mesh.node("a").access.await_from(0, "a line of text", |line| line.contains(&to).then_some(()));
    assert!(mesh.node("b").terminate().success());
    assert_eq!(mesh.node("b").access.count(), 0);
}

#[test]
fn version_tells_the_programs_and_the_kernel() {
    let version = Command::new(programs::culvert())
        .args(["version", "-o", "json"])
        .env_remove("CULVERT_BIN")
        .output()
        .unwrap();
    let version: Value = serde_json::from_slice(&version.stdout).unwrap();
    assert_eq!(version["objects"].as_array().unwrap().len(), 3, "{version}");
    assert!(version["kernel"]["kernel"].is_string(), "{version}");
}
