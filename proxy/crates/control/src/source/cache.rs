//! Files that did not change are not read again.
use crate::{object::Objects, problem::Problem};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    fs::{self, Metadata},
    hash::{BuildHasher as _, RandomState},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A file that changed so lately may change once more without its times telling.
const FRESH: Duration = Duration::from_secs(1);

/// What files held when they were read last.
#[derive(Debug, Default)]
pub(super) struct Cache {
    files: Mutex<HashMap<PathBuf, Read>>,
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct Read {
    /// `None`: look into it again.
    stamp: Option<Stamp>,
    /// Of the bytes.
    hash: u64,
    objects: Objects,
    problems: Vec<Problem>,
}

/// What differs once a file was written to, or is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Cache {
    /// The objects of a file; `read` reads its bytes.
    pub(super) fn parse(
        &self,
        path: &Path,
        read: impl FnOnce(fs::File) -> io::Result<Vec<u8>>,
    ) -> io::Result<(Objects, Vec<Problem>)> {
        let known = self.files.lock().get(path).cloned();
        if let Some(known) = &known
            && known.stamp.is_some()
            && known.stamp == Some(Stamp::of(&fs::metadata(path)?))
        {
            return Ok((known.objects.clone(), known.problems.clone()));
        }
        let file = fs::File::open(path)?;
        // Before it is read: what is written meanwhile changes the times again.
        let stamp = Stamp::of(&file.metadata()?);
        let is_fresh = stamp.age().is_none_or(|age| age < FRESH);
        let bytes = read(file)?;
        let hash = self.hasher.hash_one(&bytes);
        let stamp = (!is_fresh).then_some(stamp);
        let read = match known {
            Some(known) if known.hash == hash => Read { stamp, ..known },
            Some(_) | None => {
                let (objects, problems) = Objects::parse(&path.display().to_string(), &bytes);
                Read { stamp, hash, objects, problems }
            }
        };
        self.files.lock().insert(path.to_owned(), read.clone());
        Ok((read.objects, read.problems))
    }

    /// Forgets all files but these.
    pub(super) fn retain(&self, files: &[PathBuf]) {
        let kept: HashSet<&Path> = files.iter().map(PathBuf::as_path).collect();
        self.files.lock().retain(|path, _| kept.contains(path.as_path()));
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// How long ago it changed; `None`: the clock says in the future.
    fn age(&self) -> Option<Duration> {
        let seconds = self.changed.0.max(self.modified.0);
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?);
        SystemTime::now().duration_since(changed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read as _, sync::Arc};

    fn pods(cache: &Cache, path: &Path) -> Vec<Arc<crate::object::pod::Pod>> {
        let read = |file: fs::File| io::BufReader::new(file).bytes().collect();
        cache.parse(path, read).unwrap().0.pods
    }

    /// Whether the times tell or not, the same text is the same object, and another text another.
    #[test]
    fn what_did_not_change_is_the_same_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pod.yaml");
        let pod = |name: &str| format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}}}");
        let cache = Cache::default();
        fs::write(&path, pod("a")).unwrap();
        let first = pods(&cache, &path);
        let again = pods(&cache, &path);
        assert!(Arc::ptr_eq(&first[0], &again[0]));
        // As long, and perhaps within one tick of the file system's clock.
        fs::write(&path, pod("b")).unwrap();
        assert_eq!(&*pods(&cache, &path)[0].meta.name.name, "b");
        let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(&*pods(&cache, &path)[0].meta.name.name, "b");
        cache.retain(&[]);
        assert!(cache.files.lock().is_empty());
    }
}
