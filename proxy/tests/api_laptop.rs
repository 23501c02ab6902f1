//! The command line before a real API server whose nodes nobody runs: what it says of pods that do
//! not answer, of rights that are lacking, and how far an uninstall is.
#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]
use culvert_cluster::{Cluster, eventually};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

const SYSTEM: &str = "culvert-system";

/// The program, and who it is to be.
struct Laptop(PathBuf);

impl Laptop {
    fn command(&self, words: &[&str]) -> Command {
        let mut culvert = Command::new(env!("CARGO_BIN_EXE_culvert"));
        culvert.env_clear().args(words).arg("--kubeconfig").arg(&self.0);
        culvert
    }

    /// What it says on both its outputs, and the exit code that it must end with.
    #[track_caller]
    fn says(&self, code: i32, words: &[&str]) -> [String; 2] {
        ended(self.command(words).output().unwrap(), code)
    }
}

#[track_caller]
fn ended(output: Output, code: i32) -> [String; 2] {
    let Output { status, stdout, stderr } = output;
    let [out, err] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(status.code(), Some(code), "{out}{err}");
    [out, err]
}

/// A cluster of the test's own with the chart's manifests, and two nodes that nobody runs.
fn installed(name: &str) -> Cluster {
    let cluster = Cluster::api(name);
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/manifests");
    for node in ["a", "b"] {
        let labels = "{kubernetes.io/os: linux}";
        cluster.apply(&format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {node}, labels: {labels}}}}}"
        ));
        let room = r#"{"status":{"allocatable":{"cpu":"8","memory":"8Gi","pods":"110"},
            "nodeInfo":{"operatingSystem":"linux","kernelVersion":"6.1.0"},
            "conditions":[{"type":"Ready","status":"True","reason":"Test"}]}}"#;
        cluster.kubectl(&["patch", "node", node, "--subresource=status", "--patch", room]);
    }
    for file in ["namespace.yaml", "culvert.yaml"] {
        cluster.apply(&fs::read_to_string(manifests.join(file)).unwrap());
    }
    eventually("a proxy's pod for each node", || {
        (pods(&cluster, "culvert-node").len() == 2).then_some(())
    });
    cluster
}

fn pods(cluster: &Cluster, part: &str) -> Vec<Value> {
    let select = format!("app.kubernetes.io/name={part}");
    let pods = cluster.get(&["--namespace", SYSTEM, "pods", "--selector", &select]);
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let stays = pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    stays.filter(|pod| pod["spec"]["nodeName"].is_string()).collect()
}

#[test]
fn nodes_that_do_not_answer_are_named_and_a_pod_has_its_list() {
    let cluster = installed("laptop");
    let admin = Laptop(cluster.kubeconfig());

    let [out, err] = admin.says(1, &["status"]);
    for node in ["a", "b"] {
        let row = out.lines().find(|line| line.starts_with(&format!("{node}  "))).unwrap();
        assert!(row.contains("no answer") && row.contains("culvert-node-"), "{out}{err}");
    }
    let [out, _] = admin.says(1, &["status", "-o", "json"]);
    let seen: Value = serde_json::from_str(&out).unwrap();
    assert!(seen["nodes"][0]["error"].is_string() && seen["nodes"][0]["node"] == "a", "{seen}");
    let [_, err] = admin.says(3, &["status", "--node", "c"]);
    assert!(err.ends_with("next: name a node with --node: a, b\n"), "{err}");
    let [_, err] = admin.says(3, &["certificates", "--node", "a"]);
    assert!(
        err.starts_with("culvert: cannot get pods/portforward culvert-system/culvert-node-"),
        "{err}"
    );

    // A pod whose namespace is not in the mesh: the list ends there. One whose node is silent: it
    // goes on to that.
    let shop = cluster.namespace("shop");
    shop.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {nodeName: a, containers: [{name: c, image: localhost/none}]}}",
    );
    let pod = format!("{}/web", shop.name());
    let [out, _] = admin.says(1, &["status", &pod]);
    let way_out = format!("kubectl label namespace {} culvert.dev/mesh=enabled", shop.name());
    assert!(out.contains(&way_out) && out.matches("  ✗").count() == 1, "{out}");
    shop.label("culvert.dev/mesh=enabled");
    let [out, _] = admin.says(1, &["status", "web", "-n", shop.name()]);
    assert!(out.contains("✓ it is on node a, which is ready"), "{out}");
    assert!(out.contains("✗ the proxy's pod there, culvert-node-"), "{out}");
    let [out, _] = admin.says(1, &["status", &pod, "-o", "json"]);
    let list: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&list["captured"], &list["checks"][0]["holds"]), (&json!(false), &json!(true)));
    let [_, err] = admin.says(1, &["status", "shop/nobody"]);
    assert!(err.starts_with("culvert: namespace shop has no pod nobody\n"), "{err}");

    // Who may nothing is told which rule is lacking.
    shop.kubectl(&["create", "serviceaccount", "nobody"]);
    let nobody = Laptop(cluster.kubeconfig_of(shop.name(), "nobody"));
    let [_, err] = nobody.says(3, &["status"]);
    let lacking = "a Role in namespace culvert-system, or a ClusterRole, with apiGroups: [\"\"], resources: [pods], verbs: [list]";
    assert!(err.contains(lacking), "{err}");
    let [_, err] = nobody.says(3, &["uninstall"]);
    assert!(err.contains("apiGroups: [\"apps\"], resources: [daemonsets], verbs: [get]"), "{err}");
}

