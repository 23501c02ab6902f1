//! The plugin in the runtime's list: put there, and again whenever somebody rewrites the list.
use culvert_cni::{
    chain::Entry,
    install::{self, Chained, InstallError, Places},
};
use culvert_runtime::drain::Worker;
use culvert_telemetry::chain::Chain;
use futures_core::Stream as _;
use inotify::{EventStream, Inotify, WatchMask};
use std::{
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};
use tokio::{sync::watch, time};
use tracing::{info, warn};

/// A change is over when nothing happened for this long.
const SETTLED: Duration = Duration::from_millis(100);

/// How often a folder is looked at of which nothing is heard, and what failed is tried again.
const LOOK: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(5);

/// The program that is put into the folder of plugins.
const OWN: &str = "/proc/self/exe";

/// What is to be installed where.
#[derive(Clone, Debug)]
pub(super) struct Installs {
    pub(super) places: Places,
    pub(super) entry: Entry,
    pub(super) run_dir: PathBuf,
}

/// What was said last, so that it is said once.
#[derive(Default, PartialEq, Eq)]
struct Said {
    error: Option<String>,
    faults: Vec<String>,
    waits: bool,
}

impl Installs {
    /// Installs, and keeps it so until the worker finishes; not before `listed`, since from then on
    /// the list may be asked.
    pub(super) fn keep(self, listed: watch::Receiver<bool>, worker: &Worker) {
        let own = worker.clone();
        worker.spawn(async move {
            tokio::select! {
                () = own.finishing() => {}
                () = self.follow(listed) => {}
            }
        });
    }

    async fn follow(self, mut listed: watch::Receiver<bool>) {
        let mut said = Said::default();
        self.leave_former(&mut said).await;
        if self.places == Places::default() || listed.wait_for(|listed| *listed).await.is_err() {
            return;
        }
        while let Err(error) = self.clone().off_thread(Self::put_program).await {
            said.error(&error);
            time::sleep(RETRY).await;
        }
        let Some(folder) = self.places.conf_dir.clone() else { return };
        loop {
            // Watched before it is looked at: a change in between is seen.
            let mut watch = watch(&folder);
            let pause = match self.clone().off_thread(Self::put_entry).await {
                Ok(chained) => {
                    said.chained(&folder, &chained);
                    LOOK
                }
                Err(error) => {
                    said.error(&error);
                    RETRY
                }
            };
            tokio::select! {
                () = changed(&mut watch) => {}
                () = time::sleep(pause) => {}
            }
        }
    }

    /// Takes the entry out of a folder that is not the settings' any more, and keeps where things
    /// are for whoever uninstalls.
    async fn leave_former(&self, said: &mut Said) {
        let done = self.clone().off_thread(|own| {
            let former = Places::recorded(&own.run_dir);
            if former.conf_dir != own.places.conf_dir
                && let Some(folder) = &former.conf_dir
            {
                install::take_entry(folder, &own.entry.instance)?;
            }
            own.places.record(&own.run_dir).map_err(|source| InstallError::Io {
                what: "write",
                path: own.run_dir.clone(),
                source,
            })
        });
        if let Err(error) = done.await {
            said.error(&error);
        }
    }

    fn put_program(self) -> Result<(), InstallError> {
        let Some(folder) = &self.places.bin_dir else { return Ok(()) };
        if install::put_program(Path::new(OWN), folder)? {
            info!(folder = %folder.display(), "the CNI plugin is installed");
        }
        Ok(())
    }

    fn put_entry(self) -> Result<Chained, InstallError> {
        match &self.places.conf_dir {
            Some(folder) => install::put_entry(folder, &self.entry),
            None => Ok(Chained::default()),
        }
    }

