//! `culvert status`
use super::{
    door::{DoorArgs, Whom},
    output,
};
use crate::{
    admin::view::{self, Configuration, ControlStatus, Pod, Problem, Skipped},
    config::sources::Variables,
    failure::{Exit, Failure},
};

mod facts;
mod mesh;
mod nodes;
mod pod;

#[cfg(test)]
mod sample;

/// Show what a running node or control plane does, and what is wrong.
///
/// Of a control plane: nodes and the configuration each runs, what they do not understand, pods
/// that are not captured and why, policies that close.
/// Of a cluster: all nodes and control planes, each in a row; those that do not answer say why.
/// Of one pod of a cluster: all that must hold for it to be captured, what does not, and the way
/// out.
/// Exit code 1 when a pod is not captured, a change of the manifests was refused, an object is not in
/// force as it is, something is not understood or not followed, a certificate is missing or late, the control plane is away, or the node is not
/// ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert status
  culvert status --control
  culvert status --kubernetes              all nodes of the cluster of your kubeconfig
  culvert status --kubernetes --node worker-1
  culvert status shop/web-0 --context prod     is that pod captured, and why not
  culvert status -o json | jq '.pods[] | select(.state == \"pending\")'")]
pub(crate) struct Status {
    /// A pod of a cluster: NAMESPACE/NAME, or its name in the namespace that is meant.
    #[arg(value_name = "POD", conflicts_with_all = ["node", "control", "instance"])]
    pod: Option<String>,
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

/// More problems of one kind than this are not read from a terminal.
const MAX_TOLD: usize = 50;

/// The commonest reason is a label that is not there.
const NO_POD: &str = "\
no pod of this node is enrolled
to enrol some, label their namespace culvert.dev/mesh: enabled";

impl Status {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        match (self.door.cluster()?, &self.pod) {
            (Some(cluster), Some(pod)) => return facts::run(&cluster, pod, self.output),
            (Some(cluster), None) if !self.door.names_one() => {
                return nodes::run(&cluster, self.output);
            }
            (None, Some(pod)) => {
                let next = format!(
                    "culvert status {pod} --kubernetes, or with --kubeconfig, --context or -n"
                );
                let what = "a pod is looked up in a cluster, and none is named";
                return Err(Failure::new(Exit::Usage, what, next));
            }
            (_, None) => {}
        }
        let door = self.door.door(variables, Whom::Node)?;
        let document = door.get("/status")?;
        let role: Role = door.read(&document)?;
        let (text, is_well) = if role.role == "control" {
            let status: ControlStatus = door.read(&document)?;
            (render_control(&status), control_is_well(&status))
        } else {
            let status: view::Status = door.read(&document)?;
            (render(&status), is_well(&status))
        };
        match self.output {
            output::Format::Json => output::print(document),
            output::Format::Text => output::print(text),
        }
        Ok(if is_well { Exit::Done } else { Exit::Found })
    }
}

/// Whose status it is; a node's does not say.
#[derive(Debug, serde::Deserialize)]
struct Role {
    #[serde(default)]
    role: String,
}

fn control_is_well(status: &ControlStatus) -> bool {
    status.ready
        && configuration_is_well(&status.configuration)
        && mesh::control_is_well(&status.control)
}

fn render_control(status: &ControlStatus) -> String {
    let ControlStatus { instance, version, pid, cluster, ready, configuration, control, .. } =
        status;
    let ready = if *ready { "ready" } else { "not ready" };
    let mut lines = vec![
        format!("instance {instance}  {ready}"),
        format!("process  {pid}, version {version}"),
        format!("cluster  {cluster}"),
        config(configuration),
    ];
    lines.extend(mesh::control(control));
    lines.extend(manifests(configuration));
    lines.join("\n")
}

fn config(configuration: &Configuration) -> String {
    let paths = configuration.paths.join(" ");
    format!("config   generation {} from {paths}", configuration.generation)
}

fn configuration_is_well(configuration: &Configuration) -> bool {
    configuration.refused.is_empty()
        && configuration.invalid.is_empty()
        && configuration.kinds.iter().all(|kind| kind.state != "unavailable")
}

