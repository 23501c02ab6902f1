//! What leads to pods besides a Service's address: names of single pods, ports of nodes.
use crate::{
    image::IMAGE,
    shop,
    town::{ENROL, NODES, Town, pod_on},
};
use culvert_cluster::eventually;
use serde_json::Value;

/// Two pods, one on each node, with names of their own, behind a port of every node, and behind one
/// of their own node's.
fn stateful() -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: peers}}
spec: {{clusterIP: None, selector: {{app: peers}}, ports: [{{name: tcp, port: 8080}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: door}}
spec: {{type: NodePort, selector: {{app: peers}}, ports: [{{port: 80, targetPort: 8082, nodePort: 30082}}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: peers}}
spec:
  replicas: 2
  serviceName: peers
  podManagementPolicy: Parallel
  selector: {{matchLabels: {{app: peers}}}}
  template:
    metadata: {{labels: {{app: peers}}}}
    spec:
      terminationGracePeriodSeconds: 0
      topologySpreadConstraints:
      - {{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule,
         labelSelector: {{matchLabels: {{app: peers}}}}}}
      containers:
      - {{name: echo, image: {IMAGE}, command: [peer, serve, echo, '0.0.0.0:8080']}}
      - {{name: web, image: {IMAGE}, command: [peer, relay, '0.0.0.0:8082'],
         ports: [{{containerPort: 8082, hostPort: 8882}}]}}
"
    )
}

#[test]
fn single_pods_and_ports_of_nodes_lead_into_the_mesh() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("kinds");
    namespace.label(ENROL);
    namespace.apply(&stateful());
    namespace.apply(&shop::client());
    namespace.kubectl(&["rollout", "status", "statefulset/peers", "--timeout=100s"]);
    namespace.kubectl(&["rollout", "status", "daemonset/client", "--timeout=60s"]);
    town.await_captured(&namespace);
    let account = |name| format!("spiffe://cluster.local/ns/{}/sa/{name}", namespace.name());
    for from in NODES {
        let client = pod_on(&namespace, "client", from);
        for peer in ["peers-0", "peers-1"] {
            // The name of the pod itself leads nowhere else.
            let to = format!("{peer}.peers:8080");
            let words = ["exec", &client, "--", "peer", "tell", &to, "hello"];
            let said = eventually(&format!("{peer} from {from}"), || {
                let said = namespace.try_kubectl(&words).stdout;
                serde_json::from_slice(&said).ok().filter(|said: &Value| said["ok"] == true)
            });
            let pod = namespace.get(&["pod", peer]);
            let node = pod["spec"]["nodeName"].as_str().unwrap();
            let node = NODES.into_iter().find(|&known| known == node).unwrap();
            town.proxy(node).await_access(&format!("of {client} to {peer}"), |line| {
                line["direction"] == "inbound"
                    && line["src.addr"] == said["local"]
                    && line["dst.workload"] == peer
                    && line["src.identity"] == account("client")
            });
        }
        // From outside of the cluster, by a port of every node and by the pod's own on its node.
        let node = town.cluster.get(&["node", from]);
        let address = node["status"]["addresses"][0]["address"].as_str().unwrap();
        for port in [30082, 8882] {
            let url = format!("http://{address}:{port}/");
            let words = ["busybox", "wget", "-q", "-O", "-", &url];
            eventually(&format!("{url} from outside"), || {
                (town.cluster.try_on("control", &words).stdout == b"served\n").then_some(())
            });
        }
    }
}
