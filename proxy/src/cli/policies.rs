//! `culvert policies`
use super::{
    door::{DoorArgs, Whom},
    output,
};
use crate::{
    admin::view::Policy,
    config::sources::Variables,
    failure::{Exit, Failure},
};

/// List the policies that a running node decides by.
///
/// Exit code 1 when a workload names one that nobody knows: it is closed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert policies
  culvert policies --kubernetes --node worker-1
  culvert policies -o json | jq -r '.[] | select(.action == \"DENY\") | .origin'")]
pub(crate) struct Policies {
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Policies {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let door = self.door.door(variables, Whom::Node)?;
        let document = door.get("/policies")?;
        let policies: Vec<Policy> = door.read(&document)?;
        match self.output {
            output::Format::Json => output::print(document),
            output::Format::Text if policies.is_empty() => output::print("no policy"),
            output::Format::Text => output::table(
                ["POLICY", "ACTION", "SCOPE", "RULES", "WORKLOADS", "WRITTEN AT"],
                policies.iter().map(row),
            ),
        }
        let missing = policies.iter().any(|policy| policy.missing);
        Ok(if missing { Exit::Found } else { Exit::Done })
    }
}

fn row(policy: &Policy) -> [String; 6] {
    let Policy { namespace, name, action, scope, dry_run, rules, workloads, origin, missing } =
        policy;
    let action = match (missing, dry_run) {
        (true, _) => "not known: closed".to_owned(),
        (false, true) => format!("{action} (dry run)"),
        (false, false) => action.clone(),
    };
    [
        format!("{namespace}/{name}"),
        action,
        scope.clone(),
        rules.to_string(),
        workloads.to_string(),
        origin.clone().unwrap_or_default(),
    ]
}
