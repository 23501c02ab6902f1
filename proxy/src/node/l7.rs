//! L7 on a node: an HTTP engine for each namespace that needs one, with a subscription of its own.
//!
//! An engine begins with the first connection that must pass it, and ends when the namespace has no
//! pod here any more. Until it knows what to do with a connection, the connection is held, and
//! refused in the end.
//!
//! Reading order: [`L7`] (which engines there are), [`engine`] (one of them), [`subscription`] (what
//! it is told), [`keys`] (what is around its resources), [`dial`] (the way out), [`ledger`]
//! and [`ends`] (what is left of requests), [`view`] (what people see), [`engines`] (what they are
//! asked about requests).
mod dial;
mod ends;
mod engine;
pub(crate) mod engines;
pub(crate) mod keys;
pub(super) mod ledger;
pub(crate) mod subscription;
pub(crate) mod view;

use culvert_l7::{log::Sinks, shared::Budgets, stats::Stats};
use culvert_model::{facts::Direction, pod::LocalPods};
use culvert_runtime::{
    doors::{Answer, Dial, HandOver, NoPlace, Place},
    drain::Worker,
    publish::View,
};
use culvert_xds::envoy::{assemble::Common, discover::Way};
use engine::Running;
use ledger::Ledger;
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot, time};
use tracing::info;

/// How long a connection is held until it is known what to do with it.
const HOLD: Duration = Duration::from_secs(5);

/// How long requests may go on of a namespace of which nothing is left.
const LAST: Duration = Duration::from_secs(30);

/// Every engine of the node; cheap to clone.
#[derive(Clone)]
pub(crate) struct L7(Arc<Inner>);

struct Inner {
    home: Home,
    /// The way to whoever serves L7.
    way: Way,
    /// Who opens connections, from when there is somebody.
    mesh: OnceLock<Arc<dyn Dial>>,
    pods: View<LocalPods>,
    sinks: Sinks,
    ledger: Arc<Ledger>,
    /// What engines are told, decoded once for all of them.
    common: Common,
    engines: RwLock<BTreeMap<Arc<str>, Arc<Running>>>,
    worker: Worker,
    /// Where configuration is read.
    control: Handle,
    /// Where connections run.
    data: Handle,
}

/// Who the node is.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub(super) node: Arc<str>,
    pub(super) cluster: Arc<str>,
    /// Below which engines read the files that their configuration names.
    pub(super) credentials: Option<Arc<Path>>,
    pub(super) most: Most,
}

/// How much each engine may have at once, whatever the others have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) connections: u32,
    pub(super) requests: u32,
}

impl Most {
    /// Those of one engine.
    fn budgets(self) -> Budgets {
        let budgets = Budgets::default();
        budgets.connections.set_limit(self.connections.into());
        budgets.streams.set_limit(self.requests.into());
        budgets
    }
}

impl L7 {
    /// Has engines run as part of `worker`'s tasks: control here, connections on `data`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn new(
        (home, way): (Home, Way),
        pods: View<LocalPods>,
        ledger: Ledger,
        data: &Handle,
        worker: &Worker,
    ) -> Self {
        let l7 = Self(Arc::new(Inner {
            home,
            way,
            mesh: OnceLock::new(),
            pods,
            sinks: Sinks::new(&Stats::default()),
            ledger: Arc::new(ledger),
            common: Common::default(),
            engines: RwLock::default(),
            worker: worker.clone(),
            control: Handle::current(),
            data: data.clone(),
        }));
        worker.spawn_until_finish(l7.clone().follow());
        l7
    }

    /// From now on, connections are opened by `mesh`.
    pub(super) fn open(&self, mesh: Arc<dyn Dial>) {
        // There is one for the process.
        drop(self.0.mesh.set(mesh));
    }

    /// The engine of a namespace, which begins if there is none.
    async fn engine(&self, namespace: Arc<str>) -> Result<Arc<Running>, NoPlace> {
        if let Some(running) = self.running(&namespace) {
            return Ok(running);
        }
        // Where nobody's connection waits for it.
        let (tell, told) = oneshot::channel();
        let own = self.clone();
        self.0.worker.spawn_on(&self.0.control, async move {
            // Whoever asked may have left.
            drop(tell.send(own.begin(&namespace)));
        });
        told.await.map_err(|_ends| NoPlace("the node ends".to_owned()))?
    }

    fn running(&self, namespace: &str) -> Option<Arc<Running>> {
        self.0.engines.read().get(namespace).map(Arc::clone)
    }

    /// On the one thread on which engines begin.
    fn begin(&self, namespace: &Arc<str>) -> Result<Arc<Running>, NoPlace> {
        if let Some(running) = self.running(namespace) {
            return Ok(running);
        }
        let running = Arc::new(Running::begin(&self.0, namespace)?);
        info!(namespace = &**namespace, from = &*self.0.way.authority, "L7 begins");
        self.0.engines.write().insert(Arc::clone(namespace), Arc::clone(&running));
        Ok(running)
    }

    /// Ends the engines of namespaces that have no pod here.
    async fn follow(self) {
        let mut pods = self.0.pods.clone();
        let mut now = pods.pin();
        loop {
            let here: BTreeSet<_> =
                now.value.pods.values().map(|pod| &pod.workload.name.namespace).collect();
            let mut gone = Vec::new();
            self.0.engines.write().retain(|namespace, running| {
                let stays = here.contains(namespace);
                if !stays {
                    gone.push(Arc::clone(running));
                }
                stays
            });
            for running in gone {
                info!(namespace = &*running.namespace, "L7 ends: no pod of the namespace is left");
                self.0.worker.spawn(async move { running.end(LAST).await });
            }
            let Some(newer) = pods.newer_than(now.generation).await else { return };
            now = newer;
        }
    }
}

impl HandOver for L7 {
    fn place(
        &self,
        namespace: &Arc<str>,
        direction: Direction,
        at: SocketAddr,
    ) -> Answer<Result<Box<dyn Place>, NoPlace>> {
        let (own, namespace) = (self.clone(), Arc::clone(namespace));
        Box::pin(async move {
            let running = own.engine(namespace).await?;
            match time::timeout(HOLD, running.taker(at, direction)).await {
                Ok(Some(taker)) => Ok(taker),
                Ok(None) => Err(NoPlace("L7 of the namespace has ended".to_owned())),
                Err(_) => Err(running.nobody(at, HOLD)),
            }
        })
    }
}

impl fmt::Debug for L7 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("L7").field(&self.0.engines.read().keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_a_share_of_its_own() {
        let most = Most { connections: 1, requests: 2 };
        let (one, other) = (most.budgets(), most.budgets());
        let _all = one.connections.take().unwrap();
        assert!(one.connections.take().is_none());
        assert!(other.connections.take().is_some());
        assert_eq!((one.streams.limit(), other.streams.limit()), (2, 2));
    }
}
