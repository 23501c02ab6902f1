//! Follows everything that a bootstrap names, and publishes what an engine runs with.
//!
//! One task settles what came and says who is to be asked for what; a task for each server of
//! discovery, and for each file, does the asking. What is held stays in force whatever ends.
use super::{
    assemble::{Assembler, Common, Decoded, Incoming, Now, Update},
    bootstrap::{self, Bootstrap},
    decode::{self, Around, Bootstrapped, Wrong},
    kind::Kind,
    references,
    stream::Wanted,
    wanted::Asked,
};
use crate::transport::upstream::{Bearer, Connect};
use culvert_model::http::{
    runtime::RuntimeLayer, secret::Secret, snapshot::Snapshot, source::GrpcTarget,
};
use culvert_proto::api::envoy::config::core::v3::Node;
use culvert_runtime::{alarm, drain::Worker, publish::Publisher};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};
use tokio::sync::{Notify, watch};

mod disk;

mod files;

mod given;

mod grpc;

mod own;

mod rest;

mod sources;

mod watch_files;

pub use watch_files::read as response;

/// How servers of discovery are reached.
pub trait Reach: Send + Sync + 'static {
    /// # Errors
    ///
    /// When there is no such cluster, or it cannot be used for this; with the reason.
    fn reach(&self, target: &GrpcTarget) -> Result<Way, String>;

    /// The secrets of such a server, if they are had here and nobody need be asked.
    fn own(&self, _target: &GrpcTarget) -> Option<watch::Receiver<Own>> {
        None
    }
}

/// Secrets by their names; none: they are not known yet.
pub type Own = BTreeMap<Arc<str>, Secret>;

/// The way to one.
#[derive(Clone)]
pub struct Way {
    pub connect: Connect,
    /// `host:port`, as requests name it.
    pub authority: Arc<str>,
    /// The token that is shown there.
    pub bearer: Option<Bearer>,
}

/// What runs; a clone is another handle of it.
#[derive(Clone)]
pub struct Discovery {
    shared: Arc<Shared>,
}

struct Shared {
    assembler: Mutex<Assembler>,
    changed: Notify,
    /// Told whenever everything that came has been looked at.
    settled: watch::Sender<()>,
    status: Mutex<BTreeMap<Asked, Status>>,
}

/// How it goes with one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub connected: bool,
    /// Why it failed last.
    pub error: Option<Arc<str>>,
    pub failures: u64,
}

/// What a source is asked for.
type Wants = BTreeMap<Kind, Wanted>;

/// What a task of a source has.
#[derive(Clone)]
struct Source {
    asked: Asked,
    shared: Arc<Shared>,
    wants: watch::Receiver<Wants>,
    node: Node,
    reach: Arc<dyn Reach>,
}

/// What is refused of the bootstrap's own resources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {wrong}")]
pub struct BadResource {
    /// `static_resources.clusters[2] (name)`
    pub place: String,
    pub wrong: Wrong,
}

