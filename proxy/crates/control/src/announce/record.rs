//! What was announced: it outlives the process, and is shared by replicas.
//!
//! One small file, replaced whole, under a lock; each replica writes only what it changed itself.
use culvert_model::name::WorkloadUid;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// What was announced of which workload on which node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(BTreeMap<(WorkloadUid, Arc<str>), Held>);

/// How far a workload was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// Reached by HBONE.
    Announced,
    /// And everybody knew.
    Settled,
    /// Reached in plain text again, and not everybody may know.
    Withdrawn,
}

/// The file of a [`Record`].
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// What was in it when it was last read or written.
    last: Record,
    /// By which a file is told from the one that was read last.
    seen: Option<(u64, SystemTime, u64)>,
}

/// Why the record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {}", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not a record of captured workloads: {reason}; without it captured workloads are announced in plain text until their nodes report: remove it only then", .path.display())]
    Content { path: PathBuf, reason: String },
}

/// The file's text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u32,
    captured: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    uid: String,
    node: String,
    state: Held,
}

/// Of the file's form.
const VERSION: u32 = 1;

impl Record {
    pub(super) fn get(&self, uid: &WorkloadUid, node: &Arc<str>) -> Option<Held> {
        self.0.get(&(uid.clone(), Arc::clone(node))).copied()
    }

    pub(super) fn remove(&mut self, uid: &WorkloadUid, node: &Arc<str>) {
        self.0.remove(&(uid.clone(), Arc::clone(node)));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&WorkloadUid, &Arc<str>, Held)> {
        self.0.iter().map(|((uid, node), held)| (uid, node, *held))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `self`, with what differs between `before` and `after` made as it is in `after`.
    fn merged(&self, before: &Self, after: &Self) -> Self {
        let mut merged = self.0.clone();
        let keys: BTreeSet<_> = before.0.keys().chain(after.0.keys()).collect();
        for key in keys {
            match (before.0.get(key), after.0.get(key)) {
                (before, Some(held)) if before != Some(held) => {
                    merged.insert(key.clone(), *held);
                }
                (Some(_), None) => _ = merged.remove(key),
                (Some(_) | None, Some(_)) | (None, None) => {}
            }
        }
        Self(merged)
    }
}

impl FromIterator<(WorkloadUid, Arc<str>, Held)> for Record {
    fn from_iter<I: IntoIterator<Item = (WorkloadUid, Arc<str>, Held)>>(all: I) -> Self {
        Self(all.into_iter().map(|(uid, node, held)| ((uid, node), held)).collect())
    }
}

impl Store {
    /// Reads the record at `path`; where there is no file, there is none.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be read.
    pub fn open(path: &Path) -> Result<(Self, Record), RecordError> {
        let (seen, last) = (seen(path), read(path)?);
        Ok((Self { path: path.to_owned(), last: last.clone(), seen }, last))
    }

    /// Writes what changed from `before` to `after`, both of this process; what others changed
    /// stays. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn save(&mut self, before: &Record, after: &Record) -> Result<(), RecordError> {
        let write = |source| RecordError::Write { path: self.path.clone(), source };
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(write)?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.path.with_extension("lock"))
            .map_err(write)?;
        lock.lock().map_err(write)?;
        let merged = read(&self.path)?.merged(before, after);
        replace(&self.path, &merged).map_err(write)?;
        (self.last, self.seen) = (merged, seen(&self.path));
        Ok(())
    }

    /// What is in the file, when somebody else changed it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn news(&mut self) -> Result<Option<Record>, RecordError> {
        let seen = seen(&self.path);
        if seen == self.seen {
            return Ok(None);
        }
        let now = read(&self.path)?;
        self.seen = seen;
        if now == self.last {
            return Ok(None);
        }
        self.last = now.clone();
        Ok(Some(now))
    }
}

/// Every writer makes a file of its own.
fn seen(path: &Path) -> Option<(u64, SystemTime, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.modified().ok()?, meta.len()))
}

fn read(path: &Path) -> Result<Record, RecordError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
        Err(source) => return Err(RecordError::Read { path: path.to_owned(), source }),
    };
    let content = |reason: String| RecordError::Content { path: path.to_owned(), reason };
    let Text { version, captured } =
        serde_json::from_slice(&text).map_err(|error| content(error.to_string()))?;
    if version != VERSION {
        return Err(content(format!("it is of version {version}")));
    }
    let lines = captured.into_iter();
    Ok(lines.map(|Line { uid, node, state }| (WorkloadUid::new(uid), node.into(), state)).collect())
}

/// Whole or not at all.
fn replace(path: &Path, record: &Record) -> io::Result<()> {
    let captured = record.iter().map(|(uid, node, state)| Line {
        uid: uid.as_str().to_owned(),
        node: (**node).to_owned(),
        state,
    });
    let text = Text { version: VERSION, captured: captured.collect() };
    let new = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(&text).map_err(io::Error::other)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
