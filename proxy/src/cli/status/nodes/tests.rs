//! What a person reads of a cluster.
use super::*;
use crate::cli::{
    cluster::object,
    status::sample::{control, node},
};
use std::collections::BTreeMap;

fn pod(name: &str, node: &str, ready: bool) -> object::Pod {
    let ready = if ready { "True" } else { "False" };
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }))
    .unwrap()
}

fn seen(answers: impl IntoIterator<Item = (&'static str, Result<Value, String>)>) -> Seen {
    let nodes = [
        ("a", Some(pod("node-a", "a", true))),
        ("b", Some(pod("node-b", "b", false))),
        ("c", None),
    ];
    let nodes: BTreeMap<_, _> =
        nodes.into_iter().map(|(node, pod)| (node.to_owned(), pod)).collect();
    let crew = Crew { nodes, control: vec![pod("control-0", "a", true)], unlisted: None };
    let answers = answers.into_iter().map(|(pod, said)| (pod.to_owned(), said)).collect();
    Seen::of("https://10.0.0.1", crew, answers)
}

#[test]
fn those_that_do_not_answer_are_named_and_say_why() {
    let seen = seen([
        ("node-a", Ok(node(&json!({})))),
        ("node-b", Err("nobody answers on port 15000 of its loopback: refused".to_owned())),
        ("control-0", Ok(control(&json!([])))),
    ]);
    assert!(!seen.is_well());
    insta::assert_snapshot!(seen.render(), @r"
    cluster  https://10.0.0.1

    NODE  READY      VERSION  CAPTURED  PENDING  MESH       REMARKS
    a     yes        0.1.0    1         0        connected
    b     no answer  -        -         -        -          node-b: it runs, and is not ready (nobody answers on port 15000 of its loopback: refused)
    c     no answer  -        -         -        -          no pod of culvert-node is there: see the node's taints and labels, and node.nodeSelector and node.tolerations of the chart

    CONTROL PLANE  READY  VERSION  NODES  ENROLLED  ANNOUNCED  REMARKS
    control-0      yes    0.1.0    0      3         2          writes
    ");
    let document = seen.document();
    assert_eq!(document["nodes"][0]["status"]["version"], "0.1.0");
    assert!(
        document["nodes"][1]["error"].as_str().unwrap().starts_with("it runs, and is not ready")
    );
    assert_eq!(document["control"][0]["pod"], "control-0");
}

#[test]
fn what_is_wrong_with_whom() {
    let pending = json!([{
        "uid": "x", "namespace": "shop", "name": "web", "ips": [], "state": "pending",
        "reason": "cannot open its network namespace", "connections": 0,
    }]);
    let uncaptured = |pod: &str| {
        json!({
            "pod": pod, "node": "b", "reason": "told by the control plane", "origin": "",
            "announced": false,
        })
    };
    let troubled = json!({
        "ready": false, "waiting": ["certificates"], "pods": pending, "cni": {"conf_dir": "/etc/cni/net.d"},
        "mesh": {
            "control": "x", "connected": false, "error": "refused", "generation": 5,
            "workloads": 3, "services": 1,
        },
    });
    let seen = seen([
        ("node-a", Ok(node(&troubled))),
        ("node-b", Ok(json!({"other": "release"}))),
        ("control-0", Ok(control(&json!([uncaptured("shop/web"), uncaptured("shop/db")])))),
    ]);
    insta::assert_snapshot!(seen.render(), @r"
    cluster  https://10.0.0.1

    NODE  READY      VERSION  CAPTURED  PENDING  MESH  REMARKS
    a     no         0.1.0    0         1        away  certificates; refused; the CNI plugin is not in /etc/cni/net.d
    b     no answer  -        -         -        -     node-b: it runs, and is not ready (it is of another release: missing field `instance`)
    c     no answer  -        -         -        -     no pod of culvert-node is there: see the node's taints and labels, and node.nodeSelector and node.tolerations of the chart

    CONTROL PLANE  READY  VERSION  NODES  ENROLLED  ANNOUNCED  REMARKS
    control-0      yes    0.1.0    0      3         2          writes

    enrolled, and not captured (culvert status NAMESPACE/POD says more):
    POD       NODE  REASON
    shop/web  a     cannot open its network namespace
    shop/db   b     told by the control plane
    ");
}

#[test]
fn a_cluster_that_is_well() {
    let mut seen = seen([
        ("node-a", Ok(node(&json!({})))),
        ("node-b", Ok(node(&json!({})))),
        ("control-0", Ok(control(&json!([])))),
    ]);
    seen.nodes.retain(|post| !post.pod.is_empty());
    assert!(seen.is_well());
}