#[test]
fn a_cluster_without_us_says_so() {
    let cluster = Cluster::shared();
    let admin = Laptop(cluster.kubeconfig());
    // Others may have installed it there.
    if pods(&cluster, "culvert-node").is_empty() && pods(&cluster, "culvert-control").is_empty() {
        let [_, err] = admin.says(3, &["status"]);
        assert!(err.ends_with("next: install the chart: docs/install.md\n"), "{err}");
    }
}

/// Says for a kubelet that all containers of a pod run.
fn ready(cluster: &Cluster, pod: &Value) {
    let name = pod["metadata"]["name"].as_str().unwrap();
    let patch = json!({"status": {
        "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
    }});
    let words = ["--namespace", SYSTEM, "patch", "pod", name, "--subresource=status", "--patch"];
    cluster.kubectl(&[&words[..], &[&patch.to_string()]].concat());
}

/// Removes pods that are to go, as a kubelet would once they have ended.
fn reap(cluster: &Cluster) {
    let words = ["--namespace", SYSTEM, "delete", "pod", "--force", "--grace-period=0"];
    let select = "--selector=app.kubernetes.io/name=culvert-node";
    let pods = cluster.get(&["--namespace", SYSTEM, "pods", select]);
    for pod in pods["items"].as_array().unwrap() {
        if pod["metadata"]["deletionTimestamp"].is_string() {
            // It may have gone by itself.
            let name = pod["metadata"]["name"].as_str().unwrap();
            drop(cluster.try_kubectl(&[&words[..], &[name]].concat()));
        }
    }
}

#[test]
fn an_uninstall_waits_for_every_node_with_the_rights_of_its_job() {
    let cluster = installed("leaves");
    // What `helm uninstall` makes for it.
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/culvert");
    let chart = chart.display().to_string();
    let words = [
        "template",
        "culvert",
        &chart,
        "--show-only",
        "templates/uninstall.yaml",
        "--kube-version=1.36.0",
    ];
    let hooks = cluster.try_helm(&words).stdout;
    cluster.apply(&String::from_utf8(hooks).unwrap());
    let job = Laptop(cluster.kubeconfig_of(SYSTEM, "culvert-uninstall"));
    for pod in pods(&cluster, "culvert-node") {
        ready(&cluster, &pod);
    }

    // Nobody ends the proxies: after its time it says who is left.
    let [out, err] = job.says(1, &["uninstall", "--timeout", "2s"]);
    assert!(out.contains("not done within 2 s") && err.contains("run this again"), "{out}{err}");

    let mut goes_on: Child = job
        .command(&["uninstall", "--timeout", "60s", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let undoing = eventually("pods that undo in place of the proxies", || {
        reap(&cluster);
        let pods = pods(&cluster, "culvert-node");
        let undoes = |pod: &&Value| pod["spec"]["initContainers"][0]["name"] == "uninstall";
        (pods.iter().filter(undoes).count() == 2).then_some(pods)
    });
    let own = &undoing[0]["spec"];
    assert_eq!(own["initContainers"][0]["args"][0], "uninstall");
    assert_eq!(own["containers"][0]["args"].as_array().unwrap().last().unwrap(), "--hold");
    assert!(own["initContainers"][0]["securityContext"]["capabilities"]["add"].is_array());
    assert!(goes_on.try_wait().unwrap().is_none(), "no node is done yet");
    for pod in &undoing {
        ready(&cluster, pod);
    }
    let [out, _] = ended(goes_on.wait_with_output().unwrap(), 0);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said, json!({"done": ["a", "b"], "left": []}));
    // Again: nothing is changed, and all are done.
    let [out, _] = job.says(0, &["uninstall", "--timeout", "60s"]);
    assert!(out.contains("node a: done\nnode b: done\n"), "{out}");
}
