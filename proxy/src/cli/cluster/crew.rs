//! Which pods are ours, and on which node: whom to ask. Pure, but for where it is read.
use super::{
    Cluster, HOME,
    object::{Node, Pod},
};
use crate::failure::{Exit, Failure};
use culvert_kubernetes::ask::Resource;
use std::collections::BTreeMap;

/// The label by which ours are known, and what it says of each part.
const PART: &str = "app.kubernetes.io/name";
const ALL: &str = "app.kubernetes.io/part-of=culvert";

/// Our pods, and the nodes on which one of them should be.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    /// By node; `None`: none of ours is there.
    pub(crate) nodes: BTreeMap<String, Option<Pod>>,
    /// The control plane's.
    pub(crate) control: Vec<Pod>,
    /// Why nodes without a pod of ours are not known.
    pub(crate) unlisted: Option<String>,
}

impl Crew {
    /// Asks for them.
    ///
    /// # Errors
    ///
    /// When pods may not be listed. That of nodes is only missed.
    pub(crate) fn of(cluster: &Cluster) -> Result<Self, Failure> {
        let pods = cluster.all(&Resource::core("pods").within(HOME).labelled(ALL))?;
        let nodes = cluster.does(cluster.client().all::<Node>(&Resource::core("nodes")));
        let (nodes, unlisted) = match nodes {
            Ok(nodes) => (nodes, None),
            Err(refused) => (Vec::new(), Some(refused.fault.to_string())),
        };
        Ok(Self { unlisted, ..Self::sorted(pods, &nodes) })
    }

    /// Of two pods on a node, as in an upgrade, the one to ask is the one that is ready.
    fn sorted(mut pods: Vec<Pod>, nodes: &[Node]) -> Self {
        pods.sort_by_key(Pod::rank);
        let wanted = nodes.iter().filter(|node| !node.is_foreign());
        let mut all: BTreeMap<_, _> =
            wanted.map(|node| (node.metadata.name.clone(), None)).collect();
        let mut control = Vec::new();
        for pod in pods {
            match pod.metadata.labels.get(PART).map(String::as_str) {
                Some("culvert-node") if !pod.spec.node_name.is_empty() => {
                    all.entry(pod.spec.node_name.clone()).or_default().get_or_insert(pod);
                }
                Some("culvert-control") => control.push(pod),
                Some(_) | None => {}
            }
        }
        Self { nodes: all, control, unlisted: None }
    }

    /// The pod of a node.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn of_node(&self, node: &str) -> Result<&str, Failure> {
        let what = match self.nodes.get(node) {
            Some(Some(pod)) => return Ok(&pod.metadata.name),
            Some(None) => format!("no pod of culvert-node is on node {node}"),
            None => format!("the cluster has no node {node} that a proxy is on"),
        };
        Err(Failure::new(Exit::Cannot, what, self.names()))
    }

    /// A pod of the control plane: the one of that name, else any, one that is ready first.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn of_control(&self, name: Option<&str>) -> Result<&str, Failure> {
        let fits = |pod: &&Pod| name.is_none_or(|name| pod.metadata.name == name);
        if let Some(pod) = self.control.iter().find(fits) {
            return Ok(&pod.metadata.name);
        }
        let what = match name {
            Some(name) => format!("the control plane has no pod {name} in {HOME}"),
            None => format!("the control plane has no pod in {HOME}"),
        };
        let names: Vec<_> = self.control.iter().map(|pod| pod.metadata.name.as_str()).collect();
        let next = match names[..] {
            [] => "see which control plane this cluster has: kubectl get pods -A -l app=istiod"
                .to_owned(),
            _ => format!("name one with --control: {}", names.join(", ")),
        };
        Err(Failure::new(Exit::Cannot, what, next))
    }

    /// The pod of the only node.
    ///
    /// # Errors
    ///
    /// When there is none, or a choice.
    pub(crate) fn only_node(&self) -> Result<&str, Failure> {
        let mut there = self.nodes.values().flatten();
        match (there.next(), there.next()) {
            (Some(only), None) => Ok(&only.metadata.name),
            (None, _) => {
                let what = format!("no pod of culvert-node is in {HOME}");
                Err(Failure::new(Exit::Cannot, what, "install the chart: docs/install.md"))
            }
            (Some(_), Some(_)) => {
                let what = "there are several nodes, and each answers for itself";
                Err(Failure::new(Exit::Usage, what, self.names()))
            }
        }
    }

    /// Any pod of a node, one that is ready first: for what each knows.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn any_node(&self) -> Result<&str, Failure> {
        let ready = self.nodes.values().flatten().min_by_key(|pod| pod.rank());
        ready.map_or_else(|| self.only_node(), |pod| Ok(&pod.metadata.name))
    }

    fn names(&self) -> String {
        let there = self.nodes.iter().filter(|(_, pod)| pod.is_some());
        let names: Vec<_> = there.map(|(node, _)| node.as_str()).take(20).collect();
        match names[..] {
            [] => "install the chart: docs/install.md".to_owned(),
            _ => format!("name a node with --node: {}", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(part: &str, name: &str, node: &str, ready: bool) -> Pod {
        let ready = if ready { "True" } else { "False" };
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {(PART): part}},
            "spec": {"nodeName": node},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    fn node(name: &str, system: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name}, "status": {"nodeInfo": {"operatingSystem": system}},
        }))
        .unwrap()
    }

    fn crew() -> Crew {
        Crew::sorted(
            vec![
                pod("culvert-node", "new", "a", false),
                pod("culvert-node", "old", "a", true),
                pod("culvert-node", "other", "b", false),
                pod("culvert-control", "starts", "a", false),
                pod("culvert-control", "serves", "b", true),
                pod("culvert-uninstall", "job", "a", true),
            ],
            &[node("a", "linux"), node("b", "linux"), node("c", "linux"), node("w", "windows")],
        )
    }

    #[test]
    fn of_two_pods_on_a_node_the_ready_one_is_asked() {
        let crew = crew();
        assert_eq!(crew.of_node("a").unwrap(), "old");
        assert_eq!(crew.of_node("b").unwrap(), "other", "better than none");
        assert_eq!(crew.of_control(None).unwrap(), "serves");
        assert_eq!(crew.of_control(Some("starts")).unwrap(), "starts");
        assert_eq!(crew.any_node().unwrap(), "old");
        assert_eq!(crew.nodes.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn whoever_names_nobody_is_told_whom_there_is() {
        let crew = crew();
        let said = |failure: Failure| failure.to_string();
        assert_eq!(
            said(crew.only_node().unwrap_err()),
            "culvert: there are several nodes, and each answers for itself\nnext: name a node with --node: a, b"
        );
        assert_eq!(
            said(crew.of_node("c").unwrap_err()),
            "culvert: no pod of culvert-node is on node c\nnext: name a node with --node: a, b"
        );
        assert_eq!(
            said(crew.of_control(Some("x")).unwrap_err()),
            "culvert: the control plane has no pod x in culvert-system\nnext: name one with --control: serves, starts"
        );
        let none = Crew::default();
        assert!(said(none.any_node().unwrap_err()).contains("install the chart"));
    }
}
