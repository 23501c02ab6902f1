//! What is read of namespaces and pods, and what they are called. Pure.
use culvert_control::compile::own::RECORDED;
use culvert_kubernetes::{kind::Kind, trim::Key};
use culvert_model::name::ObjectName;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Of what is followed, which are pods; the other ones are namespaces.
const PODS: usize = 1;

/// The kubelet's name of a static pod, on the object by which the API server shows it.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What Istio's injector writes on a pod to which it gives a sidecar.
const SIDECAR: &str = "sidecar.istio.io/status";

/// What is read of a pod.
const POD: &[&str] = &[
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
    "metadata.ownerReferences",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "spec.nodeName",
    "spec.serviceAccountName",
    "spec.serviceAccount",
    "spec.hostNetwork",
    "spec.dnsConfig.nameservers",
    "spec.dnsPolicy",
    "spec.containers.ports",
    "spec.initContainers.ports",
    "spec.ephemeralContainers.ports",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

/// The part of an object that the control plane's types leave out.
#[derive(Default, Deserialize)]
pub(super) struct Uid {
    metadata: UidMeta,
}

#[derive(Default, Deserialize)]
struct UidMeta {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Uid {
    /// What the kubelet calls the pod: a static pod is not called as its mirror in the API server.
    pub(super) fn of(json: &str) -> String {
        let Self { metadata: UidMeta { uid, mut annotations } } =
            serde_json::from_str(json).unwrap_or_default();
        annotations.remove(MIRROR).unwrap_or(uid)
    }
}

/// Namespaces, and the pods of `node`.
pub(super) fn kinds(node: &str) -> [Kind; 2] {
    let meta: &[&str] = &["metadata.labels", "metadata.annotations"];
    let ours =
        |key: &str| key.starts_with("culvert.dev/") || [MIRROR, RECORDED, SIDECAR].contains(&key);
    let namespaces = Kind::built_in("", &["v1"], "Namespace", "namespaces", meta);
    let pods = Kind::built_in("", &["v1"], "Pod", "pods", POD);
    [
        namespaces.with_annotations(ours),
        pods.with_annotations(ours).with_selector(format!("spec.nodeName={node}")),
    ]
}

/// What an object is called; a namespace has a name only.
pub(super) fn name(kind: usize, Key { namespace, name }: &Key) -> ObjectName {
    match kind {
        PODS => ObjectName::new(&**namespace, &**name),
        _ => ObjectName::new("", &**name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_pod_is_called_as_the_kubelet_calls_it() {
        let plain = r#"{"metadata":{"uid":"1","name":"x"},"spec":{}}"#;
        let fixed =
            r#"{"metadata":{"uid":"1","annotations":{"kubernetes.io/config.mirror":"abc"}}}"#;
        assert_eq!([plain, fixed, "{}"].map(Uid::of), ["1", "abc", ""]);
    }
}
