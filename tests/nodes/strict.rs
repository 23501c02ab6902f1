//! The kubelet's probes pass where nothing but the mesh is let in, and nobody else does.
use crate::{
    image::IMAGE,
    shop,
    town::{ENROL, NODES, Town, pod_on},
};
use culvert_cluster::eventually;

/// A pod on each node with all four probes; whoever fails one is restarted at once.
fn probed() -> String {
    format!(
        "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default}}
spec: {{mtls: {{mode: STRICT}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: probed}}
spec:
  selector: {{matchLabels: {{app: probed}}}}
  template:
    metadata: {{labels: {{app: probed}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: http
        image: {IMAGE}
        command: [peer, relay, '0.0.0.0:8080']
        readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
        livenessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1, failureThreshold: 1, initialDelaySeconds: 5}}
      - name: tcp
        image: {IMAGE}
        command: [peer, serve, echo, '0.0.0.0:8081']
        livenessProbe: {{tcpSocket: {{port: 8081}}, periodSeconds: 1, failureThreshold: 1, initialDelaySeconds: 5}}
      - name: grpc
        image: {IMAGE}
        command: [istio-echo-server, --port, '8090', --tcp, '9090', --grpc, '7070', --metrics, '15090']
        env: [{{name: INSTANCE_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}]
        readinessProbe: {{grpc: {{port: 7070}}, periodSeconds: 1}}
        livenessProbe: {{grpc: {{port: 7070}}, periodSeconds: 1, failureThreshold: 2, initialDelaySeconds: 20}}
      - name: exec
        image: {IMAGE}
        command: [sleep, '100000']
        livenessProbe: {{exec: {{command: ['true']}}, periodSeconds: 1, failureThreshold: 2}}
"
    )
}

#[test]
fn all_probes_pass_under_strict_and_strangers_do_not() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("strict");
    namespace.label(ENROL);
    namespace.apply(&probed());
    namespace.kubectl(&["rollout", "status", "daemonset/probed", "--timeout=100s"]);
    town.await_captured(&namespace);
    let address = |node| {
        let pod = namespace.get(&["pod", &pod_on(&namespace, "probed", node)]);
        pod["status"]["podIP"].as_str().unwrap().to_owned()
    };
    for node in NODES {
        for port in [8080, 8081] {
            shop::refuses(&town, node, &format!("{}:{port}", address(node)));
        }
        // After the refusal: STRICT is in force, and the next probes still pass.
        let pod = pod_on(&namespace, "probed", node);
        let passed = || {
            let said = namespace.kubectl(&["logs", &pod, "--container=tcp"]);
            said.lines().filter(|line| line.contains("accepted")).count()
        };
        let before = passed();
        eventually("more probes", || (passed() >= before + 3).then_some(()));
    }
    let pods = namespace.get(&["pods"]);
    for pod in pods["items"].as_array().unwrap() {
        for container in pod["status"]["containerStatuses"].as_array().unwrap() {
            assert_eq!(container["restartCount"], 0, "{container}");
            assert_eq!(container["ready"], true, "{container}");
        }
    }
}
