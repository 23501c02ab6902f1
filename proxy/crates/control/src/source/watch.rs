//! Notices that manifests changed, by inotify.
//!
//! Folders are watched, not files: an editor that saves by renaming, Kubernetes swapping the
//! `..data` link of a mounted `ConfigMap`, a folder that goes and comes back are all seen there.
use super::{
    deaf::Deaf,
    files::Files,
    interest::{Interest, Meaning, interests},
    kept::Dirty,
    settle::{Change, Pace, Settle},
    stamp::{Id, id},
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
    io, mem,
    path::{Path, PathBuf},
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::time;
use tracing::warn;

/// Room for some hundred events; more wait in the kernel.
const BUFFER: usize = 16 << 10;

/// How often folders may appear while they are being watched before the rest is left to the next
/// change.
const MAX_ROUNDS: usize = 8;

/// How long after files changed all the others are looked at, too: nothing is said of a file that
/// is written to by another name, or under something that was mounted there.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// Watches the folders of a set of files.
pub(crate) struct Watch {
    events: EventStream<Box<[u8]>>,
    paths: Vec<PathBuf>,
    watched: HashMap<WatchDescriptor, Interest>,
    /// The folders of the set, as they were when they were looked into.
    folders: BTreeMap<PathBuf, Id>,
    /// Whatever changes is heard of.
    hears_all: bool,
    /// What was heard of since the set was read.
    heard: Heard,
    settle: Settle<(WatchDescriptor, OsString)>,
    /// When all files are to be looked at.
    look_around: Option<Instant>,
    deaf: Deaf,
}

/// What events say that were heard.
#[derive(Debug)]
enum Heard {
    /// That these may be other files; what is no file may be anything.
    Of(BTreeSet<PathBuf>),
    Anything,
}

impl Watch {
    /// Starts watching; every change from now on is noticed. What comes with it is what there is.
    ///
    /// # Errors
    ///
    /// When the kernel gives no inotify instance. A folder that cannot be watched is logged: the
    /// others still are, and with each of their changes it is looked into.
    pub(crate) fn start(files: &Files) -> io::Result<(Self, Dirty)> {
        let mut watch = Self {
            events: Inotify::init()?.into_event_stream(vec![0; BUFFER].into())?,
            paths: files.paths.clone(),
            watched: HashMap::new(),
            folders: BTreeMap::new(),
            hears_all: false,
            heard: Heard::default(),
            settle: Settle::new(Pace::FILES),
            look_around: None,
            deaf: Deaf::new(),
        };
        let all = Dirty::All(watch.arm());
        Ok((watch, all))
    }

    /// Waits until something changed and the change is over; says what.
    ///
    /// Cancel safe.
    pub(crate) async fn changed(&mut self) -> Dirty {
        loop {
            self.settled().await;
            if let Some(dirty) = self.dirty() {
                return dirty;
            }
        }
    }

    /// Waits until whatever happens is over.
    async fn settled(&mut self) {
        loop {
            if let Some(until) = self.deaf.until() {
                // What changed meanwhile must not be lost.
                time::sleep_until(until.into()).await;
                self.deaf.looked();
                self.heard = Heard::Anything;
                return;
            }
            let burst = self.settle.deadline();
            match self.read_until(burst.or(self.look_around)).await {
                Some(Ok(event)) => {
                    self.deaf.heard();
                    self.note(event);
                }
                Some(Err(error)) => {
                    warn!(%error, "cannot read changes of manifests");
                    self.deaf.failed(Instant::now(), dice());
                }
                None if burst.is_some() => return,
                None => {
                    self.heard = Heard::Anything;
                    return;
                }
            }
        }
    }

    /// What may be another by what was heard. Before the files are read: what changes while they
    /// are is another change.
    fn dirty(&mut self) -> Option<Dirty> {
        self.settle.settled();
        match mem::take(&mut self.heard) {
            Heard::Of(paths) if self.hears_all && self.are_files(&paths) => {
                let manifests = paths.into_iter().filter(|path| is_manifest(path.as_os_str()));
                let manifests: BTreeSet<PathBuf> = manifests.collect();
                if manifests.is_empty() {
                    return None;
                }
                self.look_around.get_or_insert(Instant::now() + LOOK_AROUND);
                Some(Dirty::Files(manifests))
            }
            Heard::Of(_) | Heard::Anything => {
                self.look_around = None;
                Some(Dirty::All(self.arm()))
            }
        }
    }

    /// Whether these are files or gone, in folders that are still the ones that are watched.
    fn are_files(&self, paths: &BTreeSet<PathBuf>) -> bool {
        let folders: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        let is_same = |folder: &Path| {
            let known = self.folders.get(folder);
            fs::metadata(folder).is_ok_and(|found| known == Some(&id(&found)))
        };
        let is_file = |path: &PathBuf| match fs::symlink_metadata(path) {
            Ok(found) => found.is_file(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        paths.iter().all(is_file) && folders.into_iter().all(is_same)
    }

    /// `None`: nothing happened until then.
    async fn read_until(&mut self, deadline: Option<Instant>) -> Option<io::Result<EventOwned>> {
        let Some(deadline) = deadline else { return Some(self.read().await) };
        time::timeout_at(deadline.into(), self.read()).await.ok()
    }

    async fn read(&mut self) -> io::Result<EventOwned> {
        let read = poll_fn(|cx| Pin::new(&mut self.events).poll_next(cx)).await;
        read.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    fn note(&mut self, event: EventOwned) {
        let EventOwned { wd, mask, cookie: _, name } = event;
        let now = Instant::now();
        if mask.contains(EventMask::Q_OVERFLOW) {
            return self.happened(now);
        }
        let Some(interest) = self.watched.get(&wd) else { return };
        let Some(name) = name else {
            // The folder itself was moved or deleted.
            return self.happened(now);
        };
        match (interest.meaning(&name, mask), &mut self.heard) {
            (Meaning::Nothing, _) => return,
            (Meaning::File(path), Heard::Of(paths)) => _ = paths.insert(path),
            (Meaning::Anything, heard) => *heard = Heard::Anything,
            (Meaning::Passed, _) | (Meaning::File(_), Heard::Anything) => {}
        }
        self.settle.change((wd, name), change(mask), now);
    }

    /// Something happened that is no file's.
    fn happened(&mut self, now: Instant) {
        self.heard = Heard::Anything;
        self.settle.happened(now);
    }

    /// Watches every folder that matters now, and no other; gives what was found.
    fn arm(&mut self) -> Walk {
        let mut rounds = 1..MAX_ROUNDS;
        loop {
            let walk = Walk::through(&self.paths);
            let is_last = rounds.next().is_none();
            let Watched { is_new, all } = self.watch(interests(&walk, &self.paths));
            // Something may have appeared in a folder that was not watched yet: look once more.
            if is_new && !is_last {
                continue;
            }
            self.folders.clone_from(&walk.folders);
            self.hears_all = all && !is_new && walk.problems.is_empty();
            return walk;
        }
    }

    fn watch(&mut self, wanted: BTreeMap<PathBuf, Interest>) -> Watched {
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
        let (mut watched, mut all): (HashMap<_, Interest>, _) = (HashMap::new(), true);
        for (folder, interest) in wanted {
            match watches.add(&folder, mask) {
                Ok(watch) => watched.entry(watch).or_default().join(interest),
                Err(error) => {
                    all = false;
                    if error.kind() != io::ErrorKind::NotFound {
                        let folder = folder.display();
                        warn!(%folder, %error, "cannot watch a folder of manifests");
                    }
                }
            }
        }
        for gone in self.watched.keys().filter(|watch| !watched.contains_key(watch)) {
            // Fails when the folder is gone, and its watch with it.
            drop(watches.remove(gone.clone()));
        }
        let is_new = watched.keys().any(|watch| !self.watched.contains_key(watch));
        self.watched = watched;
        Watched { is_new, all }
    }
}

/// What came of watching folders.
struct Watched {
    /// One was not watched before.
    is_new: bool,
    /// No one is not.
    all: bool,
}

impl Default for Heard {
    fn default() -> Self {
        Self::Of(BTreeSet::new())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("watched", &self.watched).finish_non_exhaustive()
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

#[cfg(test)]
mod tests;
