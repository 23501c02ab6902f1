//! Manifests, read and compiled, and again on every change.
//!
//! Those of files are one set: a change with a problem is refused as a whole. Those of the
//! Kubernetes API come one by one, and hold each other up in nothing (`api`).
use crate::{
    compile::{
        Settings,
        http::{emit::scene::Scene, gateway_api},
        incremental::{Changes, Compiler},
        mesh::Mesh,
    },
    control::StartError,
    gateways::Gateways,
    problem::Problem,
    source::{
        Difference, Follow, News, Whence,
        documents::Documents,
        files::Files,
        kept::{Dirty, Kept},
        watch::Watch,
    },
    standing::Standing,
    status::{Counts, Refused, SkippedKind, Status, skipped_kinds, unix_ms},
};
use culvert_kubernetes::mirror::Chosen;
use culvert_model::name::ObjectName;
use culvert_runtime::drain::Worker;
use parking_lot::Mutex;
use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc, time::SystemTime};
use tell::{MAX_LOGGED, tell_notes, tell_skipped};
use tokio::sync::watch;
use tracing::{info, warn};

mod api;
mod tell;

/// Everything that is wrong with a set of manifests, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// What the manifests mean, and what became of their last change.
#[derive(Debug)]
pub(crate) struct Manifests {
    set: Set,
    settings: Settings,
    compiler: Arc<Mutex<Compiler>>,
    /// What was told of last, where the compiler does not know it any more.
    lost: Option<(Mesh, Scene)>,
    status: watch::Sender<Arc<Status>>,
    /// How each policy of the Kubernetes API stands.
    standings: watch::Sender<Arc<[Standing]>>,
    /// What is known of gateways of the Kubernetes API.
    gateways: watch::Sender<Arc<Gateways>>,
    /// Follows the Secrets, and the roots, of the Kubernetes API that objects name.
    secrets: Option<Chosen>,
}

/// What is read.
#[derive(Debug)]
enum Set {
    Files(Arc<Mutex<Kept>>),
    Api(Arc<Mutex<Documents>>),
}

/// A set of files, read and compiled.
#[derive(Default)]
struct Loaded {
    changes: Changes,
    notes: Vec<Problem>,
    counts: Counts,
    skipped: Vec<SkippedKind>,
    gateway_api: Arc<[gateway_api::status::Standing]>,
}

impl Manifests {
    /// Reads what there is; what comes with it are the means to know of changes, and all of it.
    ///
    /// # Errors
    ///
    /// When files have problems, all of them. Of the Kubernetes API everything is waited for.
    pub(crate) async fn open(
        whence: &Whence,
        settings: Settings,
        worker: &Worker,
    ) -> Result<(Self, Follow, Changes), StartError> {
        match whence {
            Whence::Files(paths) => {
                let (manifests, watch, changes) = Self::of_files(paths, settings).await?;
                Ok((manifests, Follow::Files(Box::new(watch)), changes))
            }
            Whence::Kubernetes(client) => {
                let (manifests, intake, changes) = Self::of_api(client, settings, worker).await;
                Ok((manifests, Follow::Api(intake), changes))
            }
        }
    }

    /// Reads `paths`; what comes with it are the means to know of changes, and all that there is.
    ///
    /// # Errors
    ///
    /// When they have problems, all of them.
    pub(crate) async fn of_files(
        paths: &[PathBuf],
        settings: Settings,
    ) -> Result<(Self, Watch, Changes), StartError> {
        let wrong = |problems| StartError::Manifests(Problems(problems));
        let files = Files::open(paths).map_err(wrong)?;
        // Watched before it is read: a change in between is seen.
        let (watch, all) = Watch::start(&files).map_err(StartError::Watch)?;
        let mut manifests = Self::of(Set::Files(Arc::new(Mutex::new(Kept::new(files)))), settings);
        let loaded = manifests.load(all).await.map_err(wrong)?;
        let changes = manifests.accept(loaded, true);
        Ok((manifests, watch, changes))
    }

    fn of(set: Set, settings: Settings) -> Self {
        let (status, _) = watch::channel(Arc::default());
        let (standings, _) = watch::channel([].into());
        let (gateways, _) = watch::channel(Arc::default());
        let compiler = Arc::new(Mutex::new(Compiler::new(settings.clone())));
        Self { set, settings, compiler, lost: None, status, standings, gateways, secrets: None }
    }

    pub(crate) fn standings(&self) -> watch::Receiver<Arc<[Standing]>> {
        self.standings.subscribe()
    }

    pub(crate) fn gateways(&self) -> watch::Receiver<Arc<Gateways>> {
        self.gateways.subscribe()
    }

