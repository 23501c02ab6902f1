//! Policy decides at the destination before the application sees a byte, and again when it changes.
use crate::steps::{ONLY_CLIENT, STRICT, await_close, await_dial, fields, hold, policy};
use e2e::{Mesh, Setup};
use serde_json::json;

fn three_clients(m: &mut Setup) {
    m.plane();
    m.node("a").pod("client").pod("other").outsider("stranger");
    m.node("b").pod("server").pod("near");
}

#[test]
fn who_is_not_allowed_is_refused_and_both_logs_say_by_what() {
    let mesh = Mesh::start("authzdeny", |m| {
        three_clients(m);
    });
    let server = mesh.pod("server").serve("greet", 8080);
    mesh.write("policy.yaml", &policy("only-client", "ALLOW", "app: server", ONLY_CLIENT));
    await_dial(&mesh, "other", server.v4(), false);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    let said = mesh.pod("other").dial("plain", server.v4());
    assert_eq!(said["error"], "ConnectionReset", "{said}");
    let line = await_close(&mesh, "b", "policy_denied");
    fields(
        &line,
        &json!({
            "src.identity": "spiffe://cluster.local/ns/mesh/sa/other",
            "dst.hbone_addr": server.v4().to_string(), "direction": "inbound",
        }),
    );
    assert!(line.to_string().contains("only-client"), "the line names the policy: {line}");
    fields(&await_close(&mesh, "a", "peer_denied"), &json!({"direction": "outbound"}));
    let denied = mesh.node("b").metric("culvert_policy_denials_total", &["action=\"ALLOW\""]);
    assert!(denied >= 1.0, "{denied}");
    // Who is not in the mesh has no identity, and is not allowed either.
    let said = mesh.pod("stranger").dial("plain", server.v4());
    assert_eq!(said["ok"], false, "{said}");
    // The policy is the server's alone.
    let near = mesh.pod("near").serve("greet", 8080);
    assert_eq!(mesh.pod("other").dial("plain", near.v4())["ok"], true);
}

#[test]
fn deny_comes_before_allow() {
    let mesh = Mesh::start("authzorder", |m| {
        three_clients(m);
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let also = mesh.pod("server").serve("greet", 8081);
    mesh.write("allow.yaml", &policy("everybody", "ALLOW", "app: server", "[{}]"));
    let port = "[{to: [{operation: {ports: [\"8081\"]}}]}]";
    mesh.write("deny.yaml", &policy("no-8081", "DENY", "app: server", port));
    await_dial(&mesh, "client", also.v4(), false);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    assert!(await_close(&mesh, "b", "policy_denied").to_string().contains("no-8081"));
}

#[test]
fn a_change_of_policy_ends_only_the_connections_it_forbids() {
    let mesh = Mesh::start("authzlive", |m| {
        three_clients(m);
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let mut kept = hold(&mesh, "client", server.v4());
    let cut = [
        hold(&mesh, "other", server.v4()),
        hold(&mesh, "other", server.v6()),
        // From the same node: in process, or direct.
        hold(&mesh, "near", server.v4()),
        hold(&mesh, "stranger", server.v4()),
    ];
    // By selector, which reaches a workload by its own list of policies.
    mesh.write("policy.yaml", &policy("only-client", "ALLOW", "app: server", ONLY_CLIENT));
    for held in cut {
        let end = held.lines().await_json("the end", |line| line["ok"] == false);
        assert_eq!(end["error"], "ConnectionReset", "{end}");
    }
    await_close(&mesh, "b", "policy_revoked");
    assert_eq!(kept.ask()["ok"], true, "who is allowed is not disturbed");
}

#[test]
fn a_change_of_the_workload_is_asked_about_too() {
    let mesh = Mesh::start("authzlabel", |m| {
        three_clients(m);
    });
    let server = mesh.pod("server").serve("greet", 8080);
    mesh.write("policy.yaml", &policy("only-client", "ALLOW", "tier: secret", ONLY_CLIENT));
    let held = hold(&mesh, "other", server.v4());
    let labelled = mesh.pod("server").ns.manifest("mesh", "server").label("tier", "secret");
    mesh.write("server.yaml", &labelled.to_string());
    let end = held.lines().await_json("the end", |line| line["ok"] == false);
    assert_eq!(end["error"], "ConnectionReset", "{end}");
}

#[test]
fn strict_refuses_plain_text_and_ends_what_is_open() {
    let mesh = Mesh::start("authzstrict", |m| {
        three_clients(m);
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let plain = hold(&mesh, "stranger", server.v4());
    let mut tunnelled = hold(&mesh, "client", server.v4());
    mesh.write("strict.yaml", STRICT);
    plain.lines().await_json("the end", |line| line["ok"] == false);
    let said = mesh.pod("stranger").dial("plain", server.v4());
    assert_eq!(said["ok"], false, "{said}");
    assert_eq!(tunnelled.ask()["ok"], true);
    assert_eq!(mesh.pod("client").dial("plain", server.v6())["ok"], true);
    mesh.remove("strict.yaml");
    await_dial(&mesh, "stranger", server.v4(), true);
}

#[test]
fn a_policy_that_cannot_be_understood_here_closes_and_status_says_so() {
    let mesh = Mesh::start("authzl7", |m| {
        three_clients(m);
    });
    let server = mesh.pod("server").serve("greet", 8080);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    let token = "[{from: [{source: {requestPrincipals: ['*']}}]}]";
    mesh.write("l7.yaml", &policy("with-token", "ALLOW", "app: server", token));
    await_dial(&mesh, "client", server.v4(), false);
    let status = mesh.plane().cli(&["status"]);
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains("with-token"), "{said}");
}
