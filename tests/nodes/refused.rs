//! What is wrong with an installation is said, and costs nobody anything.
use crate::{
    leave::by_tunnel,
    shop,
    town::{ENROL, NODES, SYSTEM, Town},
};
use culvert_cluster::eventually;

#[test]
fn a_token_for_somebody_else_and_a_missing_permission_stop_the_new_and_not_the_old() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("refused");
    // Istio's label does as well, also beside ours.
    namespace.label("istio.io/dataplane-mode=ambient");
    namespace.label(ENROL);
    shop::open(&namespace);
    town.await_captured(&namespace);
    let load = shop::load(&town, &namespace, 4);

    // A token for somebody else: the new process is told so, never gets ready, and takes nothing over.
    town.cluster.change_chart(&["node.tokenAudience=somebody-else"]);
    let said = eventually("why the new proxy is not ready", || {
        let new = NODES.iter().flat_map(|&node| town.proxy(node).said());
        let error = |line: &String| line.contains("audience");
        new.map(|line| line.to_string()).find(error)
    });
    assert!(said.contains("culvert"), "{said}");
    town.cluster.install_chart(&[]);

    // A permission that is missing: the rule is named.
    town.cluster.kubectl(&["delete", "clusterrolebinding", "culvert-control"]);
    let restart = ["--namespace", SYSTEM, "rollout", "restart", "deployment/culvert-control"];
    town.cluster.kubectl(&restart);
    eventually("the rule that is missing", || {
        let select = "--selector=app.kubernetes.io/name=culvert-control";
        let logs = ["--namespace", SYSTEM, "logs", select, "--tail=-1"];
        let said = town.cluster.try_kubectl(&logs).stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        said.lines().any(|line| line.contains("forbidden") && line.contains("pods")).then_some(())
    });
    town.cluster.install_chart(&[]);
    town.await_ready();
    by_tunnel(&town, &namespace);
    for load in load {
        assert!(load.finish() > 0);
    }
}
