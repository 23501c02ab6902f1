//! What must stand before the first socket is opened: privileges, instance, cgroup, descriptors.
use crate::{
    config::Config,
    failure::{Exit, Failure},
    takeover::lock::{Lock, LockError},
};
use culvert_kernel::{
    instance::{Instance, InstanceError},
    probe::{self, Capabilities, ProbeError},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::Arc;
use tracing::{info, warn};

/// A process that may start: alone in starting, in its own cgroup, with all descriptors it can get.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) capabilities: Capabilities,
    pub(crate) instance: Instance,
    pub(crate) lock: Arc<Lock>,
}

impl Ground {
    /// Goes through the steps in their order; the first that fails ends it.
    pub(crate) fn prepare(config: &Config) -> Result<Self, Failure> {
        let capabilities = probe::probe().map_err(|error| no_kernel(&error))?;
        let Capabilities { kernel, netns_cookie, sockops_cookie, lookup_ingress, tcx } =
            &capabilities;
        info!(kernel, netns_cookie, sockops_cookie, lookup_ingress, tcx, "kernel probed");
        let instance = Instance::new(&config.instance, config.cgroup_root.clone())
            .map_err(|error| no_instance(&error))?;
        instance.make_run_dir().map_err(|error| no_instance(&error))?;
        let lock = Lock::start(&instance.run_dir()).map_err(|error| no_place(&error))?;
        // Before any socket: the programs judge a socket by where its maker was.
        instance.enter_cgroup().map_err(|error| no_instance(&error))?;
        raise_descriptors();
        Ok(Self { capabilities, instance, lock: Arc::new(lock) })
    }
}

fn no_kernel(error: &ProbeError) -> Failure {
    let next = match error {
        ProbeError::Capability { .. } => "start it as root, for instance with sudo",
        ProbeError::Feature { .. } => "boot a kernel that has it",
        ProbeError::Read(..) | ProbeError::Bpf(_) | ProbeError::Unknown { .. } => {
            "see `culvert version`, and what the container or the kernel's configuration forbids"
        }
    };
    Failure::of(Exit::Cannot, error, next)
}

pub(crate) fn no_instance(error: &InstanceError) -> Failure {
    let next = match error {
        InstanceError::Name(_) => "choose another name with --instance",
        InstanceError::NotACgroup(_) => "name a cgroup v2 folder with --cgroup-root",
        InstanceError::NoCgroup2 => {
            "mount one (`mount -t cgroup2 none /sys/fs/cgroup`) or name its folder with --cgroup-root"
        }
        InstanceError::Mounts(_) | InstanceError::Io { .. } => {
            "see that the path is there and can be written, also inside a container"
        }
    };
    Failure::of(Exit::Cannot, error, next)
}

fn no_place(error: &LockError) -> Failure {
    let next = match error {
        LockError::Starting(_) => "wait until it is ready, or end it; or choose another --instance",
        LockError::Living(_) => "end it with SIGTERM; or choose another --instance",
        LockError::Io { .. } => "see that /run/culvert can be written",
    };
    Failure::of(Exit::Cannot, error, next)
}

/// Raises the limit of open files to what the process is allowed at most; each connection takes two.
fn raise_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(descriptors) => info!(descriptors, "limit of open files"),
        Err(error) => warn!(%error, "cannot raise the limit of open files"),
    }
}
