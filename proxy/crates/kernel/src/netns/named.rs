//! Namespaces that have a name: mounted where `ip netns` looks for them.
use super::{Netns, NetnsError, OWN};
use nix::{
    fcntl::{Flock, FlockArg},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread,
};

/// Where named namespaces are mounted; `ip netns` looks there.
const NAMED: &str = "/run/netns";

impl Netns {
    /// Makes a namespace and mounts it where `ip netns` finds it; its loopback is down.
    ///
    /// # Errors
    ///
    /// When the name is taken or no name, or without `CAP_SYS_ADMIN`.
    pub fn create_named(name: &str) -> Result<Self, NetnsError> {
        let path = named(name)?;
        let mounting = |source| NetnsError::Mount { path: path.clone(), source };
        let _lock = shared_mount().map_err(mounting)?;
        match OpenOptions::new().write(true).create_new(true).mode(0o0).open(&path) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(NetnsError::Exists { name: name.to_owned() });
            }
            Err(e) => return Err(mounting(e)),
        }
        // The new namespace is a thread's own, and the thread ends with it.
        let made = thread::scope(|scope| {
            scope.spawn(|| make_and_mount(&path)).join().unwrap_or_else(|panic| {
                std::panic::resume_unwind(panic);
            })
        });
        made.and_then(|()| Self::open(&path)).inspect_err(|_| {
            // The error that made us give up says more than one from here.
            drop(fs::remove_file(&path));
        })
    }

    /// Unmounts and removes a named namespace; one that is not there is removed already.
    ///
    /// Its processes and sockets keep it alive, out of sight.
    ///
    /// # Errors
    ///
    /// When the mount or its file cannot be removed.
    pub fn delete_named(name: &str) -> Result<(), NetnsError> {
        let path = named(name)?;
        // EINVAL: no mount (a half-made one); ENOENT: not even a file.
        match umount2(&path, MntFlags::MNT_DETACH) {
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(e) => return Err(NetnsError::Remove { path, source: e.into() }),
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(NetnsError::Remove { path, source }),
        }
    }

    /// Where a namespace of this name is mounted.
    ///
    /// # Errors
    ///
    /// When `name` cannot be a file's name.
    pub fn named_path(name: &str) -> Result<PathBuf, NetnsError> {
        named(name)
    }

    /// The names of all named namespaces of this machine.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read; none at all is an empty list.
    pub fn names() -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(NAMED) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries
            .map(|entry| Ok(entry?.file_name().into_string().ok()))
            .filter_map(Result::transpose)
            .collect()
    }
}

/// The path of a named namespace; the name goes into a path, so nothing but a plain name passes.
fn named(name: &str) -> Result<PathBuf, NetnsError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 255 || name.starts_with('.') || !name.chars().all(plain) {
        return Err(NetnsError::Name { name: name.to_owned() });
    }
    Ok(Path::new(NAMED).join(name))
}

/// Makes `/run/netns` a shared mount, as `ip netns` does: a namespace that is mounted in it becomes
/// visible in, and can be unmounted from, every mount namespace. Returns the lock that `ip netns`
/// takes for the same.
fn shared_mount() -> io::Result<Flock<File>> {
    fs::create_dir_all(NAMED)?;
    let lock = Flock::lock(File::open(NAMED)?, FlockArg::LockExclusive)
        .map_err(|(_, error)| io::Error::from(error))?;
    let nothing = None::<&Path>;
    let share = || mount(nothing, NAMED, nothing, MsFlags::MS_SHARED | MsFlags::MS_REC, nothing);
    match share() {
        // Not a mount point yet.
        Err(nix::Error::EINVAL) => {
            let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(NAMED), NAMED, nothing, bind, nothing)?;
            share()?;
        }
        done => done?,
    }
    Ok(lock)
}

/// Leaves this thread in a new namespace, mounted at `path`.
fn make_and_mount(path: &Path) -> Result<(), NetnsError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| NetnsError::Unshare(e.into()))?;
    mount(Some(OWN), path, None::<&Path>, MsFlags::MS_BIND, None::<&Path>)
        .map_err(|e| NetnsError::Mount { path: path.to_owned(), source: e.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_leave_the_folder_is_refused() {
        for name in ["", ".", "..", "a/b", "../etc", ".hidden", "a b", "a\0"] {
            assert!(matches!(named(name), Err(NetnsError::Name { .. })), "{name:?}");
        }
        assert_eq!(named("culvert-x.1_a").unwrap(), Path::new("/run/netns/culvert-x.1_a"));
    }
}