    async fn off_thread<T: Send + 'static>(
        self,
        work: fn(Self) -> Result<T, InstallError>,
    ) -> Result<T, InstallError> {
        let path = self.run_dir.clone();
        let done = tokio::task::spawn_blocking(move || work(self)).await;
        done.unwrap_or_else(|error| {
            Err(InstallError::Io { what: "install from", path, source: io::Error::other(error) })
        })
    }
}

impl Said {
    fn error(&mut self, error: &InstallError) {
        let text = Chain(error).to_string();
        if self.error.as_ref() != Some(&text) {
            warn!(
                error = text,
                next = error.next(),
                "the CNI plugin is not installed: new pods are captured only after they have started"
            );
            self.error = Some(text);
        }
    }

    fn chained(&mut self, folder: &Path, chained: &Chained) {
        self.error = None;
        let faults =
            chained.faults.iter().map(|(file, fault)| format!("{}: {fault}", file.display()));
        let faults: Vec<_> = faults.collect();
        for fault in faults.iter().filter(|fault| !self.faults.contains(fault)) {
            warn!(fault, "a CNI configuration that the plugin cannot be put into");
        }
        self.faults = faults;
        match &chained.file {
            Some(file) if chained.changed || self.waits => {
                self.waits = false;
                info!(file = %file.display(), "the CNI plugin is in the list of plugins");
            }
            Some(_) => {}
            None if !self.waits => {
                self.waits = true;
                info!(folder = %folder.display(), "no CNI is configured yet: the plugin waits for one");
            }
            None => {}
        }
    }
}

/// Notices what happens in the folder; `None` where it cannot be watched, which is tried again.
fn watch(folder: &Path) -> Option<EventStream<Vec<u8>>> {
    let mask = WatchMask::CLOSE_WRITE
        | WatchMask::MOVE
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR;
    let inotify = Inotify::init().ok()?;
    inotify.watches().add(folder, mask).ok()?;
    inotify.into_event_stream(vec![0; 4096]).ok()
}

/// Waits until something happened and is over.
async fn changed(watch: &mut Option<EventStream<Vec<u8>>>) {
    let Some(events) = watch else { return std::future::pending().await };
    if next(events).await.is_none() {
        return;
    }
    while let Ok(Some(())) = time::timeout(SETTLED, next(events)).await {}
}

async fn next(events: &mut EventStream<Vec<u8>>) -> Option<()> {
    let read = poll_fn(|cx| Pin::new(&mut *events).poll_next(cx)).await;
    read?.ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_runtime::drain::Drain;
    use std::fs;

    const LIST: &str = r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge"}]}"#;

    async fn until(what: impl Fn() -> bool) {
        while !what() {
            time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_list_that_is_rewritten_gets_the_entry_again() {
        let dir = tempfile::tempdir().unwrap();
        let conf_dir = dir.path().join("net.d");
        fs::create_dir(&conf_dir).unwrap();
        let installs = Installs {
            places: Places { bin_dir: None, conf_dir: Some(conf_dir.clone()) },
            entry: Entry {
                instance: "node".to_owned(),
                socket: "/a".into(),
                enrolled: "/b".into(),
            },
            run_dir: dir.path().to_owned(),
        };
        let drain = Drain::default();
        let (_listed, told) = watch::channel(true);
        installs.keep(told, &drain.worker());
        // A CNI comes later than the node, and rewrites its file when it is updated.
        let list = conf_dir.join("10-pods.conflist");
        for text in [LIST.to_owned(), LIST.replace("bridge", "ptp")] {
            fs::write(conf_dir.join("beside"), &text).unwrap();
            fs::rename(conf_dir.join("beside"), &list).unwrap();
            let chained = || {
                let now = fs::read_to_string(&list).unwrap();
                now != text && now.contains("culvert-cni")
            };
            time::timeout(Duration::from_secs(10), until(chained)).await.unwrap();
        }
        assert_eq!(Places::recorded(dir.path()).conf_dir.as_deref(), Some(&*conf_dir));
        drain.drain(Duration::from_secs(5)).await;
    }
}
