//! Who lives in the run folder: at most one that starts, any number that live.
//!
//! Record locks (fcntl(2)) on one file: they end with the process, however it ends, and tell the
//! holder's pid. Never open the file twice in one process: closing either would end both.
use nix::fcntl::{FcntlArg, fcntl};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use tracing::warn;

/// Held alone by a process that starts, or that takes everything away.
const STARTING: i64 = 0;
/// Shared by every process that lives.
const LIVING: i64 = 1;

/// This process's place among the others.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

/// Why the place cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another culvert of this instance is starting (pid {0})")]
    Starting(i32),
    #[error("a culvert of this instance runs (pid {0})")]
    Living(i32),
    #[error("cannot lock {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Shared,
    Alone,
    None,
}

impl Lock {
    /// Takes the place of one that starts, beside any that live.
    ///
    /// # Errors
    ///
    /// When another one starts.
    pub(crate) fn start(run_dir: &Path) -> Result<Self, LockError> {
        let lock = Self::open(run_dir)?;
        lock.take(STARTING, Kind::Alone).map_err(|pid| lock.error(pid, LockError::Starting))?;
        lock.take(LIVING, Kind::Shared).map_err(|pid| lock.error(pid, LockError::Living))?;
        lock.check_in_place()?;
        Ok(lock)
    }

    /// Start-up is over: the next one may start.
    pub(crate) fn started(&self) {
        if self.take(STARTING, Kind::None).is_err() {
            warn!(path = %self.path.display(), "the next process will be refused");
        }
    }

    /// Does not live any more, for others: there is nothing that they would wait for.
    pub(crate) fn leave(&self) {
        if self.take(LIVING, Kind::None).is_err() {
            warn!(path = %self.path.display(), "others take this process for one that lives");
        }
    }

    /// Whether no other process of the instance lives.
    pub(crate) fn is_only(&self) -> bool {
        let mut others = range(LIVING, Kind::Alone);
        fcntl(&self.file, FcntlArg::F_GETLK(&mut others)).is_ok()
            && i32::from(others.l_type) == libc::F_UNLCK
    }

    /// Takes the whole place: nobody lives, nobody starts while this is held.
    ///
    /// # Errors
    ///
    /// When somebody does.
    pub(crate) fn alone(run_dir: &Path) -> Result<Self, LockError> {
        let lock = Self::open(run_dir)?;
        lock.take(LIVING, Kind::Alone).map_err(|pid| lock.error(pid, LockError::Living))?;
        lock.take(STARTING, Kind::Alone).map_err(|pid| lock.error(pid, LockError::Starting))?;
        Ok(lock)
    }

    fn open(run_dir: &Path) -> Result<Self, LockError> {
        let path = run_dir.join("lives");
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        match opened {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => Err(LockError::Io { path, source }),
        }
    }

    /// Somebody may have removed the folder before we locked the file: then nobody sees our locks.
    fn check_in_place(&self) -> Result<(), LockError> {
        let same = || Ok(self.file.metadata()?.ino() == fs::metadata(&self.path)?.ino());
        let checked = same().and_then(|same: bool| {
            same.then_some(()).ok_or_else(|| io::Error::other("it was removed meanwhile"))
        });
        checked.map_err(|source| LockError::Io { path: self.path.clone(), source })
    }

    /// Locks one byte; the error is the holder's pid, or none when the system refused.
    fn take(&self, byte: i64, kind: Kind) -> Result<(), Option<i32>> {
        if fcntl(&self.file, FcntlArg::F_SETLK(&range(byte, kind))).is_ok() {
            return Ok(());
        }
        let mut held = range(byte, kind);
        match fcntl(&self.file, FcntlArg::F_GETLK(&mut held)) {
            Ok(_) if i32::from(held.l_type) != libc::F_UNLCK => Err(Some(held.l_pid)),
            Ok(_) | Err(_) => Err(None),
        }
    }

    fn error(&self, holder: Option<i32>, held_by: fn(i32) -> LockError) -> LockError {
        holder.map_or_else(
            || LockError::Io { path: self.path.clone(), source: io::ErrorKind::WouldBlock.into() },
            held_by,
        )
    }
}

fn range(byte: i64, kind: Kind) -> libc::flock {
    let kind = match kind {
        Kind::Shared => libc::F_RDLCK,
        Kind::Alone => libc::F_WRLCK,
        Kind::None => libc::F_UNLCK,
    };
    libc::flock {
        // The constants are 0 to 2, whatever their type is on this architecture.
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Record locks are per process: conflicts are shown by the tests of the built binary.
    #[test]
    fn one_process_can_start_and_say_that_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::start(dir.path()).unwrap();
        lock.started();
    }

    #[test]
    fn a_file_that_was_removed_is_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::start(dir.path()).unwrap();
        lock.check_in_place().unwrap();
        fs::remove_file(&lock.path).unwrap();
        lock.check_in_place().unwrap_err();
        fs::write(&lock.path, "").unwrap();
        lock.check_in_place().unwrap_err();
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Lock::alone(Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.to_string(), "cannot lock /nowhere/lives");
    }
}
