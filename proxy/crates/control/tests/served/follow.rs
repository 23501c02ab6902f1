//! Nodes that follow.
use crate::plane::{NAMESPACE, Plane, pod};
use culvert_model::member::Tunnel;
use culvert_xds::report::{MeshSettings, Order, Outbound};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_told_what_there_is_and_what_changes() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let mut node = plane.node("one");
    node.seen.shows("shop/a", Tunnel::None, 0).await;
    let welcome = node.order(|_| true).await;
    assert!(matches!(welcome, Order::Welcome { .. }), "{welcome:?}");
    let settings = MeshSettings {
        outbound: Outbound::AllowAny,
        network: String::new(),
        trust_domain: "cluster.local".into(),
    };
    assert_eq!(node.order(|_| true).await, Order::Mesh(settings));
    plane.write(&[NAMESPACE, &pod("a", "one", 1, ""), &pod("b", "two", 2, "")]);
    node.seen.until(|all| all.len() == 2).await;
    // A change with a problem changes nothing, and is told.
    plane.write(&["{kind: Pod"]);
    let mut control = plane.control.clone();
    while control.status().refused.is_none() {
        control.changed().await.unwrap();
    }
    plane.write(&[NAMESPACE, &pod("b", "two", 2, "")]);
    node.seen.until(|all| all.keys().eq(["shop/b"])).await;
    let status = plane.until(|status| status.nodes.iter().all(|node| node.behind == 0)).await;
    let [node] = &*status.nodes else { panic!("{status:#?}") };
    assert!(node.follows && node.nacks.is_empty(), "{node:#?}");
    assert_eq!((&*node.name, status.counts.enrolled), ("one", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_workloads_are_pushed() {
    let pods: Vec<_> = (0..10_000).map(|i| pod(&format!("p{i}"), "one", i, "")).collect();
    let all: Vec<_> = [NAMESPACE].into_iter().chain(pods.iter().map(String::as_str)).collect();
    let plane = Plane::start(&all).await;
    let mut node = plane.node("one");
    node.follows().await;
    node.seen.until(|all| all.len() == 10_000).await;
    assert_eq!(node.seen.log.lock().iter().max(), Some(&10_000));
    node.seen.log.lock().clear();
    // One that goes is one resource, wherever it stood.
    plane.write(&all[..10_000]);
    node.seen.until(|all| all.len() == 9_999).await;
    assert_eq!(*node.seen.log.lock(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_nodes_are_told_nothing_twice_by_a_new_life() {
    let pods: Vec<_> = (0..50).map(|i| pod(&format!("p{i}"), "n0", i, "")).collect();
    let all: Vec<_> = [NAMESPACE].into_iter().chain(pods.iter().map(String::as_str)).collect();
    let plane = Plane::start(&all).await;
    let mut nodes: Vec<_> = (0..200).map(|i| plane.node(&format!("n{i}"))).collect();
    for node in &mut nodes {
        node.follows().await;
        node.seen.until(|all| all.len() == 50).await;
        node.seen.log.lock().clear();
    }
    let plane = plane.restart(async |_| {}).await;
    plane.until(|status| status.nodes.iter().filter(|node| node.follows).count() == 200).await;
    for node in &mut nodes {
        node.follower.until(|status| status.connected && status.failures == 0).await;
    }
    plane.until(|status| status.nodes.iter().all(|node| node.unanswered == 0)).await;
    for node in &nodes {
        let log = node.seen.log.lock();
        assert!(log.iter().all(|resources| *resources == 0), "{} was told {log:?}", node.name);
    }
}
