//! A cluster with nodes, as tests of the node use it.
#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]
use culvert_cluster::{Cluster, Namespace, eventually};
use std::{fs, path::Path, process::Command};

const IMAGE: &str = "localhost/busybox:test";

/// A web server on each of two nodes behind a service and a host port, and a client on each node.
fn pods() -> String {
    format!(
        "apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: {IMAGE}
        command: [sh, -c, 'echo $NODE >/tmp/index.html; exec httpd -f -p 8080 -h /tmp']
        env: [{{name: NODE, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}]
        ports: [{{containerPort: 8080, hostPort: 8888}}]
        readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
        resources: {{limits: {{memory: 32Mi, cpu: 200m}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: agent}}
spec:
  selector: {{matchLabels: {{app: agent}}}}
  template:
    metadata: {{labels: {{app: agent}}}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 0
      containers:
      - name: agent
        image: {IMAGE}
        command: [sleep, '10000']
        securityContext: {{privileged: true}}
        volumeMounts:
        - {{name: cgroup, mountPath: /host/cgroup}}
        - {{name: bpf, mountPath: /sys/fs/bpf, mountPropagation: Bidirectional}}
      volumes:
      - {{name: cgroup, hostPath: {{path: /sys/fs/cgroup}}}}
      - {{name: bpf, hostPath: {{path: /sys/fs/bpf}}}}
"
    )
}

fn await_daemons(namespace: &Namespace<'_>) {
    for daemon in ["daemonset/web", "daemonset/agent"] {
        namespace.kubectl(&["rollout", "status", daemon, "--timeout=100s"]);
    }
}

/// The pod of a daemon set on a node.
fn pod(namespace: &Namespace<'_>, app: &str, node: &str) -> String {
    let on = format!("--field-selector=spec.nodeName={node}");
    let pods = namespace.get(&["pods", "--selector", &format!("app={app}"), &on]);
    pods["items"][0]["metadata"]["name"].as_str().unwrap().to_owned()
}

/// What a pod is told at a URL; nothing if it is not answered.
fn ask(cluster: &Cluster, namespace: &str, pod: &str, url: &str) -> String {
    let wget = ["timeout", "5", "wget", "-q", "-O", "-", url];
    let words = [&["--namespace", namespace, "exec", pod, "--"][..], &wget].concat();
    String::from_utf8(cluster.try_kubectl(&words).stdout).unwrap()
}

/// What of the machine a cluster may not leave behind: cgroups, processes' state, files.
fn left(cluster: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let hierarchies = mounts.lines().filter(|line| line.contains(" - cgroup"));
    let places = hierarchies.filter_map(|line| line.split(' ').nth(4));
    let mark = format!("culvert-cluster-{cluster}-");
    let names = places.flat_map(|place| fs::read_dir(Path::new(place)).unwrap());
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&mark)).collect()
}

#[test]
fn pods_of_two_nodes_meet_and_nodes_come_back() {
    let cluster = Cluster::nodes("kit-nodes", 2);
    let forwarding = fs::read("/proc/sys/net/ipv4/ip_forward").unwrap();
    let namespace = cluster.namespace("meet");
    namespace.apply(&pods());
    await_daemons(&namespace);

    // By the name of the service, from a pod of each node to the pods of both.
    for from in ["node-1", "node-2"] {
        let web = pod(&namespace, "web", from);
        for to in ["node-1", "node-2"] {
            eventually(&format!("{to} from {from}"), || {
                let said = ask(&cluster, namespace.name(), &web, "http://web/");
                (said.trim() == to).then_some(())
            });
        }
    }
    // By the host port, from where the control plane is.
    let said =
        cluster.on("control", &["busybox", "wget", "-q", "-O", "-", "http://172.30.0.12:8888/"]);
    assert_eq!(said.trim(), "node-2");

    // An agent sees the pods of its node alone, and pins for them.
    let agent = pod(&namespace, "agent", "node-1");
    let script = "find /host/cgroup/unified/kubepods -maxdepth 2 -name 'pod*' | wc -l && mkdir /sys/fs/bpf/x && rmdir /sys/fs/bpf/x";
    let seen = namespace.kubectl(&["exec", &agent, "--", "sh", "-c", script]);
    let running = cluster.get(&["pods", "-A", "--field-selector=spec.nodeName=node-1"]);
    assert_eq!(seen.trim(), running["items"].as_array().unwrap().len().to_string());

    // An image of one's own, in a pod that is started with it.
    let folder = tempfile::TempDir::with_prefix("culvert-cluster-").unwrap();
    let (archive, root) = (folder.path().join("own.tar"), folder.path().join("root"));
    fs::create_dir_all(root.join("bin")).unwrap();
    for program in ["busybox", "sleep"] {
        fs::copy(busybox(), root.join("bin").join(program)).unwrap();
    }
    cluster.pack("localhost/own:test", (&root, &archive), &[]);
    cluster.import(&archive);
    namespace.kubectl(&["run", "own", "--image=localhost/own:test"]);
    namespace.kubectl(&["wait", "--for=condition=Ready", "pod/own", "--timeout=60s"]);

    // A power cut: the node comes back with its disk, and its pods with it.
    cluster.kill_part("node-2");
    assert!(!cluster.try_on("node-2", &["true"]).status.success());
    cluster.start_part("node-2");
    await_daemons(&namespace);
    let web = pod(&namespace, "web", "node-1");
    eventually("the pod after the cut", || {
        // It has another address once it runs again, and none before.
        let pod = namespace.get(&["pod", &pod(&namespace, "web", "node-2")]);
        let url = format!("http://{}:8080/", pod["status"]["podIP"].as_str()?);
        (ask(&cluster, namespace.name(), &web, &url).trim() == "node-2").then_some(())
    });

    assert!(!left("kit-nodes").is_empty());
    drop(namespace);
    drop(cluster);
    assert_eq!(left("kit-nodes"), Vec::<String>::new());
    assert_eq!(fs::read("/proc/sys/net/ipv4/ip_forward").unwrap(), forwarding);
}

fn busybox() -> String {
    let found = Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}
