//! `culvert node`
use super::start::Start;
use crate::{
    config::{flags::NodeFlags, settings::Role, sources::Variables},
    failure::{Exit, Failure},
    process,
};

/// Hold the pods of this machine, as a control plane elsewhere says.
///
/// Captures every connection of the enrolled pods among --pods, carries it encrypted, and decides
/// who may talk to them, until SIGTERM or Ctrl-C; a second signal ends it at once. Goes on as it is
/// while the control plane is away.
/// A running process of the same instance is taken over without a lost connection.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  culvert node --control https://control.example --join-token /etc/culvert/token --pods /etc/culvert/pods
  culvert node --config node.yaml
  culvert node --print-config

The token is what `culvert token NODE` prints where the control plane runs.
More settings with --help; all of them are in docs/settings.md.",
    after_long_help = "\
Examples:
  culvert node --control https://control.example --join-token /etc/culvert/token --pods /etc/culvert/pods
  culvert node --config node.yaml
  culvert node --control https://istiod.example --control-root root.pem --ca-token token --report=false
  culvert node --print-config

The token is what `culvert token NODE` prints where the control plane runs.
Each setting is also a field of the settings file and a CULVERT_* variable: docs/settings.md."
)]
pub(crate) struct Node {
    #[command(flatten)]
    start: Start,
    #[command(flatten)]
    settings: NodeFlags,
}

impl Node {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let Self { start, settings } = self;
        match start.settings(Role::Node, variables, settings.0)? {
            Some((config, report)) => process::node(config, report, Vec::new()),
            None => Ok(Exit::Done),
        }
    }
}
