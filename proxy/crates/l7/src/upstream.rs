//! Clusters at work: their endpoints, what is known of each, and the connections to them.
//!
//! Snapshots say what there is; [`Upstreams::apply`] makes the least change that comes to it.
//! What did not change keeps its endpoints, their connections and what was learnt of them. Requests
//! read without a lock.
//!
//! Reading order: [`Upstreams`]; [`cluster`] (one of them) and `pick` (the choice of an endpoint), `host`
//! (what is known of an endpoint), `places` (all endpoints of a moment), [`chosen`] (one that a
//! request or a connection has), `limits` (circuit breakers); `wire` (how a cluster's connections
//! are made), `sides` (their TLS), `socket`, `greeting` and `door` (opening one), `pools`; `outlier`
//! (endpoints left out), `health` (endpoints that are asked), `names` and `resolve` (endpoints by
//! name), `warming` (what is waited for at first), `passed` (endpoints that are wherever a connection
//! was bound); `tally` and [`Traffic`] (numbers) and [`view`] (what people see of it).
pub mod chosen;
pub mod cluster;
mod door;
mod greeting;
mod health;
mod host;
mod limits;
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
use culvert_model::http::snapshot::Snapshot;
use culvert_runtime::drain::Worker;
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
    warming: Arc<Warming>,
}

/// Every cluster there is.
pub struct Upstreams {
    deps: Deps,
    directory: Arc<Directory>,
    applying: Mutex<()>,
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
        Self { worker, clock, began: Instant::now(), names, stats, warming }
    }

    #[must_use]
    pub fn with_stats(self, stats: Stats) -> Self {
        Self { stats, ..self }
    }

    #[must_use]
    pub fn with_names(self, names: Names) -> Self {
        Self { names: Arc::new(names), ..self }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Upstreams {
    pub fn new(deps: Deps) -> Self {
        Self { deps, directory: Arc::default(), applying: Mutex::default() }
    }

    /// Makes clusters what a snapshot says; needs a runtime, for what they do by themselves.
    pub fn apply(&self, snapshot: &Snapshot) {
        let _one = self.applying.lock();
        let before = self.directory.0.load_full();
        let mut after = HashMap::with_capacity(snapshot.clusters().len());
        for (name, resource) in snapshot.clusters().iter() {
            let old = before.get(name);
            let same = old.filter(|old| {
                let config = old.config();
                Arc::ptr_eq(config, &resource.value) || **config == *resource.value
            });
            let upstream = if let Some(same) = same {
                same.follow(snapshot);
                Arc::clone(same)
            } else {
                let old = old.map(|old| &**old);
                let others = Arc::downgrade(&self.directory);
                Upstream::start(&resource.value, snapshot, old, &self.deps, others)
            };
            after.insert(Arc::clone(name), upstream);
        }
        for (name, old) in before.iter() {
            if !after.contains_key(name) {
                old.stop();
            }
        }
        self.directory.0.store(Arc::new(after));
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
