//! An API server that is restarted, goes away, and learns new kinds.
use crate::{
    plane::Plane,
    shop::{self, run_pod},
};
use culvert_cluster::{Cluster, Crds};
use culvert_control::status::{KindState, Status};

fn state(status: &Status, kind: &str) -> KindState {
    status.kinds.iter().find(|one| one.kind == kind).unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_comes_and_goes_and_learns_new_kinds() {
    let cluster = Cluster::api("control-life");
    let mut plane = Plane::of_cluster(cluster.kubeconfig()).await;
    let policies = "authorizationpolicies.security.istio.io";
    assert_eq!(state(&plane.control.status(), policies), KindState::Undefined);
    assert_eq!(state(&plane.control.status(), "pods"), KindState::Followed);
    let shop = cluster.namespace("shop");
    let name = shop.name();
    run_pod(&shop, "web", "10.1.0.1");
    plane.tells(|told| told.members_of(name).contains_key("web")).await;

    // A kind that is defined later.
    cluster.install(Crds::Istio);
    shop.apply(shop::ALL);
    let known =
        plane.tells(|told| told.policies_of(name).len() == 2 && told.members_of(name).len() == 4);
    let known = known.await;
    plane.until(|status| state(status, policies) == KindState::Followed).await;

    // Away: nothing is told differently, and it is said.
    cluster.stop_part("kube-apiserver");
    let away = plane.until(|status| state(status, "pods") == KindState::Unavailable).await;
    let because = away.kinds.iter().find_map(|kind| kind.because.as_deref()).unwrap();
    assert!(because.contains("cannot be reached"), "{because}");
    assert_eq!(*plane.told.borrow(), known);
    // Back, without the history of what happened: everything is listed again.
    cluster.start_part("kube-apiserver");
    shop.kubectl(&["delete", "authorizationpolicy", "nobody"]);
    run_pod(&shop, "more", "10.1.0.2");
    let back = plane.tells(|told| {
        told.policies_of(name) == ["web"] && told.members_of(name).contains_key("more")
    });
    let back = back.await;
    assert_eq!(back.services, known.services);
    plane.until(|status| state(status, "pods") == KindState::Followed).await;

    // Frozen for a moment, and killed: the same.
    cluster.kill_part("kube-apiserver");
    cluster.start_part("kube-apiserver");
    shop.kubectl(&["delete", "pod", "more", "--force", "--grace-period=0"]);
    plane.tells(|told| !told.members_of(name).contains_key("more")).await;

    // A kind that nobody defines any more takes its objects with it.
    cluster.kubectl(&["delete", "crd", policies]);
    plane.tells(|told| told.policies_of(name).is_empty()).await;
    plane.until(|status| state(status, policies) == KindState::Undefined).await;
    let members = plane.told.borrow().members_of(name).len();
    assert_eq!(members, 4, "what does not depend on it stays");
}
