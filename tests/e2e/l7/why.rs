//! `culvert why` tells of a request what the request meets.
use super::{
    get,
    own::{POLICY, answers, own, routes},
    service, versions,
};
use e2e::{Mesh, eventually};
use serde_json::{Value, json};

/// What a node, or the manifests, say of a request of `from`; null where that is not known.
fn why(mesh: &Mesh, at: &str, from: &str, (path, headers): (&str, &[&str])) -> Value {
    let (from, folder) = (format!("pod/mesh/{from}"), mesh.manifests());
    let mut words = vec!["why", &from, "shop.mesh:80", "--path", path, "-o", "json"];
    headers.iter().for_each(|header| words.extend(["--header", header]));
    let (node, of_files) = match at {
        "files" => ("a", vec!["-f", folder.to_str().unwrap()]),
        node => (node, vec![]),
    };
    words.extend(of_files);
    // A node may not have heard of everything yet, and then says so in words.
    serde_json::from_slice(&mesh.node(node).cli(&words).stdout).unwrap_or_default()
}

#[track_caller]
fn ends(said: &Value, wanted: &str) {
    let text = said.as_str().unwrap_or_default();
    assert!(text.ends_with(wanted), "{text} is not {wanted}");
}

/// The line of a text that has this.
fn line(of: &str, text: &str) -> usize {
    of.lines().position(|line| line.contains(text)).unwrap() + 1
}

#[test]
fn each_node_tells_its_side_by_file_and_line() {
    let mesh = Mesh::start("l7why", |m| {
        m.plane();
        m.node("a").pod("client").pod("other");
        versions(m.node("b"));
    });
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    let asked_for_by_rules = service().replace(", labels: {culvert.dev/l7: enabled}", "");
    mesh.write("shop.yaml", &asked_for_by_rules);
    mesh.write("routes.yaml", &routes("tester"));
    mesh.write("policy.yaml", POLICY);
    let tester: (&str, &[&str]) = ("/", &["x-user: tester"]);

    // Nobody has connected: the engine begins for the question.
    let way = eventually("the client's side", || {
        let way = why(&mesh, "a", "client", tester)["ways"][0].clone();
        way["client"]["route"].is_object().then_some(way)
    });
    let client = &way["client"];
    assert_eq!(client["route"]["object"], "VirtualService/mesh/shop", "{client}");
    let matched = line(&routes("tester"), "exact: tester");
    ends(&client["route"]["origin"], &format!("routes.yaml:{matched}"));
    let cluster = &client["sent"]["clusters"][0];
    assert_eq!(cluster["endpoints"][0]["address"], own(&mesh, "second"), "{cluster}");
    let server = &way["arrivals"][0]["server"];
    assert_eq!((&server["node"], &way["answer"]), (&json!("b"), &json!("depends")), "{way}");
    answers(&mesh, "client", tester, |said| said["headers"]["x-own"] == own(&mesh, "second"));
    let first = why(&mesh, "a", "client", ("/", &[]))["ways"][0]["client"].clone();
    assert_eq!(first["passed_over"][0]["because"], "header x-user is not as it must be");
    answers(&mesh, "client", ("/", &[]), |said| said["headers"]["x-own"] == own(&mesh, "first"));

    // The server's node knows what its policies say.
    let cases = [("client", "/", 200), ("client", "/admin/x", 403), ("other", "/", 403)];
    for (from, path, status) in cases {
        let arrival = eventually("the server's side", || {
            let arrival = why(&mesh, "b", from, (path, &[]))["ways"][0]["arrivals"][0].clone();
            arrival["server"]["filters"][0].is_object().then_some(arrival)
        });
        let filter = &arrival["server"]["filters"][0];
        let (rule, answer) = match status {
            200 => (&filter["rule"], "permitted"),
            _ => (&filter["passed_over"][0], "denied"),
        };
        assert_eq!((&arrival["answer"], &rule["policy"]), (&json!(answer), &json!("mesh/shop")));
        let origin = rule["origin"].as_str().unwrap_or_default();
        assert!(origin.contains("policy.yaml:"), "{arrival}");
        assert_eq!(get(&mesh, from, path, &[])["status"], status, "{from} {path}");
        // Manifests tell both sides at once.
        let said = why(&mesh, "files", from, (path, &[]));
        assert_eq!(said["answer"], answer, "{said}");
    }
}