    /// Where objects of the Kubernetes API are, if it is that.
    pub(crate) fn documents(&self) -> Option<Arc<Mutex<Documents>>> {
        match &self.set {
            Set::Files(_) => None,
            Set::Api(documents) => Some(Arc::clone(documents)),
        }
    }

    /// Who understands them; not to be held for long.
    pub(crate) fn compiler_of_api(&self) -> Option<Arc<Mutex<Compiler>>> {
        self.documents().map(|_| Arc::clone(&self.compiler))
    }

    pub(crate) fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.subscribe()
    }

    /// Looks at what is in force.
    pub(crate) fn with_mesh<T>(&self, look: impl FnOnce(&Mesh) -> T) -> T {
        look(self.compiler.lock().mesh())
    }

    /// Gateways that there are, by whichever API.
    pub(crate) fn gateway_names(&self) -> BTreeSet<ObjectName> {
        let compiler = self.compiler.lock();
        let plan = compiler.scene().plan();
        plan.gateways.keys().chain(plan.chosen.keys()).cloned().collect()
    }

    /// Takes a change in; `None` when it is refused: everything stays as it was.
    pub(crate) async fn take(&mut self, news: News) -> Option<Changes> {
        match news {
            News::Files(dirty) => self.reload(dirty).await,
            News::Api(events) => self.hear(events).await,
        }
    }

    /// Reads files that may be others; `None` when the set has problems: everything stays as it
    /// was.
    pub(crate) async fn reload(&mut self, dirty: Dirty) -> Option<Changes> {
        match self.load(dirty).await {
            Ok(loaded) => Some(self.accept(loaded, false)),
            Err(problems) => {
                self.refuse(problems);
                None
            }
        }
    }

    /// Off the runtime's thread: a large change takes a while.
    async fn load(&mut self, dirty: Dirty) -> Result<Loaded, Vec<Problem>> {
        let Set::Files(kept) = &self.set else { return Ok(Loaded::default()) };
        let (files, compiler) = (Arc::clone(kept), Arc::clone(&self.compiler));
        let load = move || {
            let mut kept = files.lock();
            kept.read(dirty);
            let Difference { gone, new } = kept.difference()?;
            let mut compiler = compiler.lock();
            let changes = compiler.change(&gone, &new, kept.skipped())?;
            kept.take();
            let counts = Counts { skipped: kept.skipped().count(), ..compiler.counts() };
            let (notes, skipped) = (compiler.mesh().notes.clone(), skipped_kinds(kept.skipped()));
            let gateway_api = Arc::clone(compiler.standings());
            Ok(Loaded { changes, notes, counts, skipped, gateway_api })
        };
        match tokio::task::spawn_blocking(load).await {
            Ok(Ok(loaded)) => {
                let changes = self.since_lost(loaded.changes);
                Ok(Loaded { changes, ..loaded })
            }
            Ok(Err(problems)) => Err(problems),
            Err(error) => {
                kept.lock().renew();
                self.lose();
                let why = format!("reading them ended early: {error}");
                Err(vec![Problem::of_file("<manifests>", why)])
            }
        }
    }

    /// The compiler may have stopped half way: it begins anew.
    fn lose(&mut self) {
        let new = Compiler::new(self.settings.clone());
        let lost = std::mem::replace(&mut *self.compiler.lock(), new);
        let scene = lost.scene().clone();
        self.lost.get_or_insert_with(|| (lost.into_mesh(), scene));
    }

    /// What a compiler that began anew tells is everything: what is not in it is gone.
    fn since_lost(&mut self, mut all: Changes) -> Changes {
        let Some((lost, scene)) = self.lost.take() else { return all };
        all.l7.extend(scene.without(self.compiler.lock().scene()));
        let Changes { config, local, members, expected, services, policies, closing, l7: _ } =
            &mut all;
        (*config, *local) = (true, true);
        lost.members.into_keys().for_each(|uid| _ = members.entry(uid).or_insert(None));
        lost.expected.into_keys().for_each(|uid| _ = expected.entry(uid).or_insert(None));
        lost.services.into_keys().for_each(|name| _ = services.entry(name).or_insert(None));
        lost.policies.into_keys().for_each(|name| _ = policies.entry(name).or_insert(None));
        lost.closing.into_keys().for_each(|name| _ = closing.entry(name).or_insert(None));
        all
    }

    fn accept(&mut self, loaded: Loaded, is_first: bool) -> Changes {
        let Loaded { changes, notes, counts, skipped, gateway_api: standings } = loaded;
        let before = Arc::clone(&self.status.borrow());
        tell_notes(&notes, &before.notes);
        tell_skipped(&skipped, &before.skipped);
        let (refused, before) = (None, Status::clone(&before));
        let mut status = Status { counts, skipped, notes, refused, standings, ..before };
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
