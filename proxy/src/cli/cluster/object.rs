//! What is read of objects of the API.
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) generation: i64,
    creation_timestamp: String,
    deletion_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    pub(crate) metadata: Meta,
    pub(crate) spec: PodSpec,
    pub(crate) status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) node_name: String,
    pub(crate) init_containers: Vec<Named>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    pub(crate) name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodStatus {
    pub(crate) phase: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: String,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) container_statuses: Vec<Container>,
    pub(crate) init_container_statuses: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) state: State,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    pub(crate) waiting: Option<Because>,
    pub(crate) terminated: Option<Because>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Because {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) exit_code: i32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) metadata: Meta,
    pub(crate) status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct NodeStatus {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) node_info: NodeInfo,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct NodeInfo {
    pub(crate) kernel_version: String,
    pub(crate) operating_system: String,
}

fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|condition| condition.kind == kind && condition.status == "True")
}

impl Pod {
    pub(crate) fn is_ready(&self) -> bool {
        is_true(&self.status.conditions, "Ready")
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// The best to ask first.
    pub(crate) fn rank(&self) -> (bool, bool, std::cmp::Reverse<String>) {
        let age = std::cmp::Reverse(self.metadata.creation_timestamp.clone());
        (self.is_leaving(), !self.is_ready(), age)
    }

    /// Why it is not ready, as far as its object tells.
    pub(crate) fn trouble(&self) -> Option<String> {
        if self.is_ready() {
            return None;
        }
        let PodStatus { phase, reason, message, conditions, .. } = &self.status;
        let PodStatus { container_statuses, init_container_statuses, .. } = &self.status;
        let all = init_container_statuses.iter().chain(container_statuses);
        let waits = all.clone().filter_map(|one| Some((one, one.state.waiting.as_ref()?)));
        // One that waits for another to end says nothing.
        let mut waits = waits.filter(|(_, why)| why.reason != "PodInitializing");
        let ended = all.filter_map(|one| Some((one, one.state.terminated.as_ref()?)));
        let mut ended = ended.filter(|(_, why)| why.exit_code != 0);
        let scheduled = conditions.iter().find(|condition| condition.kind == "PodScheduled");
        Some(if let Some((one, why)) = waits.next() {
            format!("container {} waits: {}", one.name, why.in_words())
        } else if let Some((one, why)) = ended.next() {
            format!("container {} ended: {}", one.name, why.in_words())
        } else if let Some(scheduled) = scheduled.filter(|it| it.status != "True") {
            format!("it has no node: {}", scheduled.message)
        } else if self.is_leaving() {
            "it is being deleted".to_owned()
        } else if !reason.is_empty() {
            format!("{reason} {message}").trim_end().to_owned()
        } else if phase == "Running" {
            "it runs, and is not ready".to_owned()
        } else {
            format!("it is {}", if phase.is_empty() { "new" } else { phase })
        })
    }
}

impl Because {
    fn in_words(&self) -> String {
        let Self { reason, message, exit_code } = self;
        match message.lines().next().unwrap_or_default() {
            "" if reason.is_empty() => format!("exit code {exit_code}"),
            "" => reason.clone(),
            message => format!("{reason}: {message}"),
        }
    }
}

impl Node {
    pub(crate) fn is_ready(&self) -> bool {
        is_true(&self.status.conditions, "Ready")
    }

    /// A node on which a proxy is not to be expected: another operating system.
    pub(crate) fn is_foreign(&self) -> bool {
        !matches!(self.status.node_info.operating_system.as_str(), "" | "linux")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "x"}, "status": status})).unwrap()
    }

    #[test]
    fn a_pod_that_is_not_ready_says_why() {
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        assert_eq!(pod(&ready).trouble(), None);
        let image = json!({"phase": "Pending", "containerStatuses": [{
            "name": "culvert",
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}},
        }]});
        let image = pod(&image).trouble();
        assert_eq!(image.as_deref(), Some("container culvert waits: ImagePullBackOff: Back-off"));
        let init = json!({"phase": "Pending", "initContainerStatuses": [{
            "name": "uninstall", "state": {"terminated": {"reason": "Error", "exitCode": 3}},
        }], "containerStatuses": [{
            "name": "done", "state": {"waiting": {"reason": "PodInitializing"}},
        }]});
        assert_eq!(pod(&init).trouble().as_deref(), Some("container uninstall ended: Error"));
        let unplaced = json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "message": "0/2 nodes are available",
        }]});
        let unplaced = pod(&unplaced).trouble();
        assert_eq!(unplaced.as_deref(), Some("it has no node: 0/2 nodes are available"));
        let running = pod(&json!({"phase": "Running"})).trouble();
        assert_eq!(running.as_deref(), Some("it runs, and is not ready"));
    }
}
