//! A mesh that is driven by an istiod; and one that is gone leaves nothing.
use crate::{
    istiod, shop,
    town::{ENROL, NODES, SYSTEM, Town, pod_on},
    traces,
};
use culvert_cluster::Namespace;
use std::collections::BTreeSet;

#[test]
fn a_mesh_that_is_uninstalled_leaves_nothing() {
    let town = Town::empty("leave");
    let namespace = town.cluster.namespace("shop");
    shop::open(&namespace);
    let before = traces::of(&town);
    town.settle();
    let load = shop::load(&town, &namespace, 4);
    namespace.label(ENROL);
    town.await_captured(&namespace);
    by_tunnel(&town, &namespace);
    assert_ne!(traces::of(&town), before);
    namespace.label("culvert.dev/mesh-");
    town.await_let_go(&namespace);
    // As a step of its own first, which leaves the control plane.
    town.cluster.install_chart(&["node.uninstall=true"]);
    uninstall(&town);
    for load in load {
        assert!(load.finish() > 0);
    }
    same(&before, &traces::of(&town));
}

#[test]
fn a_real_istiod_drives_the_mesh_and_nothing_is_left_of_it() {
    let town = Town::empty("istiod");
    let namespace = town.cluster.namespace("shop");
    shop::open(&namespace);
    istiod::start(&town);
    let before = traces::of(&town);
    town.cluster.install_chart(&istiod::VALUES);
    let load = shop::load(&town, &namespace, 4);
    namespace.label(ENROL);
    town.await_captured(&namespace);
    by_tunnel(&town, &namespace);
    for load in load {
        assert!(load.finish() > 0);
    }
    // What istiod says of policy is in force.
    namespace.apply(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\n\
         spec: {mtls: {mode: STRICT}}\n",
    );
    let store = pod_on(&namespace, "store", "node-2");
    let store = namespace.get(&["pod", &store])["status"]["podIP"].as_str().unwrap().to_owned();
    shop::refuses(&town, "node-1", &format!("{store}:8080"));
    namespace.kubectl(&["delete", "peerauthentication", "default"]);
    namespace.label("culvert.dev/mesh-");
    town.await_let_go(&namespace);
    uninstall(&town);
    same(&before, &traces::of(&town));
}

/// Waits until both nodes have seen requests of the shop that came by tunnel, under its identities.
#[track_caller]
pub(crate) fn by_tunnel(town: &Town, namespace: &Namespace<'_>) {
    let account = |name| format!("spiffe://cluster.local/ns/{}/sa/{name}", namespace.name());
    for node in NODES {
        town.proxy(node).await_access("of a tunnel", |line| {
            line["direction"] == "inbound"
                && line["path"] == "tunnel"
                && line["src.identity"] == account("cart")
                && line["dst.identity"] == account("store")
        });
    }
}

/// Takes the chart out, and waits until its pods are gone.
#[track_caller]
fn uninstall(town: &Town) {
    let done = town.cluster.try_helm(&["uninstall", "culvert", "--wait", "--timeout=5m"]);
    assert!(done.status.success(), "{done:?}");
    let gone = ["--namespace", SYSTEM, "wait", "--for=delete", "pod", "--timeout=60s"];
    town.cluster.kubectl(&[&gone[..], &["--selector=app.kubernetes.io/part-of=culvert"]].concat());
}

#[track_caller]
fn same(before: &BTreeSet<String>, after: &BTreeSet<String>) {
    let more: Vec<_> = after.difference(before).collect();
    let less: Vec<_> = before.difference(after).collect();
    assert!(more.is_empty() && less.is_empty(), "left: {more:#?}\nmissing: {less:#?}");
}
