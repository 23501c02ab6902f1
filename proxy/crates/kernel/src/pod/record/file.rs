//! The records' files: one JSON document per pod, replaced whole.
use super::{Record, RecordError};
use crate::instance::Instance;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Every record of an instance, whose run folder need not exist.
pub(super) fn read_all(run_dir: &Path) -> Result<BTreeMap<u32, Record>, RecordError> {
    let read = paths(run_dir)?.into_iter().map(|path| read(&path));
    read.map(|record| record.map(|record| (record.pod_id, record))).collect()
}

/// Where the records of an instance are.
pub(crate) fn paths(run_dir: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let dir = folder(run_dir);
    let entries = match fs::read_dir(&dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error("read", &dir))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error("read", &dir))?.path();
        // Beside them may be one that was being written when its process ended.
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    Ok(paths)
}

pub(crate) fn read(path: &Path) -> Result<Record, RecordError> {
    let text = fs::read(path).map_err(io_error("read", path))?;
    serde_json::from_slice(&text)
        .map_err(|source| RecordError::Malformed { path: path.to_owned(), source })
}

/// Which other instance has enrolled the namespace of this cookie.
///
/// Its records may be of another version, and may change while they are read: all that is asked of
/// them is the cookie.
pub(crate) fn taken_by(instance: &Instance, cookie: u64) -> Option<String> {
    let has = |run_dir: &Path| {
        let records = fs::read_dir(folder(run_dir)).into_iter().flatten().flatten();
        let texts = records.filter_map(|record| fs::read(record.path()).ok());
        texts
            .filter_map(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
            .any(|record| record.get("cookie").and_then(serde_json::Value::as_u64) == Some(cookie))
    };
    instance.others().into_iter().find(|(_, run_dir)| has(run_dir)).map(|(name, _)| name)
}

/// Removes a pod's record; one that is not there is removed already.
pub(crate) fn forget(path: &Path) -> Result<(), RecordError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(e)),
        _ => Ok(()),
    }
}

pub(super) fn folder(run_dir: &Path) -> PathBuf {
    run_dir.join("pods")
}

pub(super) fn path(run_dir: &Path, pod_id: u32) -> PathBuf {
    folder(run_dir).join(format!("{pod_id}.json"))
}

/// The highest id that has a pin folder.
pub(super) fn pinned(pins: &Path) -> Option<u32> {
    let entries = fs::read_dir(pins).ok()?.flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max()
}

/// Writes a file whole or not at all.
pub(super) fn replace(path: &Path, text: &[u8]) -> Result<(), RecordError> {
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(io_error("write", &new))?;
    fs::rename(&new, path).map_err(io_error("replace", path))
}

pub(super) fn io_error(what: &'static str, path: &Path) -> impl Fn(io::Error) -> RecordError {
    move |source| RecordError::Io { what, path: path.to_owned(), source }
}
