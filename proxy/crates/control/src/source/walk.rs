//! Which files and folders a set of paths stands for.
use super::stamp::{Id, id};
use crate::problem::Problem;
use std::{
    collections::{BTreeMap, HashSet},
    ffi::{OsStr, OsString},
    fs::{self, FileType},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// Folders in folders; deeper is a mistake.
const MAX_DEPTH: usize = 16;

/// What was found below some paths.
///
/// A regular file in a folder costs no system call: the folder's listing says what it is.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Manifests in the order they are read in, each once.
    pub(super) files: Vec<PathBuf>,
    /// Links, wherever they lead.
    pub(super) links: Vec<PathBuf>,
    /// Every folder that was looked into, and which it was.
    pub(super) folders: BTreeMap<PathBuf, Id>,
    pub(super) problems: Vec<Problem>,
    /// Real paths that were met, so that links do not lead in circles or to a file twice.
    met: HashSet<PathBuf>,
}

impl Walk {
    pub(super) fn through(paths: &[PathBuf]) -> Self {
        let mut walk = Self::default();
        for path in paths {
            match fs::metadata(path) {
                Ok(found) if found.is_dir() => walk.folder(path, id(&found), 0),
                Ok(_) => walk.linked(path.to_owned()),
                Err(error) => walk.problem(path, &error),
            }
        }
        walk
    }

    fn folder(&mut self, path: &Path, id: Id, depth: usize) {
        if depth > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} folders in folders");
            return self.problems.push(Problem::of_file(path.display().to_string(), message));
        }
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) => return self.problem(path, &error),
        };
        if !self.met.insert(real.clone()) {
            return;
        }
        self.folders.insert(path.to_owned(), id);
        let mut entries = match list(path) {
            Ok(entries) => entries,
            Err(error) => return self.problem(path, &error),
        };
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (name, kind) in entries {
            if is_hidden(&name) {
                continue;
            }
            if !kind.is_file() {
                self.entry(path.join(name), kind.is_symlink(), depth);
            } else if is_manifest(&name) && self.met.insert(real.join(&name)) {
                self.files.push(path.join(name));
            }
        }
    }

    /// A folder, a link, or what is no manifest.
    fn entry(&mut self, path: PathBuf, is_link: bool, depth: usize) {
        if is_link {
            self.links.push(path.clone());
        }
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => self.folder(&path, id(&found), depth + 1),
            Ok(found) if found.is_file() && is_manifest(path.as_os_str()) => self.linked(path),
            Ok(_) => {}
            // Gone since the folder was listed; a link that leads nowhere is still there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_manifest(path.as_os_str()) && fs::symlink_metadata(&path).is_ok() {
                    self.problem(&path, &error);
                }
            }
            Err(error) => self.problem(&path, &error),
        }
    }

    /// A file that may be elsewhere than its path says.
    fn linked(&mut self, path: PathBuf) {
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

/// The names in a folder, and what they are; a link is a link.
fn list(folder: &Path) -> io::Result<Vec<(OsString, FileType)>> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name(), entry.file_type()?))
    };
    fs::read_dir(folder)?.map(entry).collect()
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

/// Whether nothing of this name in a folder is looked at.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

/// Whether a file of this name in a folder is read.
pub(super) fn is_manifest(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| ["yaml", "yml", "json"].contains(&extension))
}
