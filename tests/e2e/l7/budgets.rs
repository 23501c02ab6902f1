//! What one namespace takes of its engine, it takes from nobody else's.
use super::{
    get,
    own::{answers, own},
    service, versions, vip,
};
use e2e::{Mesh, eventually};
use std::net::SocketAddr;

const QUIET: &str = "apiVersion: v1
kind: Namespace
metadata: {name: quiet, labels: {culvert.dev/mesh: enabled}}
";

#[test]
fn a_namespace_at_its_limit_harms_no_other() {
    let mesh = Mesh::start("l7budgets", |m| {
        m.plane();
        let node = m.node("a").setting("max_connections_per_engine: 4");
        node.pod("client").pod_with("quiet", |pod| pod.namespace("quiet"));
        versions(m.node("b"));
    });
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    mesh.write("namespaces-quiet.yaml", QUIET);
    mesh.write("shop.yaml", &service());
    let served = |said: &serde_json::Value| {
        ["first", "second"].map(|pod| own(&mesh, pod)).contains(&said["headers"]["x-own"])
    };
    answers(&mesh, "client", ("/", &[]), served);
    answers(&mesh, "quiet", ("/", &[]), served);

    let flood = mesh.pod("client").start_peer("silent", vip(80), &[&10]);
    assert_eq!(flood.said(0)["open"], 10, "{}", flood.lines().text());
    let refused = |namespace: &str| {
        let admin = SocketAddr::from(([127, 0, 0, 1], 15000));
        let (_, stats) = mesh.node("a").ask(admin, &format!("/l7/{namespace}/stats")).unwrap();
        let counts = stats.lines().filter_map(|line| line.split_once(": "));
        let ours = counts.filter(|(name, _)| name.ends_with(".downstream_global_cx_overflow"));
        ours.map(|(_, count)| count.parse::<u64>().unwrap()).sum::<u64>()
    };
    eventually("those beyond the limit", || (6 <= refused("mesh")).then_some(()));
    assert_ne!(get(&mesh, "client", "/", &[])["status"], 200);
    for _ in 0..10 {
        let said = get(&mesh, "quiet", "/", &[]);
        assert!(served(&said), "{said}");
    }
    assert_eq!(refused("quiet"), 0);
    drop(flood);
    answers(&mesh, "client", ("/", &[]), served);
}
