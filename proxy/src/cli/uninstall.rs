//! `culvert uninstall`
use super::{door, output};
use crate::{
    config::sources::Variables,
    failure::{Exit, Failure},
    ground::no_instance,
    takeover::lock::{Lock, LockError},
};
use culvert_kernel::{
    Instance,
    uninstall::{Report, uninstall},
};
use serde_json::json;
use std::path::PathBuf;

/// Remove everything a node put on this machine.
///
/// Pins, programs, rules, routes, sysctls, cgroup and run folder of one instance; its pods'
/// connections are direct afterwards. Refused while a process of the instance runs.
/// Exit code 1 when something is left.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert uninstall
  culvert uninstall --instance b --cgroup-root /sys/fs/cgroup/b")]
pub(crate) struct Uninstall {
    /// Whose things [default: `CULVERT_INSTANCE`, else node].
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// The cgroup it captured under, if not the cgroup v2 mount.
    #[arg(long, value_name = "PATH")]
    cgroup_root: Option<PathBuf>,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Uninstall {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let name = door::instance(self.instance.as_deref(), variables);
        let root =
            self.cgroup_root.or_else(|| variables.get("CULVERT_CGROUP_ROOT").map(Into::into));
        let instance = Instance::new(&name, root).map_err(|error| no_instance(&error))?;
        // Held until the end: nobody starts meanwhile.
        let _alone = match instance.run_dir().exists() {
            true => Some(Lock::alone(&instance.run_dir()).map_err(|error| in_use(&error))?),
            false => None,
        };
        let report = uninstall(&instance).map_err(|error| {
            Failure::of(
                Exit::Cannot,
                &error,
                "run it as root; run it again to go on where it ended",
            )
        })?;
        let Report { removed, left } = &report;
        match self.output {
            output::Format::Json => output::json(&json!({ "removed": removed, "left": left })),
            output::Format::Text => output::print(report.to_string().trim_end()),
        }
        Ok(if left.is_empty() { Exit::Done } else { Exit::Found })
    }
}

fn in_use(error: &LockError) -> Failure {
    let next = match error {
        LockError::Living(pid) | LockError::Starting(pid) => {
            format!("end it with `kill {pid}`, wait until it is gone, and run this again")
        }
        LockError::Io { .. } => "run it as root".to_owned(),
    };
    Failure::of(Exit::Cannot, error, next)
}
