//! `culvert control`
use super::start::{Start, whole};
use crate::{
    config::{flags::ControlFlags, settings::Role, sources::Variables},
    failure::{Exit, Failure},
    process,
};
use std::path::PathBuf;

/// Tell nodes what manifests or a cluster say: the control plane alone.
///
/// Validates and compiles manifests or the objects of the Kubernetes API, serves them to every node that can prove which one it is,
/// signs the certificates of the pods that the node hosts, and follows changes until SIGTERM or
/// Ctrl-C. Needs neither root nor a kernel of its own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  culvert control -f manifests/
  culvert control -f manifests/ --control-names control.example
  culvert control --kubernetes --context staging
  culvert token worker-1 > worker-1.token      lets node worker-1 in
  culvert control --print-config

More settings with --help; all of them are in docs/settings.md.",
    after_long_help = "\
Examples:
  culvert control -f manifests/
  culvert control -f manifests/ --control-names control.example
  culvert control --kubernetes                 as a pod of the cluster, or by the user's kubeconfig
  culvert control --kubernetes --kubeconfig admin.kubeconfig --context staging
  culvert control -f manifests/ --ca-folder /etc/culvert/ca --state-dir /var/lib/culvert/control
  culvert token worker-1 > worker-1.token      lets node worker-1 in
  culvert control --print-config

Each setting is also a field of the settings file and a CULVERT_* variable: docs/settings.md."
)]
pub(crate) struct Control {
    /// A manifest, a folder of manifests, or - for standard input; may be repeated. Changes apply
    /// within a second. Not with --kubernetes.
    #[arg(short, long = "file", value_name = "PATH", num_args = 1..)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    start: Start,
    #[command(flatten)]
    settings: ControlFlags,
}

impl Control {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let Self { files, start, settings } = self;
        let Some((config, report)) = start.settings(Role::Control, variables, settings.0)? else {
            return Ok(Exit::Done);
        };
        match (files.is_empty(), &config.serve.kubernetes) {
            (true, None) => Err(Failure::new(
                Exit::Usage,
                "nothing says what the mesh is to be",
                "name manifests with -f PATH, or follow a cluster with --kubernetes",
            )),
            (false, Some(_)) => Err(Failure::new(
                Exit::Usage,
                "objects come from manifests or from a cluster, not from both",
                "leave out -f, or the setting kubernetes (--kubernetes, CULVERT_KUBERNETES)",
            )),
            (true, Some(_)) | (false, None) => Ok(()),
        }?;
        process::control(config, report, files.into_iter().map(whole).collect())
    }
}
