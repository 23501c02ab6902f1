//! New pods are in the mesh from their first packet on.
use crate::{
    image::IMAGE,
    shop,
    town::{ENROL, NODES, Town},
};
use culvert_cluster::Namespace;

const STRICT: &str = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
                      metadata: {name: default}\nspec: {mtls: {mode: STRICT}}\n";

/// A server on each node, that takes nothing but what comes from the mesh.
#[track_caller]
pub(crate) fn servers(town: &Town, namespace: &Namespace<'_>) -> [String; 2] {
    namespace.label(ENROL);
    namespace.apply(STRICT);
    let pods: Vec<String> = NODES.iter().map(|node| server(node)).collect();
    namespace.apply(&pods.join("---\n"));
    namespace.kubectl(&["wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s"]);
    town.await_captured(namespace);
    NODES.map(|node| {
        let pod = namespace.get(&["pod", &format!("server-{node}")]);
        format!("{}:8080", pod["status"]["podIP"].as_str().unwrap())
    })
}

fn server(node: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: server-{node}, labels: {{app: server}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers: [{{name: server, image: {IMAGE}, command: [peer, serve, echo, '0.0.0.0:8080']}}]
"
    )
}

/// Pods of a Job on both nodes whose first container connects at once, and once only.
fn hasty(to: &[String; 2]) -> String {
    let tell = |to: &String| format!("[sh, -c, 'peer tell {to} hello | grep -q true']");
    let [first, then] = [tell(&to[0]), tell(&to[1])];
    format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: hasty}}
spec:
  completions: 6
  parallelism: 6
  backoffLimit: 0
  template:
    metadata: {{labels: {{app: hasty}}}}
    spec:
      restartPolicy: Never
      topologySpreadConstraints:
      - {{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule,
         labelSelector: {{matchLabels: {{app: hasty}}}}}}
      initContainers: [{{name: at-once, image: {IMAGE}, command: {first}}}]
      containers: [{{name: then, image: {IMAGE}, command: {then}}}]
"
    )
}

#[test]
fn a_new_pods_first_connection_is_of_the_mesh() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("first");
    let servers = servers(&town, &namespace);
    namespace.apply(&hasty(&servers));
    // One that had gone in plain text would have been refused, and failed the Job.
    namespace.kubectl(&["wait", "--for=condition=Complete", "job/hasty", "--timeout=100s"]);
    let account = format!("spiffe://cluster.local/ns/{}/sa/default", namespace.name());
    for (node, at) in NODES.iter().zip(&servers) {
        let proxy = town.proxy(node);
        proxy.await_access("of a hasty pod", |line| {
            let is_hasty = line["src.workload"].as_str().is_some_and(|w| w.starts_with("hasty"));
            line["direction"] == "inbound"
                && is_hasty
                && line["src.identity"] == account
                && (line["dst.addr"] == **at || line["dst.hbone_addr"] == **at)
        });
    }
    shop::refuses(&town, "node-1", &servers[1]);
}
