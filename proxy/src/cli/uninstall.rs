//! `culvert uninstall`
use super::{
    cluster::{Cluster, ClusterArgs},
    door, output,
};
use crate::{
    config::{duration, sources::Variables},
    failure::{Exit, Failure},
    ground::{self, no_instance},
    node::cni::enrolled_in,
    takeover::lock::{Lock, LockError},
};
use culvert_cni::install::{self, InstallError, Places};
use culvert_kernel::{
    Instance,
    instance::InstanceError,
    uninstall::{Report, uninstall},
};
use culvert_telemetry::chain::Chain;
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

mod cluster;
mod plan;

/// Remove everything a node put on this machine.
///
/// The CNI plugin, pins, programs, rules, routes, sysctls, cgroup and run folder of one instance;
/// its pods' connections are direct afterwards. Refused while a process of the instance runs.
/// Of a cluster: of all its nodes, whose proxies are ended for that; the step before the chart is
/// removed, which `helm uninstall` takes by itself.
/// Exit code 1 when something is left.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert uninstall
  culvert uninstall --instance b --cgroup-root /sys/fs/cgroup/b
  culvert uninstall --cni-conf-dir /etc/cni/net.d --cni-bin-dir /opt/cni/bin
  culvert uninstall --kubernetes  all nodes of the cluster of your kubeconfig
  culvert uninstall --hold        as a container that stays while others are not done")]
pub(crate) struct Uninstall {
    /// Whose things [default: `CULVERT_INSTANCE`, else node].
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// The cgroup it captured under [default: as its processes recorded it].
    #[arg(long, value_name = "PATH")]
    cgroup_root: Option<PathBuf>,
    /// Where the CNI plugin is in a list of plugins [default: as its processes recorded it].
    #[arg(long, value_name = "PATH")]
    cni_conf_dir: Option<PathBuf>,
    /// Where the CNI plugin was put [default: as its processes recorded it].
    #[arg(long, value_name = "PATH")]
    cni_bin_dir: Option<PathBuf>,
    /// Once nothing is left, stay until SIGTERM: a container that ended would be started again.
    #[arg(long, conflicts_with = "kubernetes")]
    hold: bool,
    /// How long to wait for the nodes of a cluster.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Uninstall {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        if self.cluster.is_asked() {
            return cluster::run(&Cluster::reach(&self.cluster)?, self.timeout, self.output);
        }
        let name = door::instance(self.instance.as_deref(), variables, door::Whom::Node)?;
        let variable = variables.get("CULVERT_CGROUP_ROOT").filter(|root| !root.is_empty());
        let named = self.cgroup_root.or_else(|| variable.map(Into::into));
        let path = |flag: Option<PathBuf>, variable: &str| {
            let variable = variables.get(variable).filter(|path| !path.is_empty());
            flag.or_else(|| variable.map(Into::into))
        };
        let places = Places {
            bin_dir: path(self.cni_bin_dir, "CULVERT_CNI_BIN_DIR"),
            conf_dir: path(self.cni_conf_dir, "CULVERT_CNI_CONF_DIR"),
        };
        let instances = find(&name, named).map_err(|error| no_instance(&error))?;
        let run_dir = instances.first().map(Instance::run_dir).filter(|dir| dir.exists());
        // Held until the end: nobody starts meanwhile.
        let alone = run_dir.map(|dir| Lock::alone(&dir)).transpose();
        let _alone = alone.map_err(|error| in_use(&error))?;
        // Settings of pods are put back.
        ground::writable_settings()?;
        let mut report = Report::default();
        // First: from here no new pod waits for a node.
        let recorded = instances.first().map(|instance| Places::recorded(&instance.run_dir()));
        without_cni(&name, &places.or(recorded.unwrap_or_default()), &mut report);
        for instance in &instances {
            let Report { removed, left } = uninstall(instance).map_err(|error| {
                let next = "run it as root; run it again to go on where it ended";
                Failure::of(Exit::Cannot, &error, next)
            })?;
            report.removed.extend(removed);
            report.left.extend(left);
        }
        let Report { removed, left } = &report;
        match self.output {
            output::Format::Json => output::json(&json!({ "removed": removed, "left": left })),
            output::Format::Text => output::print(report.to_string().trim_end()),
        }
        if !left.is_empty() {
            return Ok(Exit::Found);
        }
        if self.hold {
            wait_for_the_end()?;
        }
        Ok(Exit::Done)
    }
}

/// Blocked first: the kernel keeps signals that nobody handles from the first process of a container.
fn wait_for_the_end() -> Result<(), Failure> {
    let ends: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    let waited = ends.thread_block().and_then(|()| ends.wait());
    waited.map(drop).map_err(|error| {
        Failure::of(Exit::Cannot, &error, "all is removed; it cannot wait for a signal")
    })
}

/// Takes the plugin out of the runtime's list, and away.
fn without_cni(instance: &str, places: &Places, report: &mut Report) {
    let mut note = |what: &str, path: &Path, done: Result<bool, InstallError>| match done {
        Ok(true) => report.removed.push(format!("{what} {}", path.display())),
        Ok(false) => {}
        Err(error) => report.left.push(format!("{what}: {}", Chain(&error))),
    };
    if let Some(folder) = &places.conf_dir {
        let entry = install::take_entry(folder, instance).map(|chained| chained.changed);
        note("the entry of the CNI plugin in", folder, entry);
        let list = enrolled_in(folder, instance);
        note("the list of enrolled namespaces", &list, install::take_file(&list));
    }
    if let Some(folder) = &places.bin_dir {
        let program = install::take_program(folder, places.conf_dir.as_deref());
        note("the CNI plugin in", folder, program);
    }
}

/// The instance at every cgroup at which it may be: the one that is named, else those that its
/// processes recorded, else where it is by default.
fn find(name: &str, named: Option<PathBuf>) -> Result<Vec<Instance>, InstanceError> {
    if named.is_some() {
        return Ok(vec![Instance::new(name, named)?]);
    }
    let recorded = ground::recorded_cgroup_roots(name).into_iter();
    // One that is gone took all below it along.
    let found: Vec<_> = recorded.filter_map(|root| Instance::new(name, Some(root)).ok()).collect();
    if found.is_empty() { Ok(vec![Instance::new(name, None)?]) } else { Ok(found) }
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
