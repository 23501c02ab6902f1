//! What must stand before the first socket is opened: privileges, instance, cgroup, descriptors.
mod prober;

use crate::{
    config::{Config, settings},
    failure::{Exit, Failure},
    takeover::lock::{Lock, LockError},
};
use culvert_kernel::{
    bpffs,
    instance::{Instance, InstanceError, Supervision},
    probe::{self, Capabilities, ProbeError},
    procsys,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{
    error::Error,
    ffi::OsStr,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    iter::successors,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};
use tracing::{info, warn};

/// Where root's instances meet.
const RUN: &str = "/run/culvert";

/// The file of the run folder that says where its processes captured, one path a line.
const CGROUP_ROOTS: &str = "cgroup-roots";

/// A process that may start: alone in starting, in its own cgroup, with all descriptors it can get.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) capabilities: Capabilities,
    pub(crate) instance: Instance,
    /// Kubelet's cgroup, if it is known.
    pub(crate) prober: Option<PathBuf>,
    pub(crate) lock: Arc<Lock>,
}

impl Ground {
    /// Goes through the steps in their order; the first that fails ends it.
    pub(crate) fn prepare(config: &Config) -> Result<Self, Failure> {
        let capabilities = probe::probe().map_err(|error| no_kernel(&error))?;
        let Capabilities { kernel, netns_cookie, sockops_cookie, lookup_ingress, tcx, destroy } =
            &capabilities;
        info!(kernel, netns_cookie, sockops_cookie, lookup_ingress, tcx, destroy, "kernel probed");
        writable_settings()?;
        check_pins(config)?;
        let instance = Instance::new(&config.instance, config.cgroup_root.clone())
            .map_err(|error| no_instance(&error))?;
        instance.make_run_dir().map_err(|error| no_instance(&error))?;
        let lock = Lock::start(&instance.run_dir()).map_err(|error| no_place(&error))?;
        // Before any socket: the programs judge a socket by where its maker was.
        let entered = instance.enter_cgroup(supervision(config));
        let entered = entered.map_err(|error| no_instance(&error))?;
        let root = instance.cgroup_root().display();
        info!(%root, own = entered, "the cgroup below which connections are captured");
        record_cgroup_root(&instance);
        let prober = prober::of(config, instance.cgroup_root())?;
        enough_descriptors(raise_descriptors(), config)?;
        Ok(Self { capabilities, instance, prober, lock: Arc::new(lock) })
    }
}

/// Where processes of an instance meet: root's, or one's own.
pub(crate) fn run_dir(instance: &str) -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let uid = nix::unistd::geteuid();
    if uid.is_root() {
        return Path::new(RUN).join(instance);
    }
    let own = || PathBuf::from(format!("/tmp/culvert-{uid}"));
    set("XDG_RUNTIME_DIR").map_or_else(own, |run| run.join("culvert")).join(instance)
}

/// Makes that folder, which nobody else may enter.
///
/// # Errors
///
/// When it cannot be made, or belongs to somebody else.
pub(crate) fn make_run_dir(instance: &str) -> Result<PathBuf, Failure> {
    let path = run_dir(instance);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
    let checked = made.and_then(|()| fs::symlink_metadata(&path)).and_then(|found| {
        let own = found.uid() == nix::unistd::geteuid().as_raw() && found.is_dir();
        own.then_some(()).ok_or_else(|| io::Error::other("it belongs to somebody else"))
    });
    checked.map_err(|error| {
        let what = format_args!("cannot use the folder {}", path.display());
        Failure::new(Exit::Cannot, what, "see that it can be written, or set XDG_RUNTIME_DIR")
            .because(&error)
    })?;
    Ok(path)
}

pub(crate) fn no_kernel(error: &ProbeError) -> Failure {
    let next = match error {
        ProbeError::Bpf(_) | ProbeError::Unknown { .. } if is_forbidden(error) => {
            "run it as root of the machine: a user namespace (a rootless container), seccomp or lockdown forbids bpf(2)"
        }
        ProbeError::Capability { .. } => {
            "start it as root (sudo); root of a container needs the capability added to it"
        }
        ProbeError::Feature { .. } => "boot a kernel that has it",
        ProbeError::Read(..) | ProbeError::Bpf(_) | ProbeError::Unknown { .. } => {
            "see `culvert version`, and what the container or the kernel's configuration forbids"
        }
    };
    Failure::of(Exit::Cannot, error, next)
}

