//! Manifests in files and folders.
use super::{
    cache::Cache,
    walk::{Walk, unreadable},
};
use crate::{object::Objects, problem::Problem};
use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// A manifest that is larger is not one.
const MAX_BYTES: u64 = 64 << 20;

/// Files and folders that together are one set of manifests.
#[derive(Clone, Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// What can be read only once: standard input and pipes.
    read: Vec<(Objects, Vec<Problem>)>,
    /// Clones share it.
    cache: Arc<Cache>,
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
        let mut files = Self { paths: Vec::new(), read: Vec::new(), cache: Arc::default() };
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
                    let (objects, wrong) = Objects::parse(&name, &bytes);
                    files.read.push((objects, wrong));
                }
                Err(error) => problems.push(unreadable(Path::new(&name), &error)),
            }
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }

    /// Reads the set as it is now; what did not change since the last time is not read again, and
    /// is the same object.
    ///
    /// # Errors
    ///
    /// All problems of all files; a set with one is refused whole.
    pub fn load(&self) -> Result<Objects, Vec<Problem>> {
        let Found { objects, problems, files: _ } = self.read();
        if problems.is_empty() { Ok(objects) } else { Err(problems) }
    }

    /// Reads as much of the set as can be read now.
    #[must_use]
    pub fn read(&self) -> Found {
        let Walk { files, mut problems, .. } = Walk::through(self.paths());
        let (mut objects, mut count) = (Objects::default(), 0);
        let mut add = |(read, wrong): (Objects, Vec<Problem>)| {
            objects.append(read);
            problems.extend(wrong);
            count += 1;
        };
        for (objects, wrong) in &self.read {
            add((objects.clone(), wrong.clone()));
        }
        self.cache.retain(&files);
        for path in files {
            match self.cache.parse(&path, read_all) {
                Ok(read) => add(read),
                // Deleted since the folder was listed: the watch will say so too.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => add((Objects::default(), vec![unreadable(&path, &error)])),
            }
        }
        problems.sort();
        Found { objects, problems, files: count }
    }

    /// What can change.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }
}

fn read_all(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= MAX_BYTES) {
        return Ok(bytes);
    }
    Err(io::Error::other(format!("larger than {} MiB", MAX_BYTES >> 20)))
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}
