//! `culvert status` of a whole cluster: a row per node and per pod of the control plane, and what
//! is wrong with whom. Pure, but for the asking.
use super::{MAX_TOLD, control_is_well, is_well, manifests, mesh};
use crate::{
    admin::view::{ControlStatus, Pod, Status, Uncaptured},
    cli::{
        cluster::{
            Cluster, HOME,
            ask::{self, Answers},
            crew::Crew,
        },
        output,
    },
    failure::{Exit, Failure},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What was found out.
pub(super) struct Seen {
    server: String,
    nodes: Vec<Post<Status>>,
    control: Vec<Post<ControlStatus>>,
    unlisted: Option<String>,
}

/// A pod of ours, or the lack of one, and what it says.
struct Post<T> {
    /// Where it is.
    node: String,
    /// What it is called; empty: there is none.
    pod: String,
    /// What it answered, or why it did not.
    said: Result<(T, Value), String>,
}

/// Shows it; JSON has all that the processes say.
pub(super) fn run(cluster: &Cluster, format: output::Format) -> Result<Exit, Failure> {
    let crew = Crew::of(cluster)?;
    if crew.control.is_empty() && crew.nodes.values().all(Option::is_none) {
        let what =
            format!("no pod of ours is in namespace {HOME} of {}", cluster.client().server());
        return Err(Failure::new(Exit::Cannot, what, "install the chart: docs/install.md"));
    }
    let pods = crew.nodes.values().flatten().chain(&crew.control);
    let pods: Vec<_> = pods.map(|pod| pod.metadata.name.as_str()).collect();
    let answers = ask::all(cluster, &pods, "/status");
    let seen = Seen::of(cluster.client().server(), crew, answers);
    match format {
        output::Format::Json => output::json(&seen.document()),
        output::Format::Text => output::print(seen.render()),
    }
    Ok(if seen.is_well() { Exit::Done } else { Exit::Found })
}

impl Seen {
    fn of(server: &str, crew: Crew, mut answers: Answers) -> Self {
        let Crew { nodes, control, unlisted } = crew;
        let nodes = nodes.into_iter().map(|(node, pod)| match pod {
            Some(pod) => {
                let (name, trouble) = (pod.metadata.name.clone(), pod.trouble());
                let said = read(answers.remove(&name), trouble);
                Post { node, pod: name, said }
            }
            None => {
                let said = Err("no pod of culvert-node is there: see the node's taints and labels, and node.nodeSelector and node.tolerations of the chart".to_owned());
                Post { node, pod: String::new(), said }
            }
        });
        let nodes = nodes.collect();
        let control = control.into_iter().map(|pod| {
            let (node, name, trouble) =
                (pod.spec.node_name.clone(), pod.metadata.name.clone(), pod.trouble());
            Post { node, said: read(answers.remove(&name), trouble), pod: name }
        });
        Self { server: server.to_owned(), nodes, control: control.collect(), unlisted }
    }

    fn is_well(&self) -> bool {
        self.nodes.iter().all(|post| post.said.as_ref().is_ok_and(|(status, _)| is_well(status)))
            && self
                .control
                .iter()
                .all(|post| post.said.as_ref().is_ok_and(|(status, _)| control_is_well(status)))
    }

    fn document(&self) -> Value {
        json!({
            "server": self.server,
            "nodes": self.nodes.iter().map(Post::document).collect::<Vec<_>>(),
            "control": self.control.iter().map(Post::document).collect::<Vec<_>>(),
        })
    }

    fn render(&self) -> String {
        let Self { server, nodes, control, unlisted } = self;
        let heads = ["NODE", "READY", "VERSION", "CAPTURED", "PENDING", "MESH", "REMARKS"];
        let mut lines =
            vec![format!("cluster  {server}\n"), output::render(heads, nodes.iter().map(row))];
        if let Some(why) = unlisted {
            lines.push(format!("\nnodes without a proxy are not known: {why}"));
        }
        lines.push(String::new());
        if control.is_empty() {
            lines.push("no control plane of ours is here".to_owned());
        } else {
            let heads =
                ["CONTROL PLANE", "READY", "VERSION", "NODES", "ENROLLED", "ANNOUNCED", "REMARKS"];
            lines.push(output::render(heads, control.iter().map(control_row)));
        }
        lines.extend(self.uncaptured());
        // All replicas read the same objects.
        if let Some((status, _)) = control.iter().find_map(|post| post.said.as_ref().ok()) {
            lines.extend(mesh::closing(&status.control));
            lines.extend(manifests(&status.configuration));
        }
        lines.join("\n")
    }

    /// Pods that are to be in the mesh and are not, as their node or else the control plane says.
    fn uncaptured(&self) -> Vec<String> {
        let nodes = self.nodes.iter().filter_map(|post| Some((post, &post.said.as_ref().ok()?.0)));
        let pending = nodes.flat_map(|(post, status)| {
            let pods = status.pods.iter().filter(|pod| pod.state == "pending");
            pods.map(|pod| {
                let reason = pod.reason.clone().unwrap_or_default();
                [Pod::full_name(pod), post.node.clone(), reason]
            })
        });
        let mut rows: Vec<_> = pending.collect();
        let control = self.control.iter().filter_map(|post| post.said.as_ref().ok());
        for Uncaptured { pod, node, reason, .. } in
            control.flat_map(|(status, _)| &status.control.uncaptured)
        {
            if !rows.iter().any(|[known, ..]| known == pod) {
                rows.push([pod.clone(), node.clone(), reason.clone()]);
            }
        }
        if rows.is_empty() {
            return Vec::new();
        }
        let more = rows.len().saturating_sub(MAX_TOLD);
        rows.truncate(MAX_TOLD);
        let mut lines = vec![
            "\nenrolled, and not captured (culvert status NAMESPACE/POD says more):".to_owned(),
            output::render(["POD", "NODE", "REASON"], rows),
        ];
        lines.extend((more > 0).then(|| format!("… and {more} more; -o json has them all")));
        lines
    }
}

/// An answer in the shape this version knows; else what its pod's object says, and then why it
/// did not answer.
fn read<T: DeserializeOwned>(
    answer: Option<Result<Value, String>>,
    trouble: Option<String>,
) -> Result<(T, Value), String> {
    let answer = answer.unwrap_or_else(|| Err("it was not asked".to_owned()));
    answer
        .and_then(|document| {
            let status = serde_json::from_value(document.clone());
            let status = status.map_err(|error| format!("it is of another release: {error}"))?;
            Ok((status, document))
        })
        .map_err(|silence| match trouble {
            Some(trouble) => format!("{trouble} ({silence})"),
            None => silence,
        })
}

impl<T> Post<T> {
    fn document(&self) -> Value {
        let Self { node, pod, said } = self;
        match said {
            Ok((_, status)) => json!({"node": node, "pod": pod, "status": status}),
            Err(error) => json!({"node": node, "pod": pod, "error": error}),
        }
    }
}

fn row(post: &Post<Status>) -> [String; 7] {
    let Post { node, pod, said } = post;
    let (status, _) = match said {
        Ok(said) => said,
        Err(why) => return silent(node, pod, why),
    };
    let count = |state: &str| status.pods.iter().filter(|pod| pod.state == state).count();
    let mut remarks = Vec::new();
    if !status.ready {
        remarks.push(status.waiting.join(", "));
    }
    remarks.extend(status.mesh.error.clone());
    let refused = status.mesh.refused.len();
    remarks.extend((refused > 0).then(|| format!("{refused} resources are not understood")));
    let ailing = status.mesh.certificates.len();
    remarks.extend((ailing > 0).then(|| format!("{ailing} certificates ail")));
    if let Some(cni) = status.cni.as_ref().filter(|cni| !cni.has_ours()) {
        remarks.push(format!("the CNI plugin is not in {}", cni.conf_dir));
    }
    if status.is_contested() {
        remarks.push("istio-cni is on the node, too: set mesh.ambientNamespaces".to_owned());
    }
    [
        node.clone(),
        (if status.ready { "yes" } else { "no" }).to_owned(),
        status.version.clone(),
        count("captured").to_string(),
        count("pending").to_string(),
        (if status.mesh.connected { "connected" } else { "away" }).to_owned(),
        remarks.join("; "),
    ]
}

fn control_row(post: &Post<ControlStatus>) -> [String; 7] {
    let Post { node, pod, said } = post;
    let (status, _) = match said {
        Ok(said) => said,
        Err(why) => return silent(pod, node, why),
    };
    let control = &status.control;
    let behind = control.nodes.iter().filter(|node| !node.current);
    let behind: Vec<_> = behind.map(|node| node.node.as_str()).collect();
    let mut remarks = Vec::new();
    if control.writer.as_ref().is_some_and(|writer| writer.is_own) {
        remarks.push("writes".to_owned());
    }
    if !behind.is_empty() {
        remarks.push(format!("behind: {}", behind.join(" ")));
    }
    remarks.extend(control.unsaved.iter().map(|why| format!("not saved: {why}")));
    [
        pod.clone(),
        (if status.ready { "yes" } else { "no" }).to_owned(),
        status.version.clone(),
        control.nodes.len().to_string(),
        control.enrolled.to_string(),
        control.announced.to_string(),
        remarks.join("; "),
    ]
}

/// A row of one that did not answer.
fn silent(name: &str, of: &str, why: &str) -> [String; 7] {
    let none = || "-".to_owned();
    let remark = if of.is_empty() { why.to_owned() } else { format!("{of}: {why}") };
    [name.to_owned(), "no answer".to_owned(), none(), none(), none(), none(), remark]
}

#[cfg(test)]
mod tests;