/// Whether the kernel said no though every capability is there.
fn is_forbidden(error: &ProbeError) -> bool {
    let chain = successors(Some(error as &(dyn Error + 'static)), |&error| error.source());
    chain
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::PermissionDenied)
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

/// Container runtimes mount `/proc/sys` read-only; without it no pod's settings could be changed.
pub(crate) fn writable_settings() -> Result<(), Failure> {
    match procsys::make_writable() {
        Ok(true) => info!("/proc/sys was read-only, and is writable for this process"),
        Ok(false) => {}
        Err(error) => {
            let next = "see that the container has CAP_SYS_ADMIN and that AppArmor or seccomp let it mount (appArmorProfile: Unconfined), or mount /proc/sys writable";
            return Err(Failure::of(Exit::Cannot, &error, next));
        }
    }
    Ok(())
}

/// Where pods come from an API server, this is a container: what it pinned in a file system of its
/// own would be gone with it, and every pod's capture too.
fn check_pins(config: &Config) -> Result<(), Failure> {
    let is_mounted = bpffs::is_mounted();
    if config.mesh.cluster.is_none() || matches!(is_mounted, Ok(true)) {
        return Ok(());
    }
    let failure = Failure::new(
        Exit::Cannot,
        format_args!("the machine's BPF file system is not mounted at {}", bpffs::ROOT),
        format!(
            "mount it on the machine (`mount -t bpf bpf {0}`; systemd does), and into the container by a volume with hostPath {0}",
            bpffs::ROOT
        ),
    );
    Err(match is_mounted {
        Ok(_) => failure,
        Err(error) => failure.because(&error),
    })
}

/// A container's process stays where it was put, in the kubelet's accounts.
fn supervision(config: &Config) -> Supervision {
    if config.mesh.cluster.is_some() { Supervision::Contained } else { Supervision::found() }
}

/// For `culvert uninstall`, which may be asked without the settings of the processes there were.
fn record_cgroup_root(instance: &Instance) {
    let root = instance.cgroup_root();
    if recorded_cgroup_roots(instance.name()).iter().any(|recorded| recorded == root) {
        return;
    }
    let path = instance.run_dir().join(CGROUP_ROOTS);
    let line = [root.as_os_str().as_bytes(), b"\n"].concat();
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    if let Err(error) = opened.and_then(|mut file| file.write_all(&line)) {
        warn!(path = %path.display(), %error, "cannot record the cgroup for uninstall");
    }
}

/// Where processes of an instance captured, or tried to, as they recorded it.
pub(crate) fn recorded_cgroup_roots(instance: &str) -> Vec<PathBuf> {
    let path = Path::new(RUN).join(instance).join(CGROUP_ROOTS);
    let recorded = fs::read(path).unwrap_or_default();
    let lines = recorded.split(|&byte| byte == b'\n');
    let paths = lines.map(|line| PathBuf::from(OsStr::from_bytes(line)));
    paths.filter(|path| path.is_absolute()).collect()
}

/// Raises the limit of open files to what the process is allowed at most, and tells it; each
/// connection takes two.
fn raise_descriptors() -> Option<u64> {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(descriptors) => info!(descriptors, "limit of open files"),
        Err(error) => warn!(%error, "cannot raise the limit of open files"),
    }
    raised.ok()
}

/// With none beyond the reserve every connection would be refused: better not to start, while an
/// older process may be there.
fn enough_descriptors(limit: Option<u64>, config: &Config) -> Result<(), Failure> {
    let reserve = config.limits.descriptor_reserve;
    match limit {
        Some(limit) if limit < u64::from(reserve) + 2 => Err(Failure::new(
            Exit::Cannot,
            format_args!(
                "the limit of open files, {limit}, leaves none for connections beside a descriptor_reserve of {reserve}"
            ),
            format!(
                "raise the limit (ulimit -n, LimitNOFILE=), or lower the setting {}",
                settings::DESCRIPTOR_RESERVE
            ),
        )),
        Some(_) | None => Ok(()),
    }
}