fn is_well(status: &view::Status) -> bool {
    status.ready
        && !status.is_contested()
        && mesh::is_well(&status.mesh)
        && status.control.as_ref().is_none_or(mesh::control_is_well)
        && configuration_is_well(&status.configuration)
        && status.pods.iter().all(|pod| pod.state != "pending")
}

fn render(status: &view::Status) -> String {
    let mut lines = head(status);
    lines.push(String::new());
    if status.pods.is_empty() {
        lines.push(NO_POD.to_owned());
    } else {
        lines.push(output::render(
            ["POD", "IPS", "STATE", "CONNECTIONS", "REASON"],
            status.pods.iter().map(row),
        ));
    }
    if status.pods.iter().any(|pod| pod.state == "pending") {
        lines.push(
            "\npending pods are not captured yet; each is tried again every two seconds".to_owned(),
        );
    }
    if status.is_contested() {
        lines.push("\nistio-cni is among the plugins of this node: pods that istio.io/dataplane-mode=ambient names would be captured twice; set ambient_namespaces".to_owned());
    }
    lines.extend(mesh::troubles(&status.mesh));
    lines.extend(status.control.iter().flat_map(mesh::control));
    lines.extend(manifests(&status.configuration));
    lines.join("\n")
}

fn manifests(configuration: &Configuration) -> Vec<String> {
    let Configuration { generation, refused, notes, skipped, .. } = configuration;
    let mut lines = cluster(configuration);
    if !refused.is_empty() {
        lines.push(format!("\nthe last change was refused, generation {generation} stays:"));
        lines.extend(some(refused));
    }
    if !notes.is_empty() {
        lines.push("\nwarnings:".to_owned());
        lines.extend(some(notes));
    }
    if !skipped.is_empty() {
        lines.push("\nskipped:".to_owned());
        lines.extend(skipped.iter().map(|skipped| {
            let Skipped { kind, objects, because, first } = skipped;
            format!("{objects} x {kind}, {because}; the first at {first}")
        }));
    }
    lines
}

/// What of the Kubernetes API is not as it should be.
fn cluster(configuration: &Configuration) -> Vec<String> {
    let Configuration { invalid, kinds, .. } = configuration;
    let mut lines = Vec::new();
    let of = |state: &'static str| kinds.iter().filter(move |kind| kind.state == state);
    if of("unavailable").next().is_some() {
        lines.push("\nnot followed, what was known last stays in force:".to_owned());
    }
    lines.extend(of("unavailable").map(|kind| {
        format!("{}: {}", kind.kind, kind.because.as_deref().unwrap_or("nobody knows why"))
    }));
    let undefined: Vec<_> = of("undefined").map(|kind| kind.kind.as_str()).collect();
    if !undefined.is_empty() {
        lines.push(format!("\nnot defined in this cluster: {}", undefined.join(", ")));
    }
    if !invalid.is_empty() {
        lines.push("\nnot in force as they are:".to_owned());
    }
    for one in invalid.iter().take(MAX_TOLD) {
        lines.push(format!("{}: {}", one.object, one.means));
        lines.extend(some(&one.problems).map(|problem| format!("  {problem}")));
    }
    if let Some(more @ 1..) = invalid.len().checked_sub(MAX_TOLD) {
        lines.push(format!("… and {more} more; -o json has them all"));
    }
    lines
}

/// The first problems as people read them, and how many more there are.
fn some(problems: &[Problem]) -> impl Iterator<Item = String> {
    let more = problems.len().saturating_sub(MAX_TOLD);
    let rest = (more > 0).then(|| format!("… and {more} more; -o json has them all"));
    problems.iter().take(MAX_TOLD).map(|problem| problem.text.clone()).chain(rest)
}

fn head(status: &view::Status) -> Vec<String> {
    let ready = if status.ready {
        "ready".to_owned()
    } else {
        format!("not ready: {}", status.waiting.join(", "))
    };
    let view::Status { instance, version, abi, pid, generation, node, cluster, .. } = status;
    let configuration = &status.configuration;
    let mut lines = vec![
        format!("instance {instance}  {ready}"),
        format!("process  {pid}, version {version}, ABI {abi}, generation {generation}"),
        format!("node     {node} in cluster {cluster}, trust domain {}", status.trust_domain),
        mesh::way(&status.mesh),
        config(configuration),
    ];
    lines.push(format!("kernel   {}", output::capabilities(&status.kernel)));
    lines
}

