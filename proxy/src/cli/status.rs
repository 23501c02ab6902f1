//! `culvert status`
use super::{door::DoorArgs, output};
use crate::{
    admin::view::{self, Configuration, Pod, Skipped},
    config::sources::Variables,
    failure::{Exit, Failure},
};

/// Show what a running node does, and what is wrong.
///
/// Exit code 1 when a pod is not captured, a change of the manifests was refused, or the node is
/// not ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert status
  culvert status -o json | jq '.pods[] | select(.state == \"pending\")'")]
pub(crate) struct Status {
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Status {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let door = self.door.door(variables);
        let document = door.get("/status")?;
        let status: view::Status = door.read(&document)?;
        match self.output {
            output::Format::Json => output::print(document),
            output::Format::Text => output::print(render(&status)),
        }
        Ok(if is_well(&status) { Exit::Done } else { Exit::Found })
    }
}

fn is_well(status: &view::Status) -> bool {
    status.ready
        && status.configuration.refused.is_empty()
        && status.pods.iter().all(|pod| pod.state != "pending")
}

fn render(status: &view::Status) -> String {
    let mut lines = head(status);
    lines.push(String::new());
    if status.pods.is_empty() {
        lines.push("no pod of this node is enrolled".to_owned());
    } else {
        lines.push(output::render(
            ["POD", "IPS", "STATE", "CONNECTIONS", "REASON"],
            status.pods.iter().map(row),
        ));
    }
    lines.extend(manifests(&status.configuration));
    lines.join("\n")
}

fn manifests(configuration: &Configuration) -> Vec<String> {
    let Configuration { generation, refused, notes, skipped, .. } = configuration;
    let mut lines = Vec::new();
    if !refused.is_empty() {
        lines.push(format!("\nthe last change was refused, generation {generation} stays:"));
        lines.extend(refused.iter().map(|problem| problem.text.clone()));
    }
    if !notes.is_empty() {
        lines.push("\nwarnings:".to_owned());
        lines.extend(notes.iter().map(|note| note.text.clone()));
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

fn head(status: &view::Status) -> Vec<String> {
    let ready = if status.ready {
        "ready".to_owned()
    } else {
        format!("not ready: waits for {}", status.waiting.join(", "))
    };
    let view::Status { instance, version, abi, pid, generation, node, cluster, .. } = status;
    let configuration = &status.configuration;
    let mut lines = vec![
        format!("instance {instance}  {ready}"),
        format!("process  {pid}, version {version}, ABI {abi}, generation {generation}"),
        format!("node     {node} in cluster {cluster}, trust domain {}", status.trust_domain),
        format!(
            "config   generation {} from {}",
            configuration.generation,
            configuration.paths.join(" ")
        ),
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
