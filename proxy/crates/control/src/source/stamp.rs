//! A file as it is now: whether it was written to, and what it holds.
use std::{
    fs::Metadata,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A file that changed so lately may change once more without its times telling.
const FRESH: Duration = Duration::from_secs(1);

/// A manifest that is larger is not one.
const MAX_BYTES: u64 = 64 << 20;

/// Which file or folder something is, whatever it is called.
pub(super) type Id = (u64, u64);

/// What differs once a file was written to, or is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    id: Id,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

pub(super) fn id(metadata: &Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            id: id(metadata),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// `None`: a further change might leave the same.
    pub(super) fn unless_fresh(self) -> Option<Self> {
        let seconds = self.changed.0.max(self.modified.0);
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?);
        // A clock that says in the future says nothing.
        let age = SystemTime::now().duration_since(changed).ok()?;
        (age >= FRESH).then_some(self)
    }
}

pub(super) fn read_all(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= MAX_BYTES) {
        return Ok(bytes);
    }
    Err(io::Error::other(format!("larger than {} MiB", MAX_BYTES >> 20)))
}
