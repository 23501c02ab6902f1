//! Which files and folders a set of paths stands for.
use crate::problem::Problem;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// Folders in folders; deeper is a mistake.
const MAX_DEPTH: usize = 16;

/// What was found below some paths.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Manifests in the order they are read in, each once.
    pub(super) files: Vec<PathBuf>,
    /// Every folder that was looked into.
    pub(super) folders: BTreeSet<PathBuf>,
    pub(super) problems: Vec<Problem>,
    /// Real paths that were met, so that links do not lead in circles or to a file twice.
    met: BTreeSet<PathBuf>,
}

impl Walk {
    pub(super) fn through<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut walk = Self::default();
        for path in paths {
            match fs::metadata(path) {
                Ok(found) if found.is_dir() => walk.folder(path, 0),
                Ok(_) => walk.file(path.to_owned()),
                Err(error) => walk.problem(path, &error),
            }
        }
        walk
    }

    fn folder(&mut self, path: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} folders in folders");
            return self.problems.push(Problem::of_file(path.display().to_string(), message));
        }
        match fs::canonicalize(path).map(|real| self.met.insert(real)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.problem(path, &error),
        }
        self.folders.insert(path.to_owned());
        let listed = fs::read_dir(path).and_then(|entries| {
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<BTreeSet<_>>>()
        });
        match listed {
            Ok(entries) => entries.iter().for_each(|entry| self.entry(entry, depth)),
            Err(error) => self.problem(path, &error),
        }
    }

    fn entry(&mut self, path: &Path, depth: usize) {
        let is_hidden = path.file_name().is_none_or(|name| name.as_bytes().starts_with(b"."));
        if is_hidden {
            return;
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => self.folder(path, depth + 1),
            Ok(found) if found.is_file() && is_manifest(path.as_os_str()) => {
                self.file(path.to_owned());
            }
            Ok(_) => {}
            // Gone since the folder was listed; a link that leads nowhere is still there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_manifest(path.as_os_str()) && fs::symlink_metadata(path).is_ok() {
                    self.problem(path, &error);
                }
            }
            Err(error) => self.problem(path, &error),
        }
    }

    fn file(&mut self, path: PathBuf) {
        match fs::canonicalize(&path).map(|real| self.met.insert(real)) {
            Ok(false) => {}
            Ok(true) => self.files.push(path),
            Err(error) => self.problem(&path, &error),
        }
    }

    fn problem(&mut self, path: &Path, error: &io::Error) {
        self.problems.push(unreadable(path, error));
    }
}

/// A path that cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let message = if error.kind() == io::ErrorKind::NotFound {
        "no such file or folder".to_owned()
    } else {
        format!("cannot be read: {error}")
    };
    Problem::of_file(path.display().to_string(), message)
}

/// Whether a file of this name in a folder is read.
pub(super) fn is_manifest(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| ["yaml", "yml", "json"].contains(&extension))
}
