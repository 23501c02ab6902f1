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

/// Show the settings, workloads and services a running node holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert config                  settings, where each came from, workloads, services
  culvert config --kubernetes --node worker-1
  culvert config --kubernetes --control    the control plane's
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
            "\ngeneration {}: {} workloads, {} services",
            config.generation,
            config.workloads.len(),
            config.services.len()
        ));
        output::table(
            ["WORKLOAD", "IPS", "NODE", "REACHED BY", "IDENTITY"],
            config.workloads.into_iter().map(|w| {
                let by = if w.enrolled { "HBONE" } else { "plain text" };
                [
                    format!("{}/{}", w.namespace, w.name),
                    w.ips.join(" "),
                    w.node,
                    by.to_owned(),
                    w.identity,
                ]
            }),
        );
        if !config.services.is_empty() {
            output::print("");
            output::table(
                ["SERVICE", "ADDRESSES", "PORTS", "ENDPOINTS"],
                config.services.into_iter().map(|s| {
                    let host = format!("{}/{}", s.namespace, s.host);
                    [host, s.vips.join(" "), s.ports.join(" "), s.endpoints.to_string()]
                }),
            );
        }
        Ok(Exit::Done)
    }
}
