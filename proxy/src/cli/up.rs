//! `culvert up`
use super::start::{Start, whole};
use crate::{
    config::{flags::UpFlags, settings::Role, sources::Variables},
    failure::{Exit, Failure},
    process,
};
use std::path::PathBuf;

/// Hold the pods of this machine: control plane and node in one process.
///
/// Reads the manifests, captures every connection of the pods they enrol, and follows changes
/// until SIGTERM or Ctrl-C; a second signal ends it at once.
/// A running process of the same instance is taken over without a lost connection.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  culvert up -f manifests/
  culvert up -f pods.yaml -f policy/ --config node.yaml --strict
  culvert up --print-config

More settings with --help; all of them are in docs/settings.md.",
    after_long_help = "\
Examples:
  culvert up -f manifests/
  culvert up -f pods.yaml -f policy/ --config node.yaml --strict
  culvert up -f manifests/ --xds-tls-address 0.0.0.0:15012    other machines may join
  culvert up --print-config

Each setting is also a field of the settings file and a CULVERT_* variable: docs/settings.md."
)]
pub(crate) struct Up {
    /// A manifest, a folder of manifests, or - for standard input; may be repeated. Changes apply
    /// within a second.
    #[arg(short, long = "file", value_name = "PATH", num_args = 1.., required_unless_present = "print_config")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    start: Start,
    #[command(flatten)]
    settings: UpFlags,
}

impl Up {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let Self { files, start, settings } = self;
        let Some((config, report)) = start.settings(Role::Up, variables, settings.0)? else {
            return Ok(Exit::Done);
        };
        process::node(config, report, files.into_iter().map(whole).collect())
    }
}
