//! `culvert why` answers as connections are decided, from manifests and from a running node.
use crate::steps::{ONLY_CLIENT, await_dial, policy, service};
use e2e::{Mesh, Setup};
use std::process::Output;

fn two_nodes(m: &mut Setup) {
    m.plane();
    m.node("a").pod("client").pod("other");
    m.node("b").pod("server");
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|s| String::from_utf8_lossy(s).into_owned()).concat()
}

/// What the manifests and both nodes say, which is the same; whether it is permitted.
#[track_caller]
fn why(mesh: &Mesh, from: &str, to: &str, words: &[&str]) -> bool {
    let folder = mesh.manifests();
    let of_manifests = ["why", from, to, "-f", folder.to_str().unwrap()];
    let answers = [
        mesh.node("a").cli(&of_manifests),
        mesh.node("a").cli(&["why", from, to]),
        mesh.node("b").cli(&["why", from, to]),
    ];
    let said = text(&answers[0]);
    for answer in &answers {
        assert_eq!(text(answer), said);
        assert_eq!(answer.status.code(), answers[0].status.code(), "{said}");
    }
    for word in words {
        assert!(said.contains(word), "expected {word}: {said}");
    }
    match answers[0].status.code() {
        Some(0) => true,
        Some(1) => false,
        code => panic!("{code:?}: {said}"),
    }
}

#[test]
fn it_says_what_happens_and_by_which_line() {
    let mesh = Mesh::start("whysays", two_nodes);
    let server = mesh.pod("server").serve("greet", 8080);
    let also = mesh.pod("server").serve("greet", 8081);
    mesh.write("allow.yaml", &policy("only-client", "ALLOW", "app: server", ONLY_CLIENT));
    let port = "[{to: [{operation: {ports: [\"8081\"]}}]}]";
    mesh.write("deny.yaml", &policy("no-8081", "DENY", "app: server", port));
    mesh.write("web.yaml", &service("web", "10.96.0.7", "app: server"));
    await_dial(&mesh, "other", server.v4(), false);
    await_dial(&mesh, "client", also.v4(), false);
    let vip = "10.96.0.7:80".parse().unwrap();
    await_dial(&mesh, "client", vip, true);
    let cases = [
        ("client", "pod/mesh/server:8080", server.v4(), true, ["only-client", "allow.yaml:"]),
        ("client", "pod/mesh/server:8081", also.v4(), false, ["no-8081", "deny.yaml:"]),
        // The nearest rule, and what it lacked.
        ("other", "pod/mesh/server:8080", server.v4(), false, ["allow.yaml:", "mesh/sa/other"]),
        ("client", "web.mesh:80", vip, true, ["web.mesh", "allow.yaml:"]),
        ("other", "web.mesh:80", vip, false, ["web.mesh", "allow.yaml:"]),
    ];
    for (from, to, address, permitted, words) in cases {
        let answer = why(&mesh, &format!("pod/mesh/{from}"), to, &words);
        assert_eq!(answer, permitted, "{from} to {to}");
        let said = mesh.pod(from).dial("plain", address);
        assert_eq!(said["ok"], permitted, "{from} to {to}: {said}");
    }
}
