//! Notices that manifests changed, by inotify.
//!
//! Folders are watched, not files: an editor that saves by renaming, Kubernetes swapping the
//! `..data` link of a mounted `ConfigMap`, a folder that goes and comes back are all seen there.
use super::{
    deaf::Deaf,
    files::Files,
    settle::{Change, Pace, Settle},
    walk::{Walk, is_manifest},
};
use culvert_runtime::dice::dice;
use futures_core::Stream as _;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsString,
    fmt, fs,
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    time::Instant,
};
use tokio::time;
use tracing::warn;

/// Room for some hundred events; more wait in the kernel.
const BUFFER: usize = 16 << 10;

/// How often folders may appear while they are being watched before the rest is left to the next
/// change.
const MAX_ROUNDS: usize = 8;

/// Watches the folders of a set of files.
pub struct Watch {
    events: EventStream<Box<[u8]>>,
    files: Files,
    watched: HashMap<WatchDescriptor, Interest>,
    settle: Settle<(WatchDescriptor, OsString)>,
    deaf: Deaf,
}

/// Which events of a folder matter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Interest {
    /// It holds manifests.
    Manifests,
    /// Some of its entries lead to manifests: a named file, a folder, a target of a link.
    Entries(BTreeSet<OsString>),
}

impl Watch {
    /// Starts watching; every change from now on is noticed.
    ///
    /// # Errors
    ///
    /// When the kernel gives no inotify instance. A folder that cannot be watched is logged: the
    /// others still are.
    pub fn start(files: Files) -> io::Result<Self> {
        let mut watch = Self {
            events: Inotify::init()?.into_event_stream(vec![0; BUFFER].into())?,
            files,
            watched: HashMap::new(),
            settle: Settle::new(Pace::FILES),
            deaf: Deaf::new(),
        };
        watch.arm();
        Ok(watch)
    }

    /// Waits until something changed and the change is over.
    ///
    /// Cancel safe.
    pub async fn changed(&mut self) {
        loop {
            if let Some(until) = self.deaf.until() {
                // What changed meanwhile must not be lost.
                time::sleep_until(until.into()).await;
                self.deaf.looked();
                break;
            }
            let read = match self.settle.deadline() {
                None => self.read().await,
                Some(deadline) => {
                    let Ok(read) = time::timeout_at(deadline.into(), self.read()).await else {
                        break;
                    };
                    read
                }
            };
            match read {
                Ok(event) => {
                    self.deaf.heard();
                    self.note(event);
                }
                Err(error) => {
                    warn!(%error, "cannot read changes of manifests");
                    self.deaf.failed(Instant::now(), dice());
                }
            }
        }
        // Before the files are read: what changes while they are is another change.
        self.arm();
        self.settle.settled();
    }

    async fn read(&mut self) -> io::Result<EventOwned> {
        let read = poll_fn(|cx| Pin::new(&mut self.events).poll_next(cx)).await;
        read.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    fn note(&mut self, event: EventOwned) {
        let EventOwned { wd, mask, cookie: _, name } = event;
        let now = Instant::now();
        if mask.contains(EventMask::Q_OVERFLOW) {
            return self.settle.happened(now);
        }
        let Some(interest) = self.watched.get(&wd) else { return };
        let Some(name) = name else {
            // The folder itself was moved or deleted.
            return self.settle.happened(now);
        };
        if interest.covers(&name, mask) {
            self.settle.change((wd, name), change(mask), now);
        }
    }

    /// Watches every folder that matters now, and no other.
    fn arm(&mut self) {
        let mut wanted = BTreeMap::new();
        for _ in 0..MAX_ROUNDS {
            let found = interests(&self.files);
            if found == wanted {
                break;
            }
            // A folder may have appeared in one that was not watched yet: look once more.
            self.watch(&found);
            wanted = found;
        }
    }

    fn watch(&mut self, wanted: &BTreeMap<PathBuf, Interest>) {
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MODIFY
            | WatchMask::ATTRIB
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let mut watches = self.events.watches();
        let mut watched: HashMap<_, Interest> = HashMap::new();
        for (folder, interest) in wanted {
            match watches.add(folder, mask) {
                Ok(watch) => match watched.remove(&watch) {
                    Some(before) => drop(watched.insert(watch, before.and(interest.clone()))),
                    None => drop(watched.insert(watch, interest.clone())),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    warn!(folder = %folder.display(), %error, "cannot watch a folder of manifests");
                }
            }
        }
        for gone in self.watched.keys().filter(|watch| !watched.contains_key(watch)) {
            // Fails when the folder is gone, and its watch with it.
            drop(watches.remove(gone.clone()));
        }
        self.watched = watched;
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl Interest {
    fn covers(&self, name: &OsString, mask: EventMask) -> bool {
        let only_content = EventMask::MODIFY | EventMask::CLOSE_WRITE | EventMask::ATTRIB;
        match self {
            Self::Entries(names) => names.contains(name),
            // Any name may be that of a folder or of a link to one; what is only written to is a
            // manifest or does not matter.
            Self::Manifests => {
                !mask.intersects(only_content)
                    || mask.contains(EventMask::ISDIR)
                    || is_manifest(name)
            }
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Entries(mut names), Self::Entries(more)) => {
                names.extend(more);
                Self::Entries(names)
            }
            (Self::Manifests, _) | (_, Self::Manifests) => Self::Manifests,
        }
    }
}

fn change(mask: EventMask) -> Change {
    let is_file = !mask.contains(EventMask::ISDIR);
    if is_file && mask.intersects(EventMask::MODIFY | EventMask::CREATE) {
        Change::Writing
    } else {
        Change::Done
    }
}

/// The folders whose changes can change the set.
fn interests(files: &Files) -> BTreeMap<PathBuf, Interest> {
    let walk = Walk::through(files.paths());
    let mut interests: BTreeMap<PathBuf, Interest> = BTreeMap::new();
    let mut add = |folder: PathBuf, interest: Interest| {
        let both = match interests.remove(&folder) {
            Some(before) => before.and(interest),
            None => interest,
        };
        interests.insert(folder, both);
    };
    for folder in &walk.folders {
        add(folder.clone(), Interest::Manifests);
    }
    // What else was found changes in its folder.
    for path in files.paths().chain(walk.links.iter().map(PathBuf::as_path)) {
        // What a link leads to changes elsewhere.
        let real = fs::canonicalize(path).ok();
        for path in real.as_deref().into_iter().chain([path]) {
            if let Some((folder, name)) = nearest(path) {
                add(folder, Interest::Entries([name].into()));
            }
        }
    }
    interests
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
