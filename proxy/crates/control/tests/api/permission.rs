//! What the control plane may, and what it says when it may not.
use crate::{
    plane::{Plane, cluster},
    shipped::rules,
};
use culvert_cluster::{Cluster, Crds};
use std::time::Duration;
use tokio::time;

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_rules_suffice_and_one_less_does_not() {
    let own = Cluster::api("control-rules");
    own.install(Crds::Istio);
    own.install(Crds::Gateway);
    own.apply(&rules());
    let kubeconfig = own.kubeconfig_of("culvert-system", "culvert-control");
    let mut plane = Plane::of_cluster(kubeconfig.clone()).await;
    plane.until(|status| status.kinds.iter().all(|kind| kind.because.is_none())).await;
    drop(plane);
    let user = "system:serviceaccount:culvert-system:culvert-control";
    let refused: Vec<_> = own
        .requests_by(user)
        .into_iter()
        // Of a kind that was just defined an API server says 429 first: not that one may not.
        .filter(|line| line["responseStatus"]["code"].as_u64().is_some_and(|code| code >= 400))
        .filter(|line| line["responseStatus"]["code"] != 429)
        .collect();
    assert_eq!(refused, [""; 0]);

    // Without one of them it serves nobody: policies could be missing.
    let role = rules().replace(
        "resources: [authorizationpolicies, peerauthentications]\n",
        "resources: [peerauthentications]\n",
    );
    assert_ne!(role, rules());
    own.apply(&role);
    let start = Plane::start(cluster(kubeconfig.clone()).await);
    assert!(time::timeout(Duration::from_secs(5), start).await.is_err(), "it must not start");
    // And as soon as it may, it does.
    let start = Plane::start(cluster(kubeconfig).await);
    let (started, ()) = tokio::join!(time::timeout(crate::plane::PATIENCE, start), async {
        own.apply(&rules());
    });
    started.unwrap().unwrap();
}
