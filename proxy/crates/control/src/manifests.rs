//! Manifests, read and compiled, and again on every change.
use crate::{
    compile::{
        Settings,
        incremental::{Changes, Compiler},
        mesh::Mesh,
    },
    control::StartError,
    problem::Problem,
    source::{files::Files, watch::Watch},
    status::{Counts, Refused, SkippedKind, Status, skipped_kinds, unix_ms},
};
use parking_lot::Mutex;
use std::{fmt, path::PathBuf, sync::Arc, time::SystemTime};
use tokio::sync::watch;
use tracing::{info, warn};

/// More lines than this on one change say no more; the status has them all.
const MAX_LOGGED: usize = 50;

/// Everything that is wrong with a set of manifests, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// What the manifests mean, and what became of their last change.
#[derive(Debug)]
pub(crate) struct Manifests {
    files: Files,
    settings: Settings,
    compiler: Arc<Mutex<Compiler>>,
    /// What was told of last, where the compiler does not know it any more.
    lost: Option<Mesh>,
    status: watch::Sender<Arc<Status>>,
}

/// A set of files, read and compiled.
struct Loaded {
    changes: Changes,
    notes: Vec<Problem>,
    counts: Counts,
    skipped: Vec<SkippedKind>,
}

impl Manifests {
    /// Reads `paths`; what comes with it are the means to know of changes, and all that there is.
    ///
    /// # Errors
    ///
    /// When they have problems, all of them.
    pub(crate) async fn open(
        paths: &[PathBuf],
        settings: Settings,
    ) -> Result<(Self, Watch, Changes), StartError> {
        let wrong = |problems| StartError::Manifests(Problems(problems));
        let files = Files::open(paths).map_err(wrong)?;
        // Watched before it is read: a change in between is seen.
        let watch = Watch::start(files.clone()).map_err(StartError::Watch)?;
        let (status, _) = watch::channel(Arc::default());
        let compiler = Arc::new(Mutex::new(Compiler::new(settings.clone())));
        let mut manifests = Self { files, settings, compiler, lost: None, status };
        let loaded = manifests.load().await.map_err(wrong)?;
        let changes = manifests.accept(loaded, true);
        Ok((manifests, watch, changes))
    }

    pub(crate) fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.subscribe()
    }

    /// Looks at what is in force.
    pub(crate) fn with_mesh<T>(&self, look: impl FnOnce(&Mesh) -> T) -> T {
        look(self.compiler.lock().mesh())
    }

    /// Reads them again; `None` when they have problems: everything stays as it was.
    pub(crate) async fn reload(&mut self) -> Option<Changes> {
        match self.load().await {
            Ok(loaded) => Some(self.accept(loaded, false)),
            Err(problems) => {
                self.refuse(problems);
                None
            }
        }
    }

    /// Off the runtime's thread: a large set takes a while.
    async fn load(&mut self) -> Result<Loaded, Vec<Problem>> {
        let (files, compiler) = (self.files.clone(), Arc::clone(&self.compiler));
        let load = move || {
            let objects = files.load()?;
            let mut compiler = compiler.lock();
            let changes = compiler.apply(&objects)?;
            let counts = Counts {
                namespaces: objects.namespaces.len(),
                pods: objects.pods.len(),
                local: compiler.mesh().local.pods.len(),
                skipped: objects.skipped.len(),
            };
            let (notes, skipped) = (compiler.mesh().notes.clone(), skipped_kinds(&objects));
            Ok(Loaded { changes, notes, counts, skipped })
        };
        match tokio::task::spawn_blocking(load).await {
            Ok(Ok(loaded)) => Ok(self.since_lost(loaded)),
            Ok(Err(problems)) => Err(problems),
            Err(error) => {
                // It may have stopped half way: it begins anew.
                let lost = std::mem::replace(
                    &mut *self.compiler.lock(),
                    Compiler::new(self.settings.clone()),
                );
                self.lost.get_or_insert(lost.into_mesh());
                let why = format!("reading them ended early: {error}");
                Err(vec![Problem::of_file("<manifests>", why)])
            }
        }
    }

    /// What a compiler that began anew tells is everything: what is not in it is gone.
    fn since_lost(&mut self, mut loaded: Loaded) -> Loaded {
        let Some(lost) = self.lost.take() else { return loaded };
        let Changes { config, local, members, services, policies, closing } = &mut loaded.changes;
        (*config, *local) = (true, true);
        lost.members.into_keys().for_each(|uid| _ = members.entry(uid).or_insert(None));
        lost.services.into_keys().for_each(|name| _ = services.entry(name).or_insert(None));
        lost.policies.into_keys().for_each(|name| _ = policies.entry(name).or_insert(None));
        lost.closing.into_keys().for_each(|name| _ = closing.entry(name).or_insert(None));
        loaded
    }

    fn accept(&mut self, loaded: Loaded, is_first: bool) -> Changes {
        let Loaded { changes, notes, counts, skipped } = loaded;
        let before = Arc::clone(&self.status.borrow());
        tell_notes(&notes, &before.notes);
        tell_skipped(&skipped, &before.skipped);
        let mut status = Status { counts, skipped, notes, refused: None, ..Status::clone(&before) };
        if is_first || changes != Changes::default() {
            status.generation += 1;
            status.since_unix_ms = unix_ms(SystemTime::now());
            let (generation, Counts { namespaces, pods, local, skipped }) =
                (status.generation, counts);
            info!(generation, namespaces, pods, local, skipped, "manifests in force");
        }
        self.status.send_replace(Arc::new(status));
        changes
    }

    fn refuse(&self, problems: Vec<Problem>) {
        for problem in problems.iter().take(MAX_LOGGED) {
            warn!("{}", problem.in_one_line());
        }
        warn!(problems = problems.len(), "change of manifests refused, the state before it stays");
        let refused = Refused { at_unix_ms: unix_ms(SystemTime::now()), problems };
        let before = Arc::clone(&self.status.borrow());
        let status = Status { refused: Some(refused), ..Status::clone(&before) };
        self.status.send_replace(Arc::new(status));
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
