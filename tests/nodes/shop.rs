//! An application of four services on both nodes: each request to `front` is asked of `cart` and
//! `catalog`, and those ask `store`; and on each node a client.
use crate::{
    image::IMAGE,
    load::Load,
    town::{NODES, Town, pod_on},
};
use culvert_cluster::{Namespace, eventually};
use serde_json::Value;

/// The services, and whom each asks.
const SERVICES: [(&str, &str); 4] = [
    ("front", "'cart:80', 'catalog:80'"),
    ("cart", "'store:80'"),
    ("catalog", "'store:80'"),
    ("store", ""),
];

/// Opens it in a namespace, and waits until all of it is ready.
#[track_caller]
pub(crate) fn open(namespace: &Namespace<'_>) {
    let services: Vec<String> = SERVICES.iter().map(|(name, asks)| service(name, asks)).collect();
    namespace.apply(&format!("{}---\n{}", services.join("---\n"), client()));
    await_open(namespace);
}

/// Waits until all of it is ready.
#[track_caller]
pub(crate) fn await_open(namespace: &Namespace<'_>) {
    for (name, _) in SERVICES {
        let deployment = format!("deployment/{name}");
        namespace.kubectl(&["rollout", "status", &deployment, "--timeout=100s"]);
    }
    namespace.kubectl(&["rollout", "status", "daemonset/client", "--timeout=60s"]);
}

/// From both nodes' clients, requests to `front`.
#[track_caller]
pub(crate) fn load(town: &Town, namespace: &Namespace<'_>, rate: u32) -> [Load; 2] {
    NODES.map(|node| {
        let client = pod_on(namespace, "client", node);
        Load::start(&town.cluster, namespace, &client, "front:80", rate)
    })
}

fn service(name: &str, asks: &str) -> String {
    format!(
        "apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      serviceAccountName: {name}
      terminationGracePeriodSeconds: 0
      topologySpreadConstraints:
      - {{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule,
         labelSelector: {{matchLabels: {{app: {name}}}}}}}
      containers:
      - name: {name}
        image: {IMAGE}
        command: [peer, relay, '0.0.0.0:8080', {asks}]
        readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
"
    )
}

/// A pod on each node from which requests come.
pub(crate) fn client() -> String {
    format!(
        "apiVersion: v1
kind: ServiceAccount
metadata: {{name: client}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: client}}
spec:
  selector: {{matchLabels: {{app: client}}}}
  template:
    metadata: {{labels: {{app: client}}}}
    spec:
      serviceAccountName: client
      terminationGracePeriodSeconds: 0
      containers: [{{name: client, image: {IMAGE}, command: [sleep, '100000']}}]
"
    )
}

/// Waits until a pod on a node that is not in the mesh is refused by `to`.
#[track_caller]
pub(crate) fn refuses(town: &Town, node: &str, to: &str) {
    let outside = town.cluster.namespace("outside");
    let stranger = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: stranger}}, spec: {{nodeName: {node}, \
         terminationGracePeriodSeconds: 0, containers: [{{name: c, image: {IMAGE}, command: [sleep, '1000']}}]}}}}"
    );
    outside.apply(&stranger);
    outside.kubectl(&["wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s"]);
    let words = ["exec", "stranger", "--", "peer", "tell", to, "hello"];
    eventually(&format!("the refusal of a stranger by {to}"), || {
        let said = outside.try_kubectl(&words);
        let said: Value = serde_json::from_slice(&said.stdout).ok()?;
        (said["ok"] != true && said["error"] == "ConnectionReset").then_some(())
    });
}
