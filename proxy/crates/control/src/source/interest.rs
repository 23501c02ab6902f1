//! Which folders are watched for a set of files, and what their events mean.
use super::walk::{Walk, is_hidden, is_manifest};
use inotify::EventMask;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

/// As many links in links as the kernel follows.
const MAX_LINKS: usize = 40;

/// Which events of a folder matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// It holds manifests, and was found by these paths.
    manifests: BTreeSet<PathBuf>,
    /// Entries that something else is found by: links, what they lead to, a named file.
    entries: BTreeSet<OsString>,
}

/// What an event says of a set of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Nothing,
    /// Something is over that was no manifest.
    Passed,
    /// This may be another file; what is no file may be anything.
    File(PathBuf),
    Anything,
}

impl Interest {
    fn manifests(folder: &Path) -> Self {
        Self { manifests: [folder.to_owned()].into(), entries: BTreeSet::new() }
    }

    fn entry(name: OsString) -> Self {
        Self { manifests: BTreeSet::new(), entries: [name].into() }
    }

    /// That of one folder, where paths lead to it in several ways.
    pub(super) fn join(&mut self, other: Self) {
        self.manifests.extend(other.manifests);
        self.entries.extend(other.entries);
    }

    /// What an event says that is about an entry of the folder.
    pub(super) fn meaning(&self, name: &OsStr, mask: EventMask) -> Meaning {
        let only_content = EventMask::MODIFY | EventMask::CLOSE_WRITE | EventMask::ATTRIB;
        let gone = EventMask::DELETE | EventMask::MOVED_FROM;
        if self.entries.contains(name) {
            return Meaning::Anything;
        }
        let mut folders = self.manifests.iter();
        let (folder, others) = (folders.next(), folders.next());
        let Some(folder) = folder.filter(|_| !is_hidden(name)) else { return Meaning::Nothing };
        if mask.contains(EventMask::ISDIR) {
            return Meaning::Anything;
        }
        match is_manifest(name) {
            // By which path it would be found is not known.
            true if others.is_some() => Meaning::Anything,
            true => Meaning::File(folder.join(name)),
            false if mask.intersects(only_content) => Meaning::Nothing,
            // Links are among the entries: it was none.
            false if mask.intersects(gone) => Meaning::Passed,
            // It may be a link to a folder.
            false => Meaning::File(folder.join(name)),
        }
    }
}

/// The folders whose changes can change the set of `paths`, as far as it was found.
pub(super) fn interests(walk: &Walk, paths: &[PathBuf]) -> BTreeMap<PathBuf, Interest> {
    let mut interests: BTreeMap<PathBuf, Interest> = BTreeMap::new();
    let mut add = |folder: PathBuf, interest: Interest| {
        interests.entry(folder).or_default().join(interest);
    };
    for folder in walk.folders.keys() {
        add(folder.clone(), Interest::manifests(folder));
    }
    // What else was found changes in its folder.
    for path in paths.iter().chain(&walk.links) {
        // And where a link on the way leads elsewhere; what it leads to changes there.
        let (links, end) = way(path);
        let real = fs::canonicalize(path).ok();
        for path in links.iter().chain([path, &end]).chain(&real) {
            if let Some((folder, name)) = nearest(path) {
                add(folder, Interest::entry(name));
            }
        }
    }
    interests
}

/// Every link on the way to what `path` leads to, each in its real folder; and that, or how far the
/// way leads.
fn way(path: &Path) -> (Vec<PathBuf>, PathBuf) {
    let (mut links, mut here) = (Vec::new(), PathBuf::new());
    let mut ahead = steps(path);
    while let Some(step) = ahead.pop() {
        // Links were followed: a step back is one.
        if step == ".." && here.file_name().is_some() {
            here.pop();
            continue;
        }
        here.push(step);
        if links.len() < MAX_LINKS
            && let Ok(to) = fs::read_link(&here)
        {
            links.push(here.clone());
            here.pop();
            ahead.extend(steps(&to));
        }
    }
    (links, here)
}

/// The last one first.
fn steps(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|step| step.as_os_str().to_owned()).collect()
}

/// The innermost folder on the way to `path` that exists, and the next step from there.
fn nearest(path: &Path) -> Option<(PathBuf, OsString)> {
    let mut path = path;
    loop {
        let name = path.file_name()?.to_owned();
        let parent = match path.parent()? {
            here if here.as_os_str().is_empty() => Path::new("."),
            parent => parent,
        };
        if parent.is_dir() {
            return Some((parent.to_owned(), name));
        }
        path = parent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn at(folder: &Path, name: &str) -> PathBuf {
        folder.join(name)
    }

    /// As the kubelet mounts a `ConfigMap`.
    #[test]
    fn every_link_on_the_way_is_known_and_where_the_way_ends() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir(at(&folder, "..1")).unwrap();
        fs::write(at(&folder, "..1/all.yaml"), "").unwrap();
        symlink("..1", at(&folder, "..data")).unwrap();
        symlink("..data/all.yaml", at(&folder, "all.yaml")).unwrap();
        let known = way(&at(&folder, "all.yaml"));
        let links = ["all.yaml", "..data"].map(|name| at(&folder, name));
        assert_eq!(known, (links.to_vec(), at(&folder, "..1/all.yaml")));
        // As far as the way leads, and not in circles.
        fs::remove_file(at(&folder, "..1/all.yaml")).unwrap();
        assert_eq!(way(&at(&folder, "all.yaml")), known);
        symlink(at(&folder, "round"), at(&folder, "round")).unwrap();
        assert_eq!(way(&at(&folder, "round/x")).0.len(), MAX_LINKS);
        assert_eq!(way(Path::new("/proc/../proc/./self/..")).1, Path::new("/proc"));
        assert_eq!(way(Path::new("../x")), (Vec::new(), "../x".into()));
    }

    #[test]
    fn only_what_can_be_nothing_but_a_file_is_a_file() {
        let mut interest = Interest::manifests(Path::new("/m"));
        interest.join(Interest::entry("..data".into()));
        interest.join(Interest::entry("link.yaml".into()));
        let file = |name: &str| Meaning::File(Path::new("/m").join(name));
        for (name, mask, meaning) in [
            ("a.yaml", EventMask::MODIFY, file("a.yaml")),
            ("a.yaml", EventMask::DELETE, file("a.yaml")),
            ("a.yaml", EventMask::MOVED_TO, file("a.yaml")),
            ("a.yaml", EventMask::DELETE | EventMask::ISDIR, Meaning::Anything),
            ("link.yaml", EventMask::MODIFY, Meaning::Anything),
            ("..data", EventMask::MOVED_TO, Meaning::Anything),
            (".a.yaml.swp", EventMask::CREATE, Meaning::Nothing),
            ("notes", EventMask::MODIFY, Meaning::Nothing),
            ("notes", EventMask::MOVED_FROM, Meaning::Passed),
            ("notes", EventMask::MOVED_TO, file("notes")),
        ] {
            assert_eq!(interest.meaning(OsStr::new(name), mask), meaning, "{name} {mask:?}");
        }
        interest.join(Interest::manifests(Path::new("/same")));
        assert_eq!(
            interest.meaning(OsStr::new("a.yaml"), EventMask::MODIFY),
            Meaning::Anything,
            "nobody says by which path"
        );
    }
}
