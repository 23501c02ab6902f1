//! Clusters at work: their endpoints, what is known of each, and the connections to them.
//!
//! Snapshots say what there is; [`Upstreams::apply`] makes the least change that comes to it.
//! What did not change keeps its endpoints, their connections and what was learnt of them. Requests
//! read without a lock.
//!
//! Reading order: [`Upstreams`]; [`cluster`] (one of them) and `pick` (the choice of an endpoint), `host`
//! (what is known of an endpoint), `places` (all endpoints of a moment), [`chosen`] (one that a
//! request or a connection has), `limits` (circuit breakers); `wire` (how a cluster's connections
//! are made), `sides` (their TLS), `socket`, `mesh`, `greeting` and `door` (opening one), `pools`; `outlier`
//! (endpoints left out), `health` (endpoints that are asked), `names` and `resolve` (endpoints by
//! name), `followers` (who follows what), `warming` (what is waited for at first), `passed` (endpoints that are wherever a connection
//! was bound); `tally` and [`Traffic`] (numbers) and [`view`] (what people see of it).
pub mod chosen;
pub mod cluster;
mod door;
mod followers;
mod greeting;
mod health;
mod host;
mod limits;
mod mesh;
mod names;
mod outlier;
mod passed;
mod pick;
mod places;
mod pools;
mod resolve;
mod sides;
mod socket;
mod tally;
mod traffic;
pub mod view;
mod warming;
mod wire;

#[cfg(test)]
mod sample;

pub use chosen::{Chosen, Connected, Facts, NoConnection, Raw};
pub use cluster::Upstream;
pub use greeting::Ends;
pub use host::{Fault, Host};
pub use limits::Limits;
pub use names::Names;
pub use pick::{Ask, Downstream};
pub use traffic::Traffic;

use crate::stats::Stats;
use arc_swap::ArcSwap;
use culvert_identity::clock::Clock;
use culvert_model::http::{cluster::Cluster, snapshot::Snapshot};
use culvert_runtime::{doors, drain::Worker};
use followers::Followers;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::Instant;
use warming::Warming;

/// What all clusters are made with.
#[derive(Clone)]
pub struct Deps {
    pub worker: Worker,
    /// Certificates are judged by it.
    pub clock: Arc<dyn Clock>,
    /// When the process began: what balancing counts time from.
    pub began: Instant,
    pub names: Arc<Names>,
    pub stats: Stats,
    /// Who opens connections; `None`: sockets of our own.
    pub mesh: Option<Arc<dyn doors::Dial>>,
    warming: Arc<Warming>,
}

/// Every cluster there is.
pub struct Upstreams {
    deps: Arc<Deps>,
    directory: Arc<Directory>,
    /// What they were made to be last; held by whoever changes them.
    applied: Mutex<Applied>,
}

/// What clusters were made of.
#[derive(Default)]
struct Applied {
    snapshot: Option<Snapshot>,
    followers: Followers,
}

/// Clusters by name.
#[derive(Default)]
struct Directory(ArcSwap<HashMap<Arc<str>, Arc<Upstream>>>);

/// For clusters that look at others.
type Others = Weak<Directory>;

impl Deps {
    /// With the system's resolvers, and numbers of their own.
    pub fn new(worker: Worker, clock: Arc<dyn Clock>) -> Self {
        let (names, stats, warming) = (Arc::default(), Stats::default(), Arc::default());
        Self { worker, clock, began: Instant::now(), names, stats, mesh: None, warming }
    }

    #[must_use]
    pub fn with_stats(self, stats: Stats) -> Self {
        Self { stats, ..self }
    }

    #[must_use]
    pub fn with_names(self, names: Names) -> Self {
        Self { names: Arc::new(names), ..self }
    }

