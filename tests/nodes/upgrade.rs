//! New versions of the proxy take over, and nodes come back, and the mesh is the same.
use crate::{
    leave::by_tunnel,
    shop,
    town::{ENROL, NODES, Town},
};

#[test]
fn three_upgrades_in_a_row_lose_no_connection() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("upgraded");
    namespace.label(ENROL);
    shop::open(&namespace);
    town.await_captured(&namespace);
    let load = shop::load(&town, &namespace, 6);
    for round in ["one", "two", "three"] {
        let before = NODES.map(|node| town.proxy(node).pod()["metadata"]["uid"].clone());
        town.cluster.install_chart(&[&format!("node.podAnnotations.round={round}")]);
        for (node, before) in NODES.iter().zip(before) {
            assert_ne!(town.proxy(node).pod()["metadata"]["uid"], before, "{node}");
        }
    }
    town.await_captured(&namespace);
    by_tunnel(&town, &namespace);
    for load in load {
        assert!(load.finish() > 0);
    }
}

#[test]
fn replaced_pods_and_a_node_after_a_power_cut_are_in_the_mesh_again() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("again");
    namespace.label(ENROL);
    shop::open(&namespace);
    town.await_captured(&namespace);
    namespace.kubectl(&["delete", "pods", "--selector=app in (cart, store)", "--wait"]);
    shop::await_open(&namespace);
    town.await_captured(&namespace);

    town.cluster.kill_part("node-2");
    town.cluster.start_part("node-2");
    town.await_ready();
    shop::await_open(&namespace);
    town.await_captured(&namespace);
    let load = shop::load(&town, &namespace, 4);
    by_tunnel(&town, &namespace);
    for load in load {
        assert!(load.finish() > 0);
    }
}
