//! While a node's proxy is away, what is in the mesh is closed there, and the rest goes on.
use crate::{
    image::IMAGE,
    shop,
    town::{ENROL, SYSTEM, Town, pod_on},
};
use culvert_cluster::{Namespace, eventually};
use serde_json::Value;

/// What a pod is told by the shop, if it is answered.
fn ask(namespace: &Namespace<'_>, pod: &str) -> Value {
    let words = ["exec", pod, "--", "peer", "tell", "store:81", "hello"];
    let said = namespace.try_kubectl(&words);
    serde_json::from_slice(&said.stdout).unwrap_or_default()
}

/// A server that echoes, as a service, and clients, in the mesh; a client on each node is answered.
#[track_caller]
fn stand<'c>(town: &'c Town, name: &str) -> Namespace<'c> {
    let namespace = town.cluster.namespace(name);
    namespace.label(ENROL);
    namespace.apply(&format!(
        "{}---
apiVersion: v1
kind: Service
metadata: {{name: store}}
spec: {{selector: {{app: store}}, ports: [{{port: 81, targetPort: 8081}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: store, labels: {{app: store}}}}
spec:
  nodeName: node-2
  terminationGracePeriodSeconds: 0
  containers: [{{name: store, image: {IMAGE}, command: [peer, serve, echo, '0.0.0.0:8081']}}]
",
        shop::client()
    ));
    namespace.kubectl(&["rollout", "status", "daemonset/client", "--timeout=60s"]);
    namespace.kubectl(&["wait", "--for=condition=Ready", "pod/store", "--timeout=60s"]);
    town.await_captured(&namespace);
    answered(&namespace, &pod_on(&namespace, "client", "node-1"));
    namespace
}

#[track_caller]
fn answered(namespace: &Namespace<'_>, client: &str) {
    eventually("an answer", || (ask(namespace, client)["ok"] == true).then_some(()));
}

/// A pod's container, as containerd calls it.
fn container(pod: &Value) -> String {
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
    id.trim_start_matches("containerd://").to_owned()
}

/// A node's kubelet that does nothing until this is dropped.
struct Frozen<'c>(&'c Town);

const KUBELET: &str = "node-1/kubelet";

impl<'c> Frozen<'c> {
    fn new(town: &'c Town) -> Self {
        town.cluster.pause_part(KUBELET);
        Self(town)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.cluster.resume_part(KUBELET);
    }
}

#[test]
fn a_killed_proxy_closes_its_pods_and_comes_back() {
    let town = Town::shared();
    let namespace = stand(&town, "killed");
    let client = pod_on(&namespace, "client", "node-1");
    let asks = container(&namespace.get(&["pod", &client]));
    let store = namespace.get(&["pod", "store"])["status"]["podIP"].as_str().unwrap().to_owned();
    let proxy = town.proxy("node-1");
    let killed = container(&proxy.pod());
    // Nobody starts it again.
    let frozen = Frozen::new(&town);
    town.cluster.on("node-1", &["ctr", "tasks", "kill", "--signal", "SIGKILL", &killed]);
    eventually("the end of the proxy", || proxy.status().is_none().then_some(()));
    let tell = ["peer", "tell", &format!("{store}:8081"), "hello"];
    let exec = ["ctr", "tasks", "exec", "--exec-id", "ask", &asks];
    let said = town.cluster.on("node-1", &[&exec[..], &tell].concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["error"], "ConnectionRefused", "{said}");
    drop(frozen);
    answered(&namespace, &client);
    assert_ne!(container(&proxy.pod()), killed);
    town.await_captured(&namespace);
}

#[test]
fn without_a_proxy_a_pod_of_the_mesh_does_not_start_and_says_why() {
    let town = Town::shared();
    let namespace = stand(&town, "away");
    let other = town.cluster.namespace("plain");
    place_proxies(&town, "nowhere");
    eventually("the end of the proxies", || town.proxy("node-2").status().is_none().then_some(()));
    let pod = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{nodeName: node-2, \
             terminationGracePeriodSeconds: 0, containers: [{{name: c, image: {IMAGE}, command: [sleep, '1000']}}]}}}}"
        )
    };
    namespace.apply(&pod("late"));
    other.apply(&pod("late"));
    other.kubectl(&["wait", "--for=condition=Ready", "pod/late", "--timeout=60s"]);
    eventually("the reason", || {
        let events = namespace.get(&["events", "--field-selector=involvedObject.name=late"]);
        let events = events["items"].as_array()?.clone();
        let said = |event: &&Value| {
            event["message"]
                .as_str()
                .is_some_and(|m| m.contains("is in the mesh, and the node proxy is away"))
        };
        events.iter().find(said).map(drop)
    });
    assert_ne!(namespace.get(&["pod", "late"])["status"]["phase"], "Running");
    place_proxies(&town, "linux");
    namespace.kubectl(&["wait", "--for=condition=Ready", "pod/late", "--timeout=120s"]);
    town.await_captured(&namespace);
}

/// Has proxies be on nodes of this system only.
fn place_proxies(town: &Town, system: &str) {
    let patch = format!(
        "{{\"spec\":{{\"template\":{{\"spec\":{{\"nodeSelector\":{{\"kubernetes.io/os\":\"{system}\"}}}}}}}}}}"
    );
    let what = ["patch", "daemonset", "culvert-node", "--patch", &patch];
    town.cluster.kubectl(&[&["--namespace", SYSTEM][..], &what].concat());
}
