//! The proxy of a node, and what it tells.
use crate::town::SYSTEM;
use culvert_cluster::{Cluster, eventually};
use serde_json::Value;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Proxy<'c> {
    pub(crate) cluster: &'c Cluster,
    pub(crate) node: &'static str,
}

impl Proxy<'_> {
    /// What it says of itself by the door that only its node can reach.
    pub(crate) fn status(&self) -> Option<Value> {
        let url = "http://127.0.0.1:15000/status";
        let said = self.cluster.try_on(self.node, &["busybox", "wget", "-q", "-O", "-", url]);
        said.status.success().then(|| serde_json::from_slice(&said.stdout).ok())?
    }

    /// The pods of a namespace that it knows.
    pub(crate) fn pods_of(&self, namespace: &str) -> Option<Vec<Value>> {
        let status = self.status()?;
        let pods = status["pods"].as_array()?.iter();
        Some(pods.filter(|pod| pod["namespace"] == namespace).cloned().collect())
    }

    /// The newest pod of the daemon set on this node.
    #[track_caller]
    pub(crate) fn pod(&self) -> Value {
        let on = format!("--field-selector=spec.nodeName={}", self.node);
        let select = "--selector=app.kubernetes.io/name=culvert-node";
        let pods = self.cluster.get(&["--namespace", SYSTEM, "pods", select, &on]);
        let mut pods = pods["items"].as_array().unwrap().clone();
        pods.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str().map(str::to_owned));
        pods.pop().unwrap_or_else(|| panic!("no proxy on {}", self.node))
    }

    /// Everything that its newest pod has said: log and access lines.
    #[track_caller]
    pub(crate) fn said(&self) -> Vec<Value> {
        let pod = self.pod()["metadata"]["name"].as_str().unwrap().to_owned();
        let text =
            self.cluster.kubectl(&["--namespace", SYSTEM, "logs", &pod, "--container=culvert"]);
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an access line.
    #[track_caller]
    pub(crate) fn await_access(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("access line {what} on {}", self.node), || {
            self.said().into_iter().find(|line| !line["direction"].is_null() && is(line))
        })
    }
}
