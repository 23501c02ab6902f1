//! A label takes a namespace into the mesh, and out of it, and nobody notices but who looks.
use crate::{
    leave::by_tunnel,
    shop,
    town::{ENROL, NODES, Town, pod_on},
};

#[test]
fn a_label_takes_a_running_application_in_and_out_without_a_loss() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("shop");
    shop::open(&namespace);
    let load = shop::load(&town, &namespace, 8);
    namespace.label(ENROL);
    town.await_captured(&namespace);
    for node in NODES {
        let status = town.proxy(node).status().unwrap();
        assert_eq!(status["ready"], true, "{status}");
        let pods = town.proxy(node).pods_of(namespace.name()).unwrap();
        assert_eq!(pods.len(), 5, "{pods:?}");
        assert!(pods.iter().all(|pod| pod["state"] == "captured"), "{pods:?}");
    }
    // By tunnel, and each side knows the other.
    by_tunnel(&town, &namespace);
    // New pods join, old ones leave.
    namespace.kubectl(&["scale", "deployment/cart", "--replicas=4"]);
    namespace.kubectl(&["rollout", "status", "deployment/cart", "--timeout=60s"]);
    town.await_captured(&namespace);
    namespace.label("culvert.dev/mesh-");
    town.await_let_go(&namespace);
    for load in load {
        assert!(load.finish() > 0);
    }
}

#[test]
fn a_pod_may_stay_out_and_the_node_itself_does() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("out");
    namespace.label(ENROL);
    namespace.apply(
        &shop::client()
            .replace("labels: {app: client}", "labels: {app: client, culvert.dev/mesh: disabled}"),
    );
    namespace.apply(
        &shop::client()
            .replace("name: client", "name: host")
            .replace("app: client", "app: host")
            .replace("    spec:\n", "    spec:\n      hostNetwork: true\n"),
    );
    for daemon in ["daemonset/client", "daemonset/host"] {
        namespace.kubectl(&["rollout", "status", daemon, "--timeout=60s"]);
    }
    let client = pod_on(&namespace, "client", "node-1");
    let pods = town.proxy("node-1").pods_of(namespace.name()).unwrap();
    assert!(pods.iter().all(|pod| pod["name"] != *client), "{pods:?}");
    assert!(pods.iter().all(|pod| pod["state"] != "captured"), "{pods:?}");
}
