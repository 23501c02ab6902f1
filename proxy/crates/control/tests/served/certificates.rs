//! Who gets which certificate.
use crate::plane::{NAMESPACE, Node, Plane, id, now, pod};
use culvert_control::control::{Ca, join_token};
use culvert_identity::{
    clock::{Clock as _, SystemClock},
    join::Claims,
    node,
    store::Unavailable,
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn why(error: &Unavailable) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn refusal(node: &Node, sa: &str) -> String {
    why(&node.identities.certificate(&id(sa)).await.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_certificates_for_its_own_workloads_and_no_others() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, ""), &pod("b", "two", 2, "")]).await;
    let node = plane.node("one");
    let own = node.identities.certificate(&id("a")).await.unwrap();
    assert_eq!(own.identity(), &id("a"));
    let other = refusal(&node, "b").await;
    let expected = "there is no certificate for spiffe://cluster.local/ns/shop/sa/b: the issuer \
                    refused: no workload of spiffe://cluster.local/ns/shop/sa/b is on node one, \
                    which has shop/a";
    assert_eq!(other, expected);
    for reserved in [
        node::identity("cluster.local", "two").unwrap(),
        node::control_plane("cluster.local").unwrap(),
    ] {
        let refused = node.identities.certificate(&reserved).await.unwrap_err();
        assert!(why(&refused).contains("is on node one"), "{}", why(&refused));
    }
    let status = plane.until(|status| status.certificates.refused >= 3).await;
    let [issued] = &*status.certificates.certificates else { panic!("{status:#?}") };
    assert_eq!((&*issued.node, &*issued.serial), ("one", own.serial()));
    assert_eq!(issued.not_after, own.validity().not_after.as_secs());
    let refused = &status.certificates.refusals[0];
    assert_eq!((&*refused.node, &*refused.identity), ("one", &*id("b").to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_about_to_be_known_is_waited_for() {
    let plane = Plane::start(&[NAMESPACE]).await;
    let node = plane.node("one");
    let write = async {
        plane.until(|status| !status.nodes.is_empty()).await;
        plane.write(&[NAMESPACE, &pod("a", "one", 1, "")]);
    };
    let identity = id("a");
    let (certificate, ()) = tokio::join!(node.identities.certificate(&identity), write);
    certificate.unwrap();
    assert_eq!(plane.control.mesh_status().certificates.refused, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_of_its_own_a_node_needs_no_token() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let mut node = plane.node("one");
    let own = node::identity("cluster.local", "one").unwrap();
    let _held = node.identities.hold(own.clone());
    node.identities.certificate(&own).await.unwrap();
    node.follows().await;
    let claims = Claims::new("cluster.local", "one", SystemClock.now(), HOUR);
    node.replace_token(&plane.token_with(&plane.state().join("other-key"), &claims));
    let plane = plane.restart(async |_| {}).await;
    node.follower.until(|status| !status.connected || status.failures > 0).await;
    let status =
        plane.until(|status| status.nodes.iter().any(|node| node.follows && node.reports)).await;
    assert_eq!(status.nodes[0].identity.as_deref(), Some(&*own.to_string()));
    node.identities.certificate(&id("a")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_be_made_before_the_control_plane_runs() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let ca = Ca::Kept(plane.state().join("root.pem"));
    let token = join_token(&plane.state(), &ca, "cluster.local", "one", HOUR).unwrap();
    let mut node = plane.node_with("one", &token);
    node.follows().await;
    assert_eq!(now(&node.trust.view()).roots().len(), 0, "no certificate was asked for");
    node.identities.certificate(&id("a")).await.unwrap();
    assert_eq!(now(&node.trust.view()).roots(), now(&plane.control.authority()).roots());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_believes_no_other_control_plane() {
    let plane = Plane::start(&[NAMESPACE]).await;
    let other = tempfile::tempdir().unwrap();
    let other = Ca::Kept(other.path().join("root.pem"));
    let token = join_token(&plane.state(), &other, "cluster.local", "one", HOUR).unwrap();
    let refused = plane.node_with("one", &token).refusal().await;
    assert!(refused.contains("not issued under a trusted root"), "{refused}");
}
