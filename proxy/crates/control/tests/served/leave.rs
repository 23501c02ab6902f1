//! Pods that join and leave the mesh.
use crate::plane::{NAMESPACE, Node, PATIENCE, Plane, STRICT, pod, uid};
use culvert_model::member::Tunnel;
use culvert_xds::report::{Order, PodState};
use std::time::Duration;

const OUT: &str = ", labels: {culvert.dev/mesh: disabled}";

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_joins_when_it_is_captured_and_leaves_when_all_know() {
    let plane = Plane::start(&[NAMESPACE, STRICT, &pod("a", "one", 1, "")]).await;
    let (mut one, two) = (plane.node("one"), plane.node("two"));
    one.says("a", PodState::Pending("no such namespace yet".into()));
    let status = plane
        .until(|status| status.uncaptured.iter().any(|pod| pod.because.contains("no such")))
        .await;
    assert_eq!(status.uncaptured[0].because, "node one says: no such namespace yet");
    two.seen.shows("shop/a", Tunnel::None, 0).await;
    one.says("a", PodState::Captured);
    two.seen.shows("shop/a", Tunnel::Hbone, 1).await;
    assert_eq!(one.order(announced).await, Order::Announced(vec![]));
    assert_eq!(one.order(announced).await, Order::Announced(vec![uid("a")]));
    plane.until(|status| status.uncaptured.is_empty()).await;
    // It leaves.
    plane.write(&[NAMESPACE, STRICT, &pod("a", "one", 1, OUT)]);
    one.says("a", PodState::Leaving);
    assert_eq!(one.order(announced).await, Order::Announced(vec![]));
    assert_eq!(one.order(|_| true).await, Order::Release(vec![uid("a")]));
    two.seen.shows("shop/a", Tunnel::None, 0).await;
}

fn announced(order: &Order) -> bool {
    matches!(order, Order::Announced(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_pod_stays_captured_in_the_next_life_and_on_another_replica() {
    let plane = Plane::start(&[NAMESPACE, STRICT, &pod("a", "one", 1, "")]).await;
    let (one, two) = (plane.node("one"), plane.node("two"));
    one.says("a", PodState::Captured);
    two.seen.shows("shop/a", Tunnel::Hbone, 1).await;
    one.drain.drain(PATIENCE).await;
    let (control, drain, at) = plane.replica().await;
    let token = control.join_token("three", Duration::from_secs(60)).unwrap();
    let three = Node::start("three", &token, at);
    three.seen.until(|all| all.contains_key("shop/a")).await;
    three.seen.shows("shop/a", Tunnel::Hbone, 1).await;
    let plane = plane.restart(async |_| {}).await;
    plane.until(|status| status.nodes.iter().any(|node| node.follows)).await;
    assert_eq!(plane.control.mesh_status().counts.announced, 1);
    two.seen.shows("shop/a", Tunnel::Hbone, 1).await;
    drain.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_for_the_pods_of_another_node() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let (one, two) = (plane.node("one"), plane.node("two"));
    two.says("a", PodState::Captured);
    plane.until(|status| status.nodes.iter().any(|node| node.pods.captured == 1)).await;
    assert_eq!(plane.control.mesh_status().counts.announced, 0);
    one.says("a", PodState::Captured);
    two.seen.shows("shop/a", Tunnel::Hbone, 0).await;
}
