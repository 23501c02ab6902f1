//! What becomes of the DaemonSet when all nodes are to undo what their proxies did, and how far they
//! are. Pure.
use crate::cli::cluster::object::Pod;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The container that runs the proxy, and those that take its place, as the chart names them.
const PROXY: &str = "culvert";
const UNDOES: &str = "uninstall";
const STAYS: &str = "done";

/// The annotation by which the chart says what `culvert uninstall` is to be told of its nodes.
const ARGUMENTS: &str = "culvert.dev/uninstall";

/// Why a DaemonSet cannot be changed so.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotOurs {
    #[error("it has no container {PROXY}")]
    NoProxy,
    #[error("its annotation {ARGUMENTS} is no list of words")]
    Arguments,
}

/// How far each node is, by name: done, or why not.
pub(super) type Progress = BTreeMap<String, Result<(), String>>;

/// The change (a merge patch) by which every node ends its proxy, undoes what that did, and says when
/// it is done; `None`: that is so already.
pub(super) fn change(set: &Value) -> Result<Option<Value>, NotOurs> {
    let spec = &set["spec"]["template"]["spec"];
    let first = |list: &str, name: &str| {
        let all = spec[list].as_array();
        all.into_iter().flatten().find(|one| one["name"] == name)
    };
    if first("initContainers", UNDOES).is_some() {
        return Ok(None);
    }
    let proxy = first("containers", PROXY).ok_or(NotOurs::NoProxy)?;
    let arguments = match set["metadata"]["annotations"][ARGUMENTS].as_str() {
        Some(text) => serde_json::from_str(text).map_err(|_error| NotOurs::Arguments)?,
        None => vec![UNDOES.to_owned()],
    };
    // What is the machine's; settings, roots and tokens are not needed any more.
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let volumes: Vec<_> = volumes.filter(|volume| !volume["hostPath"].is_null()).collect();
    let is_kept = |mount: &&Value| volumes.iter().any(|volume| volume["name"] == mount["name"]);
    let mounts = proxy["volumeMounts"].as_array().into_iter().flatten();
    let mounts: Vec<_> = mounts.filter(is_kept).collect();
    let container = |name: &str, arguments: &[String]| {
        json!({
            "name": name,
            "image": proxy["image"],
            "imagePullPolicy": proxy["imagePullPolicy"],
            "args": arguments,
            "resources": proxy["resources"],
            "securityContext": proxy["securityContext"],
            "volumeMounts": mounts,
        })
    };
    let stays = [&arguments[..], &["--hold".to_owned()]].concat();
    Ok(Some(json!({"spec": {
        // Nothing of the mesh is left to be kept up.
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"},
        },
        "template": {"spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 5,
            // Tried again until the proxy's process has ended, and until nothing is left.
            "initContainers": [container(UNDOES, &arguments)],
            // Does nothing more, and stays, so that the pod says: this node is done.
            "containers": [container(STAYS, &stays)],
            "volumes": volumes,
        }},
    }})))
}

/// How far the nodes are on which `pods` of the DaemonSet are.
pub(super) fn progress(mut pods: Vec<Pod>) -> Progress {
    pods.sort_by_key(Pod::rank);
    let mut nodes = Progress::new();
    for pod in pods.iter().filter(|pod| !pod.spec.node_name.is_empty()) {
        let undoes = pod.spec.init_containers.iter().any(|one| one.name == UNDOES);
        let state = match pod.trouble() {
            None if undoes => Ok(()),
            Some(why) if undoes => Err(format!("pod {}: {why}", pod.metadata.name)),
            None => Err(format!("pod {}, its proxy, runs still", pod.metadata.name)),
            Some(why) => Err(format!("pod {}, its proxy: {why}", pod.metadata.name)),
        };
        // Of two, the one that undoes says how far it is once it is there.
        let known = nodes.entry(pod.spec.node_name.clone()).or_insert_with(|| state.clone());
        if undoes {
            *known = state;
        }
    }
    nodes
}

