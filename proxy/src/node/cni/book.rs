//! The sandboxes that were handed over: one file each in the run folder, so that the next process
//! knows them too, whoever of two that take over from each other was asked.
use culvert_cni::{
    call::PodRef,
    message::Handed,
    replace::{Like, replace},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::watch;
use tracing::warn;

/// The folder's name in the run folder.
const FOLDER: &str = "cni";

/// What was handed over, by container; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    folder: PathBuf,
    sandboxes: Arc<Mutex<BTreeMap<String, Arc<Handed>>>>,
    changed: watch::Sender<()>,
}

impl Book {
    /// Opens that of a run folder, and reads what is in it.
    pub(crate) fn open(run_dir: &Path) -> Self {
        let book = Self {
            folder: run_dir.join(FOLDER),
            sandboxes: Arc::default(),
            changed: watch::Sender::new(()),
        };
        book.read();
        book
    }

    /// Reads what another process wrote meanwhile; who is gone with his namespace is forgotten.
    pub(crate) fn read(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut found = BTreeMap::new();
        for path in entries.map(|entry| entry.path()) {
            let read =
                fs::read(&path).and_then(|text| Ok(serde_json::from_slice::<Handed>(&text)?));
            match read {
                Ok(handed) if handed.is_sound() && handed.netns.exists() => {
                    found.insert(handed.container.clone(), Arc::new(handed));
                }
                Ok(_) => drop(fs::remove_file(&path)),
                // Half of one that was being written, or of a release that writes otherwise: the
                // pod is found by its processes.
                Err(error) => warn!(path = %path.display(), %error, "not a sandbox"),
            }
        }
        *self.sandboxes.lock() = found;
        self.changed.send_replace(());
    }

    /// Notes a sandbox.
    ///
    /// # Errors
    ///
    /// When it cannot be written down; it is noted all the same.
    pub(crate) async fn put(&self, handed: &Handed) -> io::Result<()> {
        let before =
            self.sandboxes.lock().insert(handed.container.clone(), Arc::new(handed.clone()));
        if before.is_some_and(|before| *before == *handed) {
            return Ok(());
        }
        self.changed.send_replace(());
        let (folder, path) = (self.folder.clone(), self.path(&handed.container));
        let text = serde_json::to_vec(handed)?;
        on_disk(move || {
            fs::create_dir_all(folder)?;
            replace(&path, &text, Like::PRIVATE)
        })
        .await
    }

    /// Forgets one that is gone.
    pub(crate) async fn remove(&self, container: &str) {
        self.retain(|other| other != container).await;
    }

    /// Forgets all others.
    pub(crate) async fn keep(&self, containers: &BTreeSet<String>) {
        self.retain(|container| containers.contains(container)).await;
    }

    /// The sandbox of a pod.
    pub(crate) fn of(&self, pod: &PodRef) -> Option<Arc<Handed>> {
        let sandboxes = self.sandboxes.lock();
        let same = |handed: &&Arc<Handed>| {
            let there = &handed.pod;
            (&there.namespace, &there.name) == (&pod.namespace, &pod.name)
                && (pod.uid.is_empty() || there.uid.is_empty() || pod.uid == there.uid)
        };
        sandboxes.values().find(same).map(Arc::clone)
    }

    /// Changes with every sandbox that comes or goes.
    pub(crate) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    async fn retain(&self, stays: impl Fn(&str) -> bool) {
        let gone: Vec<_> = {
            let mut sandboxes = self.sandboxes.lock();
            sandboxes.extract_if(.., |container, _| !stays(container)).collect()
        };
        if gone.is_empty() {
            return;
        }
        self.changed.send_replace(());
        let paths: Vec<_> = gone.iter().map(|(container, _)| self.path(container)).collect();
        let removed = on_disk(move || paths.into_iter().try_for_each(fs::remove_file)).await;
        if let Err(error) = removed {
            warn!(%error, "a sandbox that is gone stays written down");
        }
    }

    fn path(&self, container: &str) -> PathBuf {
        self.folder.join(format!("{container}.json"))
    }
}

/// Off the runtime's thread.
async fn on_disk(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(container: &str, name: &str, uid: &str, netns: &Path) -> Handed {
        Handed {
            container: container.to_owned(),
            netns: netns.to_owned(),
            interface: "eth0".to_owned(),
            pod: pod(name, uid),
            addresses: vec![[10, 0, 0, 2].into()],
        }
    }

    fn pod(name: &str, uid: &str) -> PodRef {
        PodRef { namespace: "shop".to_owned(), name: name.to_owned(), uid: uid.to_owned() }
    }

    #[tokio::test]
    async fn what_was_handed_over_outlives_the_process_and_not_its_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let (here, gone) = (dir.path().join("here"), dir.path().join("gone"));
        for path in [&here, &gone] {
            fs::write(path, "").unwrap();
        }
        let book = Book::open(dir.path());
        book.put(&handed("a", "cart", "1", &here)).await.unwrap();
        book.put(&handed("b", "web", "2", &gone)).await.unwrap();
        fs::remove_file(&gone).unwrap();
        let next = Book::open(dir.path());
        assert_eq!(next.of(&pod("cart", "1")).unwrap().netns, here);
        assert!(next.of(&pod("cart", "9")).is_none(), "another pod of that name");
        assert!(next.of(&pod("web", "2")).is_none());
        // It is made anew, and the former sandbox deleted after that.
        next.put(&handed("c", "cart", "1", dir.path())).await.unwrap();
        next.remove("a").await;
        assert_eq!(Book::open(dir.path()).of(&pod("cart", "1")).unwrap().container, "c");
        next.remove("c").await;
        assert!(Book::open(dir.path()).of(&pod("cart", "")).is_none());
    }

    #[tokio::test]
    async fn what_is_collected_is_forgotten_and_somebody_hears_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open(dir.path());
        let mut changed = book.changed();
        book.put(&handed("a", "cart", "1", dir.path())).await.unwrap();
        book.put(&handed("b", "web", "2", dir.path())).await.unwrap();
        changed.changed().await.unwrap();
        book.keep(&["b".to_owned()].into()).await;
        changed.changed().await.unwrap();
        assert!(book.of(&pod("cart", "1")).is_none() && book.of(&pod("web", "2")).is_some());
    }
}
