//! Two nodes with the chart installed, which stories share one after the other: each has namespaces
//! of its own, and leaves the chart as it was.
use crate::{image, proxy::Proxy};
use culvert_cluster::{Cluster, Crds, Namespace, eventually};
use serde_json::Value;
use std::{fs, path::Path, thread};

/// Where the mesh's own parts are.
pub(crate) const SYSTEM: &str = "culvert-system";

/// What enrols a namespace.
pub(crate) const ENROL: &str = "culvert.dev/mesh=enabled";

/// The annotation of a captured pod, also for jsonpath.
pub(crate) const CAPTURED: &str = "ambient.istio.io/redirection";

/// The nodes.
pub(crate) const NODES: [&str; 2] = ["node-1", "node-2"];

#[derive(Debug)]
pub(crate) struct Town {
    pub(crate) cluster: Cluster,
}

impl Town {
    /// The shared cluster, with everything ready.
    #[track_caller]
    pub(crate) fn shared() -> Self {
        let town = Self { cluster: Cluster::shared_nodes() };
        town.settle();
        town
    }

    /// A cluster of the test's own, which has no mesh yet.
    #[track_caller]
    pub(crate) fn empty(name: &str) -> Self {
        let town = Self { cluster: Cluster::nodes(name, 2) };
        town.furnish();
        town
    }

    /// The images, and the namespace of the mesh's parts.
    #[track_caller]
    fn furnish(&self) {
        self.cluster.import(&Cluster::image_under_test());
        image::give_usual(&self.cluster);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        self.cluster
            .apply(&fs::read_to_string(root.join("deploy/manifests/namespace.yaml")).unwrap());
    }

    /// Installs the chart where it is not; a story that failed may have left it otherwise.
    #[track_caller]
    pub(crate) fn settle(&self) {
        let is_new = !self.cluster.try_helm(&["status", "culvert"]).status.success();
        if is_new && self.cluster.get(&["namespace", SYSTEM]).is_null() {
            self.furnish();
        }
        self.cluster.install_chart(&[]);
        if is_new {
            // After the chart: kinds that are defined later are followed all the same.
            self.cluster.install(Crds::Istio);
        }
    }

    /// The proxy of a node.
    pub(crate) fn proxy(&self, node: &'static str) -> Proxy<'_> {
        Proxy { cluster: &self.cluster, node }
    }

    /// Waits until all parts of the mesh are as they are to be.
    #[track_caller]
    pub(crate) fn await_ready(&self) {
        for part in ["daemonset/culvert-node", "deployment/culvert-control"] {
            let words = ["--namespace", SYSTEM, "rollout", "status", part, "--timeout=120s"];
            self.cluster.kubectl(&words);
        }
    }

    /// Waits until every pod of a namespace that runs is captured: for its node's proxy, and for
    /// whoever reads its annotation.
    #[track_caller]
    pub(crate) fn await_captured(&self, namespace: &Namespace<'_>) {
        eventually(&format!("capture of all pods of {}", namespace.name()), || {
            let pods = running(namespace);
            let told = |pod: &&Value| pod["metadata"]["annotations"][CAPTURED] == "enabled";
            let told = pods.iter().filter(told).count();
            let known = NODES.iter().filter_map(|&node| self.proxy(node).pods_of(namespace.name()));
            let held = known.flatten().filter(|pod| pod["state"] == "captured").count();
            (!pods.is_empty() && [told, held] == [pods.len(); 2]).then_some(())
        });
    }

    /// Waits until no pod of a namespace is captured any more, for the API server and the proxies.
    #[track_caller]
    pub(crate) fn await_let_go(&self, namespace: &Namespace<'_>) {
        eventually(&format!("the end of {} in the mesh", namespace.name()), || {
            let pods = running(namespace);
            let none = pods.iter().all(|pod| pod["metadata"]["annotations"][CAPTURED].is_null());
            let known = |node| self.proxy(node).pods_of(namespace.name());
            (none && NODES.iter().all(|&node| known(node).is_some_and(|pods| pods.is_empty())))
                .then_some(())
        });
    }
}

/// The pods of a namespace that run.
fn running(namespace: &Namespace<'_>) -> Vec<Value> {
    let pods = namespace.get(&["pods", "--field-selector=status.phase=Running"]);
    pods["items"].as_array().cloned().unwrap_or_default()
}

/// The name of the first pod of an app on a node.
#[track_caller]
pub(crate) fn pod_on(namespace: &Namespace<'_>, app: &str, node: &str) -> String {
    let on = format!("--field-selector=status.phase=Running,spec.nodeName={node}");
    let pods = namespace.get(&["pods", "--selector", &format!("app={app}"), &on]);
    let pods = pods["items"].as_array().unwrap();
    // One that is about to end is no partner.
    let pod = pods.iter().find(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let pod = pod.unwrap_or_else(|| panic!("no pod of {app} on {node}"));
    pod["metadata"]["name"].as_str().unwrap().to_owned()
}

impl Drop for Town {
    /// What was going on when a story ended badly.
    #[expect(clippy::print_stderr, reason = "it is shown with what the test says")]
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let show = |words: &[&str]| {
            let said = self.cluster.try_kubectl(words);
            let [out, err] =
                [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            eprintln!("--- kubectl {}\n{out}{err}", words.join(" "));
        };
        show(&["get", "pods", "--all-namespaces", "--output=wide"]);
        show(&["get", "events", "--all-namespaces", "--field-selector=type=Warning"]);
        for part in ["node", "control"] {
            let select = format!("--selector=app.kubernetes.io/name=culvert-{part}");
            let words = ["--namespace", SYSTEM, "logs", &select, "--prefix", "--tail=400"];
            let said = self.cluster.try_kubectl(&words).stdout;
            let said = String::from_utf8_lossy(&said).into_owned();
            // Who talked to whom fills pages.
            let lines: Vec<_> = said.lines().filter(|line| !line.contains(r#""access""#)).collect();
            eprintln!("--- culvert-{part} says\n{}", lines.join("\n"));
        }
    }
}