/// Whether all of them are done that are to have a pod.
pub(super) fn is_done(set: &Value, nodes: &Progress) -> bool {
    let status = &set["status"];
    let seen = status["observedGeneration"].as_i64() >= set["metadata"]["generation"].as_i64();
    let wanted = status["desiredNumberScheduled"].as_u64().unwrap_or_default();
    let done = nodes.values().filter(|state| state.is_ok()).count();
    seen && nodes.values().all(Result::is_ok) && u64::try_from(done).is_ok_and(|it| it >= wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Value {
        json!({
            "metadata": {
                "generation": 2,
                "annotations": {(ARGUMENTS): r#"["uninstall","--cni-conf-dir=/etc/cni/net.d"]"#},
            },
            "spec": {"template": {"spec": {
                "containers": [
                    {"name": "beside", "image": "x"},
                    {
                        "name": "culvert", "image": "i", "imagePullPolicy": "Never", "args": ["node"],
                        "resources": {"requests": {"cpu": "1"}},
                        "securityContext": {"runAsUser": 0},
                        "startupProbe": {}, "env": [],
                        "volumeMounts": [
                            {"name": "run", "mountPath": "/run/culvert"},
                            {"name": "token", "mountPath": "/run/secrets"},
                        ],
                    },
                ],
                "volumes": [
                    {"name": "run", "hostPath": {"path": "/run/culvert"}},
                    {"name": "token", "projected": {}},
                ],
            }}},
        })
    }

    #[test]
    fn the_proxy_gives_way_to_what_undoes_it_with_the_same_rights() {
        let change = change(&set()).unwrap().unwrap();
        let spec = &change["spec"]["template"]["spec"];
        assert_eq!(spec["volumes"], json!([{"name": "run", "hostPath": {"path": "/run/culvert"}}]));
        let undoes = &spec["initContainers"][0];
        assert_eq!(undoes["args"], json!(["uninstall", "--cni-conf-dir=/etc/cni/net.d"]));
        assert_eq!(undoes["volumeMounts"], json!([{"name": "run", "mountPath": "/run/culvert"}]));
        assert_eq!(
            (&undoes["image"], &undoes["securityContext"], &undoes["startupProbe"]),
            (&json!("i"), &json!({"runAsUser": 0}), &Value::Null)
        );
        let stays = json!(["uninstall", "--cni-conf-dir=/etc/cni/net.d", "--hold"]);
        assert_eq!(spec["containers"][0]["args"], stays);
        assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
        assert_eq!(change["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"], 0);
    }

    #[test]
    fn what_is_being_undone_is_left_as_it_is() {
        let mut set = set();
        set["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "uninstall"}]);
        assert_eq!(change(&set), Ok(None));
    }

    #[test]
    fn a_set_of_somebody_else_is_not_touched() {
        let mut other = set();
        other["spec"]["template"]["spec"]["containers"][1]["name"] = json!("other");
        assert_eq!(change(&other), Err(NotOurs::NoProxy));
        let mut garbled = set();
        garbled["metadata"]["annotations"][ARGUMENTS] = json!("uninstall");
        assert_eq!(change(&garbled), Err(NotOurs::Arguments));
    }

    fn pod(name: &str, node: &str, undoes: bool, ready: bool) -> Pod {
        let init = if undoes { json!([{"name": "uninstall"}]) } else { json!([]) };
        let ready = if ready { "True" } else { "False" };
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"nodeName": node, "initContainers": init},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    fn counted(wanted: u32, observed: u32) -> Value {
        let status = json!({"desiredNumberScheduled": wanted, "observedGeneration": observed});
        json!({"metadata": {"generation": 2}, "status": status})
    }

    #[test]
    fn nodes_are_done_one_by_one() {
        let nodes = progress(vec![
            pod("a-new", "a", true, true),
            pod("b-old", "b", false, true),
            pod("b-new", "b", true, false),
            pod("c-old", "c", false, true),
        ]);
        let said: Vec<_> = nodes.iter().map(|(node, state)| format!("{node}: {state:?}")).collect();
        assert_eq!(
            said,
            [
                "a: Ok(())",
                "b: Err(\"pod b-new: it runs, and is not ready\")",
                "c: Err(\"pod c-old, its proxy, runs still\")",
            ]
        );
        assert!(!is_done(&counted(3, 2), &nodes));
    }

    #[test]
    fn all_are_done_when_each_that_is_to_have_a_pod_is() {
        let nodes = progress(vec![pod("a-new", "a", true, true), pod("b-new", "b", true, true)]);
        assert!(is_done(&counted(2, 2), &nodes));
        assert!(!is_done(&counted(3, 2), &nodes), "one has no pod yet");
        assert!(!is_done(&counted(2, 1), &nodes), "nobody has seen the change");
        assert!(is_done(&counted(0, 2), &Progress::new()), "there is no node");
    }
}
