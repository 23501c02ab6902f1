//! Gateways: no nodes, but told of all workloads, and certified as themselves.
use crate::plane::{NAMESPACE, Plane, id, pod};
use culvert_identity::node;
use std::error::Error;

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_certified_as_itself_and_told_who_is_in_the_mesh() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let mut gateway = plane.node("shop/edge");
    gateway.follows().await;
    gateway.seen.until(|all| all.contains_key("shop/a")).await;
    let own = gateway.identities.certificate(&id("edge")).await.unwrap();
    assert_eq!(own.identity(), &id("edge"));
    for other in [id("a"), node::identity("cluster.local", "one").unwrap()] {
        let refused = gateway.identities.certificate(&other).await.unwrap_err();
        let why = refused.source().unwrap().to_string();
        assert!(why.contains("gateway shop/edge is spiffe://"), "{why}");
    }
    let status = plane.until(|status| status.certificates.refused >= 2).await;
    assert!(status.nodes.is_empty() && status.guests.is_empty(), "{status:#?}");
    let [issued] = &*status.certificates.certificates else { panic!("{status:#?}") };
    assert_eq!(&*issued.node, "shop/edge");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_token_is_good_for_nobody_else_and_until_it_is_void() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let token = plane.control.join_token("shop/edge", std::time::Duration::from_secs(60)).unwrap();
    for other in ["one", "shop/other"] {
        let why = plane.node_with(other, &token).refusal().await;
        assert!(why.contains("the caller is gateway shop/edge, and no node"), "{why}");
    }
    let mut gateway = plane.node_with("shop/edge", &token);
    gateway.follows().await;
    plane.control.void_tokens("shop/edge").await.unwrap();
    let why = gateway.refusal().await;
    assert!(why.contains("void"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_becomes_one_of_the_mesh_itself_by_being_a_gateway() {
    let plane = Plane::start(&[NAMESPACE]).await;
    for name in ["culvert-system/node_one", "culvert-system/control_plane", "a/b/c"] {
        let made = plane.control.join_token(name, std::time::Duration::from_secs(60));
        assert!(made.is_err(), "{name}");
    }
}