    /// Has somebody else open all connections.
    #[must_use]
    pub fn with_mesh(self, mesh: Arc<dyn doors::Dial>) -> Self {
        Self { mesh: Some(mesh), ..self }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Upstreams {
    pub fn new(deps: Deps) -> Self {
        let deps = Arc::new(deps);
        Self { deps, directory: Arc::default(), applied: Mutex::default() }
    }

    /// Makes clusters what a snapshot says; needs a runtime, for what they do by themselves.
    pub fn apply(&self, snapshot: &Snapshot) {
        let mut applied = self.applied.lock();
        let Applied { snapshot: before, followers } = &mut *applied;
        let before = before.replace(snapshot.clone());
        let alike = before.as_ref().filter(|before| {
            Arc::ptr_eq(before.runtime(), snapshot.runtime())
                && before.secrets().is_same(snapshot.secrets())
        });
        match alike {
            Some(before) => self.change(before, snapshot, followers),
            None => self.renew(snapshot, followers),
        }
    }

    /// Looks at every cluster.
    fn renew(&self, snapshot: &Snapshot, followers: &mut Followers) {
        let before = self.directory.0.load_full();
        let mut after = HashMap::with_capacity(snapshot.clusters().len());
        *followers = Followers::default();
        for (name, resource) in snapshot.clusters().iter() {
            let upstream = self.upstream(before.get(name), &resource.value, snapshot);
            followers.insert(upstream.config());
            after.insert(Arc::clone(name), upstream);
        }
        for (name, old) in before.iter() {
            if !after.contains_key(name) {
                old.stop();
            }
        }
        self.directory.0.store(Arc::new(after));
    }

    /// Looks at what is another than `before`: one of ten thousand clusters, or its endpoints.
    fn change(&self, before: &Snapshot, snapshot: &Snapshot, followers: &mut Followers) {
        let clusters = snapshot.clusters().differences(before.clusters());
        if !clusters.is_empty() {
            let mut after = HashMap::clone(&self.directory.0.load());
            for name in clusters {
                let old = after.remove(name);
                old.iter().for_each(|old| followers.remove(old.config()));
                match snapshot.clusters().value(name) {
                    Some(config) => {
                        let upstream = self.upstream(old.as_ref(), config, snapshot);
                        followers.insert(upstream.config());
                        after.insert(Arc::clone(name), upstream);
                    }
                    None => old.iter().for_each(|old| old.stop()),
                }
            }
            self.directory.0.store(Arc::new(after));
        }
        let directory = self.directory.0.load();
        for service in snapshot.assignments().differences(before.assignments()) {
            let names = followers.of(service);
            names.filter_map(|name| directory.get(name)).for_each(|one| one.follow(snapshot));
        }
    }

    /// The cluster that `config` says: the one that there is, if it is the same.
    fn upstream(
        &self,
        old: Option<&Arc<Upstream>>,
        config: &Arc<Cluster>,
        snapshot: &Snapshot,
    ) -> Arc<Upstream> {
        let same = old.filter(|old| Arc::ptr_eq(old.config(), config) || *old.config() == *config);
        if let Some(same) = same {
            same.follow(snapshot);
            return Arc::clone(same);
        }
        let others = Arc::downgrade(&self.directory);
        Upstream::start(config, snapshot, old.map(|old| &**old), &self.deps, others)
    }

    /// Shows in the numbers what is only looked at now and then: before they are read.
    pub fn measure(&self) {
        for upstream in self.directory.0.load().values() {
            upstream.measure();
        }
    }

    /// Waits until all endpoints that are checked were checked once, and all names were asked for.
    ///
    /// Cancel safe.
    pub async fn warm(&self) {
        self.deps.warming.warm().await;
    }

    /// A cluster by its name.
    pub fn find(&self, name: &str) -> Option<Arc<Upstream>> {
        self.directory.find(name)
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Upstream>> {
        let mut all: Vec<_> = self.directory.0.load().values().cloned().collect();
        all.sort_by(|a, b| a.config().name.cmp(&b.config().name));
        all
    }
}

impl Directory {
    fn find(&self, name: &str) -> Option<Arc<Upstream>> {
        self.0.load().get(name).cloned()
    }
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstreams").field(&self.directory).finish()
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.load().keys()).finish()
    }
}
