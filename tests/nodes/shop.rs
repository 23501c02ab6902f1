//! An application of four services on both nodes: each request to `front` is asked of `cart` and
//! `catalog`, and those ask `store`; and on each node a client.
use crate::{
    image::IMAGE,
    load::Load,
    town::{NODES, Town, pod_on},
};
use culvert_cluster::{Namespace, eventually};

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

/// Waits until a client from outside of the mesh is refused by the shop, while it goes on.
#[track_caller]
pub(crate) fn refuses_strangers(town: &Town, namespace: &Namespace<'_>) {
    let outside = town.cluster.namespace("outside");
    outside.apply(&client());
    outside.kubectl(&["rollout", "status", "daemonset/client", "--timeout=60s"]);
    let stranger = pod_on(&outside, "client", "node-1");
    let store =
        namespace.get(&["service", "store"])["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let url = format!("http://{store}/");
    let words = ["exec", &stranger, "--", "wget", "-q", "-O", "-", "-T", "5", &url];
    eventually("the refusal of a stranger", || {
        (!outside.try_kubectl(&words).status.success()).then_some(())
    });
}
