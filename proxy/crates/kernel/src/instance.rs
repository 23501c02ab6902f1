//! One installation of the proxy on a machine: its name, and every place it owns.
//!
//! Several can run on one kernel, each with its own pins, attach point and run folder.
use crate::{bpffs, instance::mounts::cgroup2_root, pod::record};
use culvert_common::ABI_VERSION;
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process,
};

pub(crate) mod mounts;

/// Where instances keep what must survive a process, but not a reboot.
const RUN: &str = "/run/culvert";

/// The places of one installation.
#[derive(Clone, Debug)]
pub struct Instance {
    name: String,
    cgroup_root: PathBuf,
}

/// Why there is no such instance.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    #[error("{0:?} cannot name an instance: 1 to 40 of a-z, 0-9 and '-'")]
    Name(String),
    #[error("cannot read /proc/self/mountinfo")]
    Mounts(#[source] io::Error),
    #[error("no cgroup2 file system is mounted; mount one, or name its folder")]
    NoCgroup2,
    #[error("{} is not a folder of a cgroup2 file system", .0.display())]
    NotACgroup(PathBuf),
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Instance {
    /// Names an instance attached at `cgroup_root`, or at the root of the cgroup2 file system.
    ///
    /// # Errors
    ///
    /// When the name would not fit in a path, or there is no such cgroup.
    pub fn new(name: &str, cgroup_root: Option<PathBuf>) -> Result<Self, InstanceError> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(1..=40).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(InstanceError::Name(name.to_owned()));
        }
        let cgroup_root = match cgroup_root {
            Some(root) => root,
            None => {
                let mounts = fs::read_to_string("/proc/self/mountinfo");
                let mounts = mounts.map_err(InstanceError::Mounts)?;
                cgroup2_root(&mounts).ok_or(InstanceError::NoCgroup2)?
            }
        };
        if !cgroup_root.join("cgroup.procs").exists() {
            return Err(InstanceError::NotACgroup(cgroup_root));
        }
        Ok(Self { name: name.to_owned(), cgroup_root })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder the programs are attached at: what they see happens below it.
    pub fn cgroup_root(&self) -> &Path {
        &self.cgroup_root
    }

    /// The proxy's own cgroup.
    #[must_use]
    pub fn cgroup(&self) -> PathBuf {
        self.cgroup_root.join(format!("culvert-{}", self.name))
    }

    /// Where this layout's maps and links are pinned.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.all_pins().join(format!("v{ABI_VERSION}"))
    }

    /// Where the pins of every layout are.
    pub(crate) fn all_pins(&self) -> PathBuf {
        Path::new(bpffs::ROOT).join("culvert").join(&self.name)
    }

    /// Sockets, locks and the records of enrolled pods.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        Path::new(RUN).join(&self.name)
    }

    /// The run folders of the other instances on this machine.
    pub(crate) fn others(&self) -> Vec<(String, PathBuf)> {
        let entries = fs::read_dir(RUN).into_iter().flatten().flatten();
        let named =
            entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
        named.filter(|(name, _)| *name != self.name).collect()
    }

    /// Has the other instances wait that are about to enrol a pod; the run folder must be there.
    pub(crate) fn lock_out_others(&self) -> io::Result<Flock<File>> {
        Flock::lock(File::open(RUN)?, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    }

    /// How many pods are captured, or are still to be let go: as many as are recorded.
    ///
    /// Without a process, their connections are refused, unless they fail open.
    #[must_use]
    pub fn recorded_pods(&self) -> usize {
        record::paths(&self.run_dir()).map_or(0, |paths| paths.len())
    }

    /// Makes the run folder, entered by root only.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn make_run_dir(&self) -> Result<(), InstanceError> {
        let path = self.run_dir();
        bpffs::private_dir(&path).map_err(|source| InstanceError::Io { what: "make", path, source })
    }

    /// Moves this process into the instance's cgroup, making it if needed; what is
    /// [`Contained`](Supervision::Contained) stays where it was put, when the programs see it there.
    ///
    /// Before any socket is made: the programs see a socket where the process was when it made it.
    /// Whether it was moved.
    ///
    /// # Errors
    ///
    /// When the cgroup file system is read-only, or the root has controllers that forbid processes
    /// beside folders.
    pub fn enter_cgroup(&self, supervision: Supervision) -> Result<bool, InstanceError> {
        if supervision == Supervision::Contained && self.contains_this_process()? {
            return Ok(false);
        }
        let path = self.cgroup();
        let io = |what, path| move |source| InstanceError::Io { what, path, source };
        fs::create_dir_all(&path).map_err(io("make", path.clone()))?;
        let procs = path.join("cgroup.procs");
        fs::write(&procs, process::id().to_string()).map_err(io("write", procs))?;
        Ok(true)
    }

    /// Whether this process is below the attach point, so that the programs see its sockets.
    ///
    /// # Errors
    ///
    /// When `/proc` or the cgroup cannot be read.
    pub fn contains_this_process(&self) -> Result<bool, InstanceError> {
        let read = |path: PathBuf| {
            fs::read_to_string(&path).map_err(|source| InstanceError::Io {
                what: "read",
                path,
                source,
            })
        };
        let own = process::id().to_string();
        if is_in(&self.cgroup(), &own) {
            return Ok(true);
        }
        let mounts = read("/proc/self/mountinfo".into())?;
        let cgroups = read("/proc/self/cgroup".into())?;
        // Where our own path cannot be compared with the mount's, we are where our number is.
        let below = mounts::is_below(&mounts, &cgroups, &self.cgroup_root);
        Ok(below.unwrap_or_else(|| is_below(&self.cgroup_root, &own)))
    }
}

/// Who says which cgroup a process is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervision {
    /// The process itself.
    Free,
    /// A container runtime: what leaves its cgroup leaves its accounts, and from a cgroup namespace
    /// nobody may.
    Contained,
}

impl Supervision {
    /// Contained, if the process has a cgroup namespace of its own.
    #[must_use]
    pub fn found() -> Self {
        /// The machine's, in `include/linux/proc_ns.h`.
        const MACHINE: u64 = 0xefff_fffb;
        match fs::metadata("/proc/self/ns/cgroup") {
            Ok(namespace) if namespace.ino() != MACHINE => Self::Contained,
            Ok(_) | Err(_) => Self::Free,
        }
    }
}

fn is_in(cgroup: &Path, pid: &str) -> bool {
    // Folders of threads have no list of processes.
    let procs = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    procs.lines().any(|line| line == pid)
}

/// Whether a process is at a cgroup or below.
fn is_below(cgroup: &Path, pid: &str) -> bool {
    let mut folders = vec![cgroup.to_owned()];
    while let Some(folder) = folders.pop() {
        if is_in(&folder, pid) {
            return true;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(below.map(|entry| entry.path()));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_in_every_path() {
        for bad in ["", "Node", "a/b", "..", "a.b", &"x".repeat(41)] {
            assert!(matches!(Instance::new(bad, Some("/".into())), Err(InstanceError::Name(_))));
        }
    }

    #[test]
    fn a_folder_outside_cgroup2_is_refused() {
        let got = Instance::new("a", Some("/proc".into()));
        assert!(matches!(got, Err(InstanceError::NotACgroup(_))));
    }
}
