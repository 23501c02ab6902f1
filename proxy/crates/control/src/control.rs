//! The running control plane: reads, compiles, publishes, and again on every change.
use crate::{
    compile::{Compiled, Settings, compile},
    problem::Problem,
    source::{files::Files, watch::Watch},
    status::{Counts, Refused, SkippedKind, Status, skipped_kinds, unix_ms},
};
use culvert_model::{pod::LocalPods, snapshot::Snapshot};
use culvert_runtime::{drain::Worker, publish::Publisher};
use std::{fmt, io, path::PathBuf, sync::Arc, time::SystemTime};
use tokio::sync::watch;
use tracing::{info, warn};

/// More lines than this on one change say no more; the status has them all.
const MAX_LOGGED: usize = 50;

/// A handle on the running control plane.
#[derive(Clone, Debug)]
pub struct Control {
    status: watch::Receiver<Arc<Status>>,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Manifests(Problems),
    #[error("cannot watch manifests for changes")]
    Watch(#[source] io::Error),
}

/// Everything that is wrong with a set of manifests, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// The task that keeps what is published true to the files.
struct Keeper {
    files: Files,
    settings: Settings,
    snapshots: Publisher<Snapshot>,
    local: Publisher<LocalPods>,
    /// What was published last.
    published: Compiled,
    status: watch::Sender<Arc<Status>>,
}

/// A set of files, read and compiled.
struct Loaded {
    compiled: Compiled,
    counts: Counts,
    skipped: Vec<SkippedKind>,
}

impl Control {
    /// Reads `paths`, publishes what they mean, and follows their changes until the drain.
    ///
    /// Returns when the first set is published. Both publishers publish together.
    ///
    /// # Errors
    ///
    /// When the first set has problems, all of them; a later one that has is refused, and what was
    /// published stays.
    pub async fn start(
        paths: &[PathBuf],
        settings: Settings,
        snapshots: Publisher<Snapshot>,
        local: Publisher<LocalPods>,
        worker: &Worker,
    ) -> Result<Self, StartError> {
        let files = Files::open(paths).map_err(StartError::manifests)?;
        // Watched before it is read: a change in between is seen.
        let watch = Watch::start(files.clone()).map_err(StartError::Watch)?;
        let loaded = load(files.clone(), settings.clone()).await.map_err(StartError::manifests)?;
        let (status, handle) = watch::channel(Arc::new(Status {
            generation: 0,
            since_unix_ms: 0,
            counts: Counts::default(),
            notes: Vec::new(),
            skipped: Vec::new(),
            refused: None,
        }));
        let published = Compiled::default();
        let mut keeper = Keeper { files, settings, snapshots, local, published, status };
        keeper.accept(loaded);
        let owner = worker.clone();
        worker.spawn(async move { keeper.follow(watch, &owner).await });
        Ok(Self { status: handle })
    }

    /// What is in force now.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// Waits for the next word on a change: it is in force, or refused. `None` after the drain.
    ///
    /// Cancel safe.
    pub async fn changed(&mut self) -> Option<Arc<Status>> {
        self.status.changed().await.ok()?;
        Some(Arc::clone(&self.status.borrow_and_update()))
    }
}

impl Keeper {
    async fn follow(&mut self, mut watch: Watch, owner: &Worker) {
        loop {
            tokio::select! {
                biased;
                () = owner.finishing() => return,
                () = watch.changed() => {}
            }
            match load(self.files.clone(), self.settings.clone()).await {
                Ok(loaded) => self.accept(loaded),
                Err(problems) => self.refuse(problems),
            }
        }
    }

    fn accept(&mut self, loaded: Loaded) {
        let Loaded { compiled, counts, skipped } = loaded;
        let before = self.status.borrow().clone();
        let is_first = before.generation == 0;
        tell_notes(&compiled.notes, &before.notes);
        tell_skipped(&skipped, &before.skipped);
        let mut status = Status {
            counts,
            skipped,
            notes: compiled.notes.clone(),
            refused: None,
            ..Status::clone(&before)
        };
        let Compiled { snapshot, local, notes: _ } = &compiled;
        let is_new = (snapshot, local) != (&self.published.snapshot, &self.published.local);
        if is_first || is_new {
            // Names before pods: a pod's first connection finds its workload.
            let generation = self.snapshots.publish(snapshot.clone());
            self.local.publish(local.clone());
            status.generation = generation.number();
            status.since_unix_ms = unix_ms(SystemTime::now());
            let Counts { namespaces, pods, local, skipped } = counts;
            let generation = generation.number();
            info!(generation, namespaces, pods, local, skipped, "manifests in force");
        }
        self.published = compiled;
        self.status.send_replace(Arc::new(status));
    }

    fn refuse(&self, problems: Vec<Problem>) {
        for problem in problems.iter().take(MAX_LOGGED) {
            warn!("{}", problem.in_one_line());
        }
        warn!(problems = problems.len(), "change of manifests refused, the state before it stays");
        let refused = Refused { at_unix_ms: unix_ms(SystemTime::now()), problems };
        let before = self.status.borrow().clone();
        let status = Status { refused: Some(refused), ..Status::clone(&before) };
        self.status.send_replace(Arc::new(status));
    }
}

impl StartError {
    fn manifests(problems: Vec<Problem>) -> Self {
        Self::Manifests(Problems(problems))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| writeln!(f, "{problem}"))?;
        match self.0.len() {
            1 => f.write_str("1 problem in the manifests"),
            many => write!(f, "{many} problems in the manifests"),
        }
    }
}

/// Off the runtime's thread: a large set takes a while.
async fn load(files: Files, settings: Settings) -> Result<Loaded, Vec<Problem>> {
    let load = move || {
        let objects = files.load()?;
        let compiled = compile(&objects, &settings)?;
        let counts = Counts {
            namespaces: objects.namespaces.len(),
            pods: objects.pods.len(),
            local: compiled.local.pods.len(),
            skipped: objects.skipped.len(),
        };
        Ok(Loaded { compiled, counts, skipped: skipped_kinds(&objects) })
    };
    let loaded = tokio::task::spawn_blocking(load).await;
    loaded.unwrap_or_else(|error| {
        Err(vec![Problem::of_file("<manifests>", format!("reading them ended early: {error}"))])
    })
}

/// Logs each warning once, not at every change of something else.
fn tell_notes(notes: &[Problem], before: &[Problem]) {
    let new = notes.iter().filter(|note| !before.contains(note));
    for note in new.take(MAX_LOGGED) {
        warn!("{}", note.in_one_line());
    }
}

/// Logs each kind that is not used once: who wrote it may wait for what it asks for.
fn tell_skipped(skipped: &[SkippedKind], before: &[SkippedKind]) {
    let is_new = |kind: &SkippedKind| {
        before.iter().all(|b| (&b.api_version, &b.kind) != (&kind.api_version, &kind.kind))
    };
    for SkippedKind { api_version, kind, because, objects, first } in
        skipped.iter().filter(|kind| is_new(kind)).take(MAX_LOGGED)
    {
        info!(objects, first, "skipped {api_version} {kind}: {because}");
    }
}