fn row(pod: &Pod) -> [String; 5] {
    [
        pod.full_name(),
        pod.ips.join(" "),
        pod.state.clone(),
        pod.connections.to_string(),
        pod.reason.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(change: &serde_json::Value) -> view::Status {
        let mut document = json!({
            "instance": "node", "version": "0.1.0", "abi": 1, "pid": 7, "generation": 3,
            "node": "worker-1", "cluster": "Kubernetes", "trust_domain": "cluster.local",
            "ready": true,
            "configuration": {"paths": ["/etc/mesh"], "generation": 2, "since_unix_ms": 0},
            "mesh": {
                "control": "https://127.0.0.1:15012", "connected": true, "generation": 5,
                "workloads": 3, "services": 1,
            },
            "kernel": {"kernel": "6.1.0", "tcx": false},
            "pods": [{
                "uid": "x", "namespace": "shop", "name": "cart", "ips": ["10.0.0.1", "fd00::1"],
                "state": "captured", "connections": 12,
            }],
        });
        for (field, value) in change.as_object().unwrap() {
            document[field] = value.clone();
        }
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_node_that_is_well() {
        let status = status(&json!({}));
        assert!(is_well(&status));
        insta::assert_snapshot!(render(&status), @r"
        instance node  ready
        process  7, version 0.1.0, ABI 1, generation 3
        node     worker-1 in cluster Kubernetes, trust domain cluster.local
        mesh     https://127.0.0.1:15012 connected; 3 workloads, 1 services, generation 5
        config   generation 2 from /etc/mesh
        kernel   6.1.0, no tcx

        POD        IPS               STATE     CONNECTIONS  REASON
        shop/cart  10.0.0.1 fd00::1  captured  12
        ");
    }

    #[test]
    fn a_pending_pod_and_a_refused_change_are_told_with_their_reasons() {
        let problem = json!({
            "file": "a.yaml", "line": 2, "column": 3, "message": "unknown field `nme`",
            "text": "a.yaml:2:3: unknown field `nme`",
        });
        let status = status(&json!({
            "ready": false,
            "waiting": ["draining"],
            "configuration": {
                "paths": ["/etc/mesh"], "generation": 2, "since_unix_ms": 0,
                "refused": [problem],
                "skipped": [{
                    "kind": "v1 Secret", "objects": 2, "because": "not used yet",
                    "first": "b.yaml:1",
                }],
            },
            "pods": [{
                "uid": "x", "namespace": "shop", "name": "cart", "ips": ["10.0.0.1"],
                "state": "pending", "reason": "cannot open its network namespace",
                "connections": 0,
            }],
        }));
        assert!(!is_well(&status));
        insta::assert_snapshot!(render(&status), @r"
        instance node  not ready: draining
        process  7, version 0.1.0, ABI 1, generation 3
        node     worker-1 in cluster Kubernetes, trust domain cluster.local
        mesh     https://127.0.0.1:15012 connected; 3 workloads, 1 services, generation 5
        config   generation 2 from /etc/mesh
        kernel   6.1.0, no tcx

        POD        IPS       STATE    CONNECTIONS  REASON
        shop/cart  10.0.0.1  pending  0            cannot open its network namespace

        pending pods are not captured yet; each is tried again every two seconds

        the last change was refused, generation 2 stays:
        a.yaml:2:3: unknown field `nme`

        skipped:
        2 x v1 Secret, not used yet; the first at b.yaml:1
        ");
    }

    #[test]
    fn of_many_problems_the_first_are_told() {
        let problem = json!({
            "file": "a.yaml", "line": 1, "column": 1, "message": "x", "text": "a.yaml:1:1: x",
        });
        let configuration = json!({
            "paths": [], "generation": 2, "since_unix_ms": 0, "refused": vec![problem; 60],
        });
        let text = render(&status(&json!({"configuration": configuration})));
        assert_eq!(text.matches("a.yaml").count(), 50);
        assert!(text.ends_with("… and 10 more; -o json has them all"), "{text}");
    }

    #[test]
    fn a_pending_pod_alone_is_a_problem() {
        let pod = json!({
            "uid": "x", "namespace": "shop", "name": "cart", "ips": [], "state": "pending",
            "connections": 0,
        });
        assert!(!is_well(&status(&json!({"pods": [pod]}))));
    }
}
