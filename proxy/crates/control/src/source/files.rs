//! Manifests in files and folders.
use super::{
    kept::{Dirty, Kept},
    stamp::read_all,
    walk::{Walk, unreadable},
};
use crate::{object::Objects, problem::Problem};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// Files and folders that together are one set of manifests.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub(super) paths: Vec<PathBuf>,
    /// What can be read only once: standard input and pipes.
    pub(super) read: Vec<Once>,
}

/// What was read once and for all.
#[derive(Clone, Debug)]
pub(super) struct Once {
    pub(super) name: PathBuf,
    pub(super) objects: Objects,
    pub(super) problems: Vec<Problem>,
}

/// What is below some paths.
#[derive(Debug, Default)]
pub struct Found {
    pub objects: Objects,
    /// What is wrong with the rest, sorted by place.
    pub problems: Vec<Problem>,
    /// How many files were read.
    pub files: usize,
}

/// Reads every manifest below `paths`.
///
/// Named files are read whatever they are called; in folders, and the folders in them, what ends in
/// `.yaml`, `.yml` or `.json` and is not hidden (`.name`), in the order of names. `-` is standard
/// input.
///
/// # Errors
///
/// All problems of all files.
pub fn load(paths: &[PathBuf]) -> Result<Objects, Vec<Problem>> {
    Files::open(paths)?.load()
}

impl Files {
    /// Reads what can be read only once; the rest is read by [`Files::load`], each time.
    ///
    /// # Errors
    ///
    /// When standard input or a pipe cannot be read.
    pub fn open(paths: &[PathBuf]) -> Result<Self, Vec<Problem>> {
        let mut files = Self::default();
        let mut problems = Vec::new();
        for path in paths {
            let is_input = path.as_os_str() == STANDARD_INPUT;
            let read = if is_input {
                read_all(io::stdin().lock())
            } else if is_pipe(path) {
                fs::File::open(path).and_then(read_all)
            } else {
                files.paths.push(path.clone());
                continue;
            };
            let name = if is_input { "<stdin>".into() } else { path.display().to_string() };
            match read {
                Ok(bytes) => {
                    let (objects, problems) = Objects::parse(&name, &bytes);
                    files.read.push(Once { name: name.into(), objects, problems });
                }
                Err(error) => problems.push(unreadable(Path::new(&name), &error)),
            }
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }

    /// Reads the set as it is now.
    ///
    /// # Errors
    ///
    /// All problems of all files; a set with one is refused whole.
    pub fn load(self) -> Result<Objects, Vec<Problem>> {
        let Found { objects, problems, files: _ } = self.read();
        if problems.is_empty() { Ok(objects) } else { Err(problems) }
    }

    /// Reads as much of the set as can be read now.
    #[must_use]
    pub fn read(self) -> Found {
        let walk = Walk::through(&self.paths);
        let mut kept = Kept::new(self);
        kept.read(Dirty::All(walk));
        kept.into_found()
    }
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}
