//! Files that nobody else can read.
use crate::tls;
use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Why a file of secrets could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
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
    #[error("others can read {}, which holds a secret; chmod 600 it, or make a new one", .path.display())]
    Open { path: PathBuf },
}

/// Reads the file at `path`; writes what `make` says first where there is none.
///
/// # Errors
///
/// When it cannot be read or written, others may read it, or `make` fails.
pub(crate) fn kept<E: From<SecretError>>(
    path: &Path,
    make: impl FnOnce() -> Result<String, E>,
) -> Result<String, E> {
    match read(path) {
        Err(SecretError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        other => return Ok(other?),
    }
    let made = make()?;
    match write(path, &made) {
        Ok(()) => Ok(made),
        // Another process was quicker: its content is the one.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(read(path)?),
        Err(source) => Err(SecretError::Write { path: path.to_owned(), source }.into()),
    }
}

/// Has the file at `path` hold `text`, whatever it held.
///
/// # Errors
///
/// When it cannot be written; then it is as it was.
pub fn replace(path: &Path, text: &str) -> Result<(), SecretError> {
    let write = |source| SecretError::Write { path: path.to_owned(), source };
    if read(path).is_ok_and(|held| held == text) {
        return Ok(());
    }
    let (folder, new) = beside(path).map_err(write)?;
    let written = write_new(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // Whatever is left of it.
        drop(fs::remove_file(&new));
    }
    let synced = written.and_then(|()| OpenOptions::new().read(true).open(folder)?.sync_all());
    synced.map_err(write)
}

fn read(path: &Path) -> Result<String, SecretError> {
    let read = |source| SecretError::Read { path: path.to_owned(), source };
    let meta = fs::metadata(path).map_err(read)?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(SecretError::Open { path: path.to_owned() });
    }
    fs::read_to_string(path).map_err(read)
}

/// Writes it whole or not at all, and never over another.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let (folder, new) = beside(path)?;
    let written = write_new(&new, text).and_then(|()| fs::hard_link(&new, path));
    // The link made, the first name has served.
    let removed = fs::remove_file(&new);
    written.and(removed)?;
    OpenOptions::new().read(true).open(folder)?.sync_all()
}

/// The folder of `path`, which is there then, and a file in it that nobody else has.
fn beside(path: &Path) -> io::Result<(&Path, PathBuf)> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Replicas may share the folder, and each be process 1 of its container.
    name.push(format!(".{:016x}.new", tls::dice()));
    Ok((folder, folder.join(name)))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_replaces_another_is_as_secret_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/key");
        for text in ["one", "two", "two"] {
            replace(&path, text).unwrap();
            assert_eq!(read(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let under_a_file = path.join("key");
        assert!(matches!(replace(&under_a_file, "x"), Err(SecretError::Write { .. })));
    }
}
