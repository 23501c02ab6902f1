//! The rules as they are shipped, and what the nodes' own pods run as.
use culvert_cluster::{Cluster, Namespace};
use serde_json::Value;
use std::{fs, path::Path};

pub(crate) const NAMESPACE: &str = "culvert-system";

fn manifests() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/manifests/culvert.yaml");
    fs::read_to_string(file).unwrap()
}

/// The rules as they are shipped, for service accounts.
pub(crate) fn rules() -> String {
    let all = manifests();
    let kinds = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    let wanted = |text: &&str| kinds.iter().any(|kind| text.contains(&format!("\nkind: {kind}\n")));
    let rules: Vec<_> = all.split("\n---\n").filter(wanted).collect();
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: culvert-system}";
    [&[namespace][..], &rules].concat().join("\n---\n")
}

/// What pods of gateways look like, as it is shipped.
pub(crate) fn pod_of_gateways() -> String {
    let all = manifests();
    let (_, text) = all.split_once("\n  pod.json: |\n").unwrap();
    let lines = text.lines().take_while(|line| line.starts_with("    "));
    lines.collect()
}

/// As whom the control plane comes to the API server.
pub(crate) const USER: &str = "system:serviceaccount:culvert-system:culvert-control";

/// What the control plane asked for and did not get for want of a rule.
pub(crate) fn forbidden(cluster: &Cluster) -> Vec<Value> {
    let lines = cluster.requests_by(USER).into_iter();
    lines.filter(|line| line["responseStatus"]["code"] == 403).collect()
}

/// A node, and a pod of an account on it.
pub(crate) fn pod(namespace: &str, name: &str, account: &str, node: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}}}\n---\n\
         {{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}}}, \
         spec: {{nodeName: {node}, serviceAccountName: {account}, containers: [{{name: main, \
         image: example/{name}}}]}}}}"
    )
}

/// Says of a pod what a kubelet would once it runs.
pub(crate) fn runs(cluster: &Cluster, namespace: &str, name: &str, ip: &str) {
    let status = format!(
        "{{\"status\":{{\"phase\":\"Running\",\"podIP\":\"{ip}\",\"podIPs\":[{{\"ip\":\"{ip}\"}}]}}}}"
    );
    let words = ["patch", "pod", name, "--subresource=status", "--type=merge", "-p", &status];
    cluster.kubectl(&[&["-n", namespace], &words[..]].concat());
}

/// Says of a pod what a kubelet would once it is ready.
pub(crate) fn runs_ready(shop: &Namespace<'_>, name: &str) {
    let ready = r#"{"status":{"phase":"Running","podIP":"10.1.0.9","podIPs":[{"ip":"10.1.0.9"}],
        "conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#;
    let words = ["patch", "pod", name, "--subresource=status", "--type=merge", "-p", ready];
    shop.kubectl(&words);
}

/// A token of a pod, made for `audience`.
pub(crate) fn token(cluster: &Cluster, account: &str, pod: &str, audience: &str) -> String {
    let audience = format!("--audience={audience}");
    let pod = format!("--bound-object-name={pod}");
    cluster.token(NAMESPACE, account, &[&audience, "--bound-object-kind=Pod", &pod])
}
