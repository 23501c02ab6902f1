//! `culvert config`
use super::{
    door::{DoorArgs, Whom},
    output,
};
use crate::{
    admin::view,
    config::{report::shown, sources::Variables},
    failure::{Exit, Failure},
};

/// Show the settings and workloads a running node holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert config                  settings, where each came from, and the workloads
  culvert config -o json | jq '.workloads[].identity'")]
pub(crate) struct Config {
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Config {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let door = self.door.door(variables, Whom::Node)?;
        let document = door.get("/config")?;
        if self.output == output::Format::Json {
            output::print(document);
            return Ok(Exit::Done);
        }
        let config: view::Config = door.read(&document)?;
        output::table(
            ["SETTING", "VALUE", "FROM"],
            config.settings.into_iter().map(|s| [s.name, shown(&s.value), s.from]),
        );
        output::print(format_args!(
            "\ngeneration {}: {} workloads",
            config.generation,
            config.workloads.len()
        ));
        output::table(
            ["WORKLOAD", "IPS", "NODE", "ENROLLED", "IDENTITY"],
            config.workloads.into_iter().map(|w| {
                let enrolled = if w.enrolled { "yes" } else { "no" };
                [
                    format!("{}/{}", w.namespace, w.name),
                    w.ips.join(" "),
                    w.node,
                    enrolled.to_owned(),
                    w.identity,
                ]
            }),
        );
        Ok(Exit::Done)
    }
}
