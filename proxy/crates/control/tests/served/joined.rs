//! Who came in by a join token is let be as long as the token is good, and no longer.
use crate::plane::{NAMESPACE, PATIENCE, Plane, pod};
use culvert_control::status::mesh::MeshStatus;
use culvert_identity::{
    clock::{Clock as _, SystemClock},
    join::Claims,
};
use culvert_xds::report::PodState;
use std::{fs, time::Duration};

/// Both streams of these nodes, and of no others.
fn connected(nodes: &[&str]) -> impl Fn(&MeshStatus) -> bool {
    move |status| {
        let both = status.nodes.iter().filter(|node| node.follows && node.reports);
        status.nodes.len() == nodes.len() && both.map(|node| &*node.name).eq(nodes.iter().copied())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_cut_off_when_its_token_expires() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let key = plane.state().join("join-key");
    let soon = Duration::from_secs(3);
    let claims = Claims::new("cluster.local", "one", SystemClock.now(), soon);
    let mut node = plane.node_with("one", &plane.token_with(&key, &claims));
    node.says("a", PodState::Captured);
    plane.until(connected(&["one"])).await;
    plane.until(|status| status.nodes.is_empty()).await;
    let refused = node.refusal().await;
    assert!(refused.contains("the join token for node one expired"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_tokens_are_made_void_is_cut_off_by_every_replica_and_others_are_not() {
    let plane = Plane::start(&[NAMESPACE]).await;
    let (control, _drain, _) = plane.replica().await;
    let [mut one, two] = ["one", "two"].map(|name| plane.node(name));
    [&one, &two].into_iter().for_each(|node| node.reporter.change(|_| {}));
    plane.until(connected(&["one", "two"])).await;
    control.void_tokens("one").await.unwrap();
    plane.until(connected(&["two"])).await;
    let refused = one.refusal().await;
    assert!(refused.contains("the join tokens of node one were made void"), "{refused}");
    assert!(two.follower.status().connected);
    // Whoever has a new one is let in again.
    let again = control.join_token("one", Duration::from_secs(60)).unwrap();
    one.replace_token(&again);
    plane.until(connected(&["one", "two"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_of_before_every_token_is_void() {
    let plane = Plane::start(&[NAMESPACE]).await;
    let mut node = plane.node("one");
    node.reporter.change(|_| {});
    plane.until(connected(&["one"])).await;
    let mut tokens = plane.control.tokens();
    let before = tokens.pin().generation;
    fs::remove_file(plane.state().join("join-key")).unwrap();
    let newer = tokio::time::timeout(PATIENCE, tokens.newer_than(before)).await;
    drop(newer.unwrap().unwrap());
    plane.until(|status| status.nodes.is_empty()).await;
    let refused = node.refusal().await;
    assert!(refused.contains("was not made by this control plane"), "{refused}");
    node.replace_token(&plane.control.join_token("one", Duration::from_secs(60)).unwrap());
    plane.until(connected(&["one"])).await;
}
