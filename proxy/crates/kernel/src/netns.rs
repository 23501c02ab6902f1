//! Network namespaces: opening, making, entering.
//!
//! A thread enters a namespace, does one thing there and comes back; a socket made meanwhile stays
//! in that namespace for its life.
#![expect(unsafe_code, reason = "getsockopt(2), ioctl(2) and what a child does before exec")]
use nix::sched::{CloneFlags, setns};
use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::{
            fs::{MetadataExt as _, OpenOptionsExt as _},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{self, Command},
    sync::Arc,
};

mod named;

/// The calling thread's namespace, whichever it is in at that moment.
const OWN: &str = "/proc/thread-self/ns/net";

/// `NS_GET_NSTYPE` of `linux/nsfs.h` (Linux 4.11), `_IO(0xb7, 0x3)`.
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;

/// `SO_NETNS_COOKIE` of `asm-generic/socket.h` (Linux 5.14).
const SO_NETNS_COOKIE: libc::c_int = 71;

/// An open network namespace; it exists for as long as this does.
#[derive(Clone, Debug)]
pub struct Netns {
    fd: Arc<OwnedFd>,
    inode: u64,
}

/// Why a namespace could not be opened, made or removed.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    #[error("cannot open network namespace {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not a network namespace", path.display())]
    NotANetns { path: PathBuf },
    #[error("{name:?} cannot name a network namespace: letters, digits, '.', '_' and '-' only")]
    Name { name: String },
    #[error("a network namespace {name} exists already")]
    Exists { name: String },
    #[error("cannot make a network namespace")]
    Unshare(#[source] io::Error),
    #[error("cannot mount network namespace {}", path.display())]
    Mount {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot remove network namespace {}", path.display())]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Brings the thread back to where it was, also when what it did panicked.
struct WayBack(Arc<OwnedFd>);

thread_local! {
    /// Where this thread is, once it was asked: a connection costs one look at `/proc` less, which
    /// is more than entering and coming back. Nothing else in the process moves a thread.
    static HERE: RefCell<Option<Arc<OwnedFd>>> = const { RefCell::new(None) };
}

impl Netns {
    /// Opens the namespace mounted at (or linked from) `path`.
    ///
    /// # Errors
    ///
    /// When `path` cannot be opened, or is something else than a network namespace: a netns file
    /// that is not mounted yet is an ordinary empty file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, NetnsError> {
        let path = path.as_ref();
        let opening = |source| NetnsError::Open { path: path.to_owned(), source };
        // O_NONBLOCK: somebody's FIFO must not hold up the node.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(opening)?;
        let inode = file.metadata().map_err(opening)?.ino();
        let fd = OwnedFd::from(file);
        if !is_netns(fd.as_fd()) {
            return Err(NetnsError::NotANetns { path: path.to_owned() });
        }
        Ok(Self { fd: Arc::new(fd), inode })
    }

    /// The calling thread's namespace.
    ///
    /// # Errors
    ///
    /// When `/proc` is not mounted.
    pub fn current() -> Result<Self, NetnsError> {
        Self::open(OWN)
    }

    /// Runs `f` with this thread inside the namespace, and comes back.
    ///
    /// `f` must not await: only this thread is there. A thread that cannot come back ends the
    /// process, since everything after it would happen in the wrong namespace.
    ///
    /// # Errors
    ///
    /// When the thread cannot enter: without `CAP_SYS_ADMIN`.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> io::Result<T> {
        let way_back = WayBack(here()?);
        setns(&*self.fd, CloneFlags::CLONE_NEWNET)?;
        HERE.set(Some(Arc::clone(&self.fd)));
        let result = f();
        drop(way_back);
        Ok(result)
    }

    /// Makes a command run in this namespace and, if given, in a cgroup of version 2.
    ///
    /// Both hold from the first instruction of the new program, so that every socket it makes
    /// belongs to them.
    ///
    /// # Errors
    ///
    /// When the cgroup's `cgroup.procs` cannot be opened for writing.
    pub fn place(&self, command: &mut Command, cgroup: Option<&Path>) -> io::Result<()> {
        let procs = cgroup
            .map(|dir| OpenOptions::new().write(true).open(dir.join("cgroup.procs")))
            .transpose()?;
        let netns = Arc::clone(&self.fd);
        let enter = move || {
            if let Some(mut procs) = procs.as_ref() {
                // Zero stands for whoever writes.
                procs.write_all(b"0")?;
            }
            setns(&*netns, CloneFlags::CLONE_NEWNET)?;
            Ok(())
        };
        // SAFETY: between fork and exec only async-signal-safe calls are allowed: `enter` calls
        // write(2) and setns(2) on descriptors that are open already, and allocates nothing.
        unsafe { command.pre_exec(enter) };
        Ok(())
    }

    /// The namespace's identity: two that are open at once are the same if this is.
    #[must_use]
    pub const fn inode(&self) -> u64 {
        self.inode
    }

    /// The kernel's name for the namespace, never used again; `None` before Linux 5.14.
    #[must_use]
    pub fn cookie(&self) -> Option<u64> {
        let socket =
            self.run(|| socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None));
        read_cookie(socket.ok()?.ok()?.as_fd())
    }

    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        if let Err(error) = setns(&*self.0, CloneFlags::CLONE_NEWNET) {
            tracing::error!(%error, "cannot return to the own network namespace");
            process::abort();
        }
        HERE.set(Some(Arc::clone(&self.0)));
    }
}

/// The calling thread's namespace.
fn here() -> io::Result<Arc<OwnedFd>> {
    if let Some(here) = HERE.with_borrow(Clone::clone) {
        return Ok(here);
    }
    Ok(Arc::new(File::open(OWN)?.into()))
}

fn is_netns(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: `fd` is open, being borrowed; NS_GET_NSTYPE takes no argument and writes nothing.
    // Files that are no namespace answer ENOTTY.
    let kind = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) };
    kind == libc::CLONE_NEWNET
}

fn read_cookie(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut cookie = 0_u64;
    let mut len = libc::socklen_t::try_from(size_of::<u64>()).ok()?;
    // SAFETY: `socket` is open, being borrowed; `cookie` is valid for writes of `len` bytes and any
    // bytes are a valid u64; the kernel writes at most `len`.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    (rc == 0).then_some(cookie)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_file_is_no_network_namespace() {
        assert!(matches!(Netns::open("/proc/self/status"), Err(NetnsError::NotANetns { .. })));
        assert!(matches!(Netns::open("/proc/self/ns/mnt"), Err(NetnsError::NotANetns { .. })));
        assert!(matches!(Netns::open("/proc/self/ns/nothing"), Err(NetnsError::Open { .. })));
    }

    #[test]
    fn the_own_namespace_has_the_inode_that_proc_shows() {
        let shown = std::fs::read_link(OWN).unwrap();
        let inode = Netns::current().unwrap().inode();
        assert_eq!(shown.to_str(), Some(format!("net:[{inode}]").as_str()));
    }
}