impl Discovery {
    /// Takes in what the bootstrap has; what comes from elsewhere is asked for by
    /// [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the bootstrap's own resources.
    pub fn try_new(
        bootstrap: &Bootstrap,
        around: Arc<dyn Around + Send + Sync>,
    ) -> Result<Self, Vec<BadResource>> {
        let layers = bootstrap.runtime.iter().map(given::layer).collect();
        let (ads, secrets) = (bootstrap.dynamic.ads.is_some(), &bootstrap.secrets);
        let around = Arc::new(Bootstrapped::of(around, ads, secrets));
        let mut assembler = Assembler::new(around, layers);
        let now = now();
        let mut bad = Vec::new();
        let lists = [
            (Kind::Secret, "secrets", &bootstrap.secrets),
            (Kind::Cluster, "clusters", &bootstrap.clusters),
            (Kind::Listener, "listeners", &bootstrap.listeners),
        ];
        for (kind, field, list) in lists {
            let mut seen = std::collections::HashSet::new();
            for (i, any) in list.iter().enumerate() {
                let given = decode::name(any).unwrap_or_default();
                let is_nameless = given.is_empty();
                let name: Arc<str> = if is_nameless {
                    format!("{field}[{i}]").into()
                } else {
                    given.as_str().into()
                };
                let place = format!("static_resources.{field}[{i}]");
                if !is_nameless && !seen.insert(given.clone()) {
                    let wrong = Wrong::whole(format!("there is another one named {given:?}"));
                    bad.push(BadResource { place, wrong });
                    continue;
                }
                let incoming = Incoming { name, version: "".into(), any: any.clone(), ttl: None };
                let update = Update {
                    kind,
                    from: Asked::Static,
                    set: vec![incoming],
                    removed: Vec::new(),
                    is_whole: false,
                };
                let errors = assembler.apply(update, now);
                let place = if is_nameless { place } else { format!("{place} ({given})") };
                bad.extend(
                    errors
                        .into_iter()
                        .map(|(_, wrong)| BadResource { place: place.clone(), wrong }),
                );
            }
        }
        let whole = bootstrap.dynamic.clusters.is_none();
        look_at_listeners(&assembler, whole, &mut bad);
        read_files(&mut assembler, &mut bad, now);
        if !bad.is_empty() {
            return Err(bad);
        }
        let shared = Shared {
            assembler: Mutex::new(assembler),
            changed: Notify::new(),
            settled: watch::Sender::new(()),
            status: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Has decoded once what others are told too; their bootstraps must say the same of ADS and
    /// secrets.
    #[must_use]
    pub fn sharing(self, common: Common) -> Self {
        self.shared.assembler.lock().share(common);
        self
    }

    /// Looks at everything that is held.
    pub fn inspect<T>(&self, look: impl FnOnce(&Assembler) -> T) -> T {
        look(&self.shared.assembler.lock())
    }

    /// How it goes with each source.
    pub fn status(&self) -> Vec<(Asked, Status)> {
        let status = self.shared.status.lock();
        status.iter().map(|(asked, status)| (asked.clone(), status.clone())).collect()
    }

    /// Changes whenever what came has been looked at: there may be something new to
    /// [`inspect`](Self::inspect).
    pub fn settled(&self) -> watch::Receiver<()> {
        self.shared.settled.subscribe()
    }

    /// Replaces the layer of the runtime that operators set.
    pub fn set_layer(&self, layer: &RuntimeLayer) {
        self.shared.assembler.lock().set_layer(layer);
        self.shared.changed.notify_one();
    }

    /// Brings into force what the bootstrap alone has: what can be served at once.
    pub fn settle(&self, publisher: &mut Publisher<Snapshot>) {
        let settled = self.shared.assembler.lock().settle(now());
        if let Some(snapshot) = settled.snapshot {
            publisher.publish(snapshot);
        }
    }

    /// Follows everything until the worker is to finish.
    pub async fn run(
        self,
        bootstrap: Arc<Bootstrap>,
        reach: Arc<dyn Reach>,
        mut publisher: Publisher<Snapshot>,
        worker: Worker,
    ) {
        let mut sources: BTreeMap<Asked, watch::Sender<Wants>> = BTreeMap::new();
        for layer in &bootstrap.runtime {
            if let bootstrap::Layer::Disk { name, root } = layer {
                let task = disk::follow(Arc::clone(name), root.clone(), self.clone());
                worker.spawn_until_finish(task);
            }
        }
        loop {
            let settled = self.shared.assembler.lock().settle(now());
            if let Some(snapshot) = settled.snapshot {
                publisher.publish(snapshot);
            }
            self.ask(&bootstrap, &reach, &mut sources, &worker);
            self.shared.settled.send_replace(());
            tokio::select! {
                () = self.shared.changed.notified() => {}
                () = alarm::at(settled.next) => {}
                () = worker.finishing() => return,
            }
        }
    }

    /// Tells each source what is wanted of it, if that is something else than before.
    fn ask(
        &self,
        bootstrap: &Bootstrap,
        reach: &Arc<dyn Reach>,
        sources: &mut BTreeMap<Asked, watch::Sender<Wants>>,
        worker: &Worker,
    ) {
        let wants = {
            let mut assembler = self.shared.assembler.lock();
            if !assembler.have_wants_changed() {
                return;
            }
            given::wants(bootstrap, assembler.wants())
        };
        for (asked, wants) in &wants {
            if let Some(source) = sources.get(asked) {
                tell(source, wants);
                continue;
            }
            let (tx, rx) = watch::channel(wants.clone());
            sources.insert(asked.clone(), tx);
            let source = Source {
                asked: asked.clone(),
                shared: Arc::clone(&self.shared),
                wants: rx,
                node: given::node(&bootstrap.node),
                reach: Arc::clone(reach),
            };
            sources::spawn(source, bootstrap.dynamic.ads.clone(), worker);
        }
        // Nothing is wanted of it any more; its task ends with the sender.
        sources.retain(|asked, _| wants.contains_key(asked));
    }
}

/// What listeners name must be there, and no two may be at one address.
fn look_at_listeners(assembler: &Assembler, whole: bool, bad: &mut Vec<BadResource>) {
    let mut addresses: BTreeMap<String, Arc<str>> = BTreeMap::new();
    for ((_, name), held) in assembler.held() {
        let Decoded::Listener(listener) = &held.made.decoded else { continue };
        let place = format!("static_resources.listeners ({name})");
        // Of clusters that come by discovery it is not known yet whether they are there; of one that
        // is refused it is said already.
        let is_refused = |name: &str| assembler.refused_as(&(Kind::Cluster, name.into())).is_some();
        let is_there = |name: &str| !whole || assembler.knows_cluster(name) || is_refused(name);
        if let Some(wrong) = references::of_listener(listener, is_there) {
            bad.push(BadResource { place: place.clone(), wrong });
        }
        for address in listener.addresses.iter().filter(|_| listener.bind) {
            let text = address.address.to_string();
            let is_any_port = address.address.port() == Some(0);
            if is_any_port {
                continue;
            }
            if let Some(other) = addresses.insert(text.clone(), Arc::clone(name)) {
                let what = format!("listener {other:?} is at {text} already");
                let wrong = Wrong { path: "address".to_owned(), what };
                bad.push(BadResource { place: place.clone(), wrong });
            }
        }
    }
}

/// Reads what the bootstrap's own resources have in files: what is wrong there is said at once.
fn read_files(assembler: &mut Assembler, bad: &mut Vec<BadResource>, now: Now) {
    for (asked, kinds) in assembler.wants() {
        let Asked::Files(of) = &asked else { continue };
        let names = kinds.into_values().flatten();
        match files::read(&*assembler.around(), of) {
            Ok(secret) => names.for_each(|name| {
                assembler.set_secret(name, asked.clone(), secret.clone(), now);
            }),
            Err(what) => {
                let place = "static_resources".to_owned();
                bad.push(BadResource { place, wrong: Wrong::whole(what) });
            }
        }
    }
}

/// Says what is wanted, if that is something else.
fn tell(source: &watch::Sender<Wants>, wants: &Wants) {
    source.send_if_modified(|held| {
        let differs = *held != *wants;
        if differs {
            held.clone_from(wants);
        }
        differs
    });
}

impl Shared {
    /// Takes an update in, of what its sender calls `version` as a whole; what was refused comes out.
    fn apply(&self, update: Update, version: &str) -> Vec<(Arc<str>, Wrong)> {
        let errors = {
            let mut assembler = self.assembler.lock();
            assembler.set_version(version);
            assembler.apply(update, now())
        };
        self.changed.notify_one();
        errors
    }

    fn connected(&self, asked: &Asked) {
        let mut status = self.status.lock();
        let status = status.entry(asked.clone()).or_default();
        (status.connected, status.error, status.failures) = (true, None, 0);
    }

    fn failed(&self, asked: &Asked, error: &str) {
        let mut status = self.status.lock();
        let status = status.entry(asked.clone()).or_default();
        status.connected = false;
        status.failures += 1;
        if status.error.as_deref() != Some(error) {
            tracing::warn!(source = %given::name(asked), error, "configuration cannot be followed");
        }
        status.error = Some(error.into());
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").finish_non_exhaustive()
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("authority", &self.authority).finish_non_exhaustive()
    }
}

fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now() }
}
