//! What the files of a set hold, kept from one reading to the next.
//!
//! Whoever is told which files may be another reads these and no other, and what they held before
//! is kept until it is replaced for good: so a change costs what it changes, however large the set.
use super::{
    Difference,
    files::{Files, Found, Once},
    stamp::{Stamp, read_all},
    walk::{Walk, unreadable},
};
use crate::{
    object::{Objects, Skipped},
    problem::Problem,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{BuildHasher as _, RandomState},
    io,
    path::{Path, PathBuf},
};

/// What of a set may be another than it was read.
#[derive(Debug)]
pub(crate) enum Dirty {
    /// These files, and nothing else.
    Files(BTreeSet<PathBuf>),
    /// All of it, which is what was found.
    All(Walk),
}

/// A set of files as it was read last.
#[derive(Debug)]
pub(crate) struct Kept {
    paths: Vec<PathBuf>,
    held: BTreeMap<PathBuf, Held>,
    /// Those of them that are not read again.
    once: BTreeSet<PathBuf>,
    /// What those held that are another since the set was taken.
    before: BTreeMap<PathBuf, Objects>,
    /// Those with problems.
    wrong: BTreeSet<PathBuf>,
    /// What could not be found.
    missing: Vec<Problem>,
    /// `held` is all there was.
    is_whole: bool,
    hasher: RandomState,
}

/// What a file held.
#[derive(Debug, Default)]
struct Held {
    /// `None`: look into it again.
    stamp: Option<Stamp>,
    /// Of the bytes; `None`: they could not be read.
    hash: Option<u64>,
    objects: Objects,
    problems: Vec<Problem>,
}

/// What a look at a file came to.
enum Look {
    /// Nothing new; but for when it was written.
    Same(Option<Stamp>),
    Other(Box<Held>),
    Gone,
}

impl Kept {
    pub(crate) fn new(Files { paths, read }: Files) -> Self {
        let mut kept = Self {
            paths,
            held: BTreeMap::new(),
            once: BTreeSet::new(),
            before: BTreeMap::new(),
            wrong: BTreeSet::new(),
            missing: Vec::new(),
            is_whole: false,
            hasher: RandomState::new(),
        };
        for Once { name, objects, problems } in read {
            let mut held = kept.held.remove(&name).unwrap_or_default();
            held.objects.append(objects);
            held.problems.extend(problems);
            kept.replace(&name, Some(held));
            kept.once.insert(name);
        }
        kept
    }

    /// Reads what may be another.
    pub(crate) fn read(&mut self, dirty: Dirty) {
        let Walk { files, problems, .. } = match dirty {
            Dirty::Files(files) if self.is_whole => {
                files.iter().for_each(|path| self.look(path));
                return;
            }
            Dirty::Files(_) => Walk::through(&self.paths),
            Dirty::All(walk) => walk,
        };
        self.missing = problems;
        let found: BTreeSet<&Path> = files.iter().map(PathBuf::as_path).collect();
        let stays = |path: &Path| found.contains(path) || self.once.contains(path);
        let gone: Vec<_> = self.held.keys().filter(|path| !stays(path)).cloned().collect();
        for path in gone {
            self.replace(&path, None);
        }
        for path in &files {
            self.look(path);
        }
        self.is_whole = true;
    }

    /// What leads from the set that was taken last to what there is.
    ///
    /// # Errors
    ///
    /// All problems of all files, sorted by place; a set with one is refused whole.
    pub(crate) fn difference(&self) -> Result<Difference, Vec<Problem>> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut difference = Difference::default();
        for (path, before) in &self.before {
            difference.gone.append(before.clone());
            if let Some(now) = self.held.get(path) {
                difference.new.append(now.objects.clone());
            }
        }
        Ok(difference)
    }

    /// It is taken as it is.
    pub(crate) fn take(&mut self) {
        self.before.clear();
    }

    /// Nothing was taken, and nothing is known for certain.
    pub(crate) fn renew(&mut self) {
        let all = self.held.keys().map(|path| (path.clone(), Objects::default()));
        self.before = all.collect();
        self.is_whole = false;
    }

    /// What is there and not used.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = &Skipped> {
        self.held.values().flat_map(|held| &held.objects.skipped)
    }

    /// All that was read.
    pub(crate) fn into_found(self) -> Found {
        let (problems, files) = (self.problems(), self.held.len());
        let mut objects = Objects::default();
        self.held.into_values().for_each(|held| objects.append(held.objects));
        Found { objects, problems, files }
    }

    fn problems(&self) -> Vec<Problem> {
        let wrong = self.wrong.iter().filter_map(|path| self.held.get(path));
        let wrong = wrong.flat_map(|held| &held.problems);
        let mut problems: Vec<_> = self.missing.iter().chain(wrong).cloned().collect();
        problems.sort();
        problems
    }

    fn look(&mut self, path: &Path) {
        let known = self.held.get(path);
        let look = match look(path, known, &self.hasher) {
            Ok(look) => look,
            // Deleted since it was found: the watch says so too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Look::Gone,
            Err(error) => {
                let problems = vec![unreadable(path, &error)];
                Look::Other(Box::new(Held { problems, ..Held::default() }))
            }
        };
        match look {
            Look::Same(stamp) => {
                if let Some(held) = self.held.get_mut(path) {
                    held.stamp = stamp;
                }
            }
            Look::Other(held) => self.replace(path, Some(*held)),
            Look::Gone => self.replace(path, None),
        }
    }

    fn replace(&mut self, path: &Path, now: Option<Held>) {
        match now.as_ref().is_some_and(|now| !now.problems.is_empty()) {
            true => _ = self.wrong.insert(path.to_owned()),
            false => _ = self.wrong.remove(path),
        }
        let before = match now {
            Some(now) => self.held.insert(path.to_owned(), now),
            None => self.held.remove(path),
        };
        let before = before.map(|before| before.objects).unwrap_or_default();
        self.before.entry(path.to_owned()).or_insert(before);
    }
}

fn look(path: &Path, known: Option<&Held>, hasher: &RandomState) -> io::Result<Look> {
    if let Some(Held { stamp: Some(stamp), .. }) = known
        && *stamp == Stamp::of(&fs::metadata(path)?)
    {
        return Ok(Look::Same(Some(*stamp)));
    }
    let file = fs::File::open(path)?;
    // Before it is read: what is written meanwhile changes the times again.
    let stamp = Stamp::of(&file.metadata()?).unless_fresh();
    let bytes = read_all(file)?;
    let hash = Some(hasher.hash_one(&bytes));
    if known.is_some_and(|known| known.hash == hash) {
        return Ok(Look::Same(stamp));
    }
    let (objects, problems) = Objects::parse(&path.display().to_string(), &bytes);
    Ok(Look::Other(Box::new(Held { stamp, hash, objects, problems })))
}

#[cfg(test)]
mod tests;
