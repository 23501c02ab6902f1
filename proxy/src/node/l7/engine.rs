//! One namespace's engine, from its subscription to its connections.
use super::{Inner, dial::AsNamespace, ledger, subscription};
use culvert_identity::clock::{Clock, SystemClock};
use culvert_l7::{
    engine::{Engine, Handover, Options},
    io::Io,
    ledger::Ledger,
    manager::managers,
    shared::{Node, Parts, Shared},
    stats::Stats,
    upstream::{Deps, Upstreams},
};
use culvert_model::{
    facts::Direction,
    http::{listener, snapshot::Snapshot},
};
use culvert_policy::http::handed;
use culvert_runtime::{
    doors::{self, NoPlace, Place},
    drain::Scope,
    publish,
};
use culvert_xds::envoy::discover::Discovery;
use parking_lot::Mutex;
use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{debug, error};

/// An engine that runs, or is about to.
pub(super) struct Running {
    pub(super) namespace: Arc<str>,
    pub(super) discovery: Discovery,
    pub(super) shared: Arc<Shared>,
    /// From when it takes connections.
    engine: watch::Receiver<Option<Arc<Engine>>>,
    /// Of all its tasks; taken by whoever ends them.
    scope: Mutex<Option<Scope>>,
}

/// Takes one connection.
struct Taker {
    engine: Arc<Engine>,
    direction: listener::Direction,
}

impl Running {
    /// # Errors
    ///
    /// When there is nothing to be subscribed to, or nobody to open connections.
    pub(super) fn begin(inner: &Inner, namespace: &Arc<str>) -> Result<Self, NoPlace> {
        let mesh = inner.mesh.get().cloned();
        let mesh = mesh.ok_or_else(|| NoPlace("the node is about to start".to_owned()))?;
        let (bootstrap, discovery) = subscription::prepare(&inner.home, &inner.way, namespace)
            .map_err(|why| {
                NoPlace(format!("L7 of the namespace {namespace} cannot begin: {why}"))
            })?;
        // All of them begin with the same.
        let discovery = discovery.sharing(inner.common.clone());
        let scope = inner.worker.scope();
        let worker = scope.worker();
        let (publisher, view) = publish::channel(Snapshot::default());
        let reach = Arc::new(subscription::Server(inner.way.clone()));
        let node = Node {
            id: Arc::clone(&bootstrap.node_facts.id),
            cluster: Arc::clone(&bootstrap.node_facts.cluster),
            zone: Arc::clone(&bootstrap.node_facts.locality.zone),
        };
        let followed = discovery.clone().run(bootstrap, reach, publisher, worker.clone());
        worker.spawn_on(&inner.control, followed);
        let (clock, stats): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Stats::default());
        let dial = Arc::new(AsNamespace::new(mesh, inner.pods.clone(), namespace));
        let deps = Deps::new(worker.clone(), Arc::clone(&clock));
        let deps = deps.with_stats(stats.clone()).with_mesh(dial);
        let shared = Shared::new(Parts {
            snapshot: view,
            upstreams: Arc::new(Upstreams::new(deps)),
            stats,
            sinks: inner.sinks.clone(),
            worker: worker.clone(),
            clock,
            node,
            budgets: inner.home.most.budgets(),
        });
        let ledger: Arc<dyn Ledger> = Arc::<ledger::Ledger>::clone(&inner.ledger);
        let shared = Arc::new(shared.with_ledger(ledger));
        let (started, engine) = watch::channel(None);
        let (own, of) = (Arc::clone(&shared), Arc::clone(namespace));
        worker.spawn_on(&inner.data, async move {
            let managers = managers(&own);
            // Every connection is handed over: it has no sockets of its own.
            let options = Options { binds: false, ..Options::default() };
            match Engine::start(own, options, managers).await {
                Ok(engine) => drop(started.send_replace(Some(Arc::new(engine)))),
                Err(error) => error!(namespace = &*of, %error, "L7 cannot begin"),
            }
        });
        let scope = Mutex::new(Some(scope));
        Ok(Self { namespace: Arc::clone(namespace), discovery, shared, engine, scope })
    }

    /// Waits until there is a listener for connections to `at`; `None`: there will be none.
    pub(super) async fn taker(
        &self,
        at: SocketAddr,
        direction: Direction,
    ) -> Option<Box<dyn Place>> {
        let direction = match direction {
            Direction::Inbound => listener::Direction::Inbound,
            Direction::Outbound => listener::Direction::Outbound,
        };
        let mut started = self.engine.clone();
        let engine = started.wait_for(Option::is_some).await.ok()?.clone()?;
        let mut applied = engine.applied();
        loop {
            if engine.takes(at, direction) {
                return Some(Box::new(Taker { engine, direction }));
            }
            applied.changed().await.ok()?;
        }
    }

    /// Why nobody took a connection to `at`.
    pub(super) fn nobody(&self, at: SocketAddr, waited: Duration) -> NoPlace {
        let failure = self.discovery.status().into_iter().find_map(|(_, status)| status.error);
        let why = match failure {
            Some(failure) => format!("its configuration cannot be followed: {failure}"),
            None => "its configuration has no listener for that".to_owned(),
        };
        let namespace = &self.namespace;
        NoPlace(format!(
            "a connection to {at} must pass L7 of the namespace {namespace}, and within {waited:?} nothing said what to do with it: {why}"
        ))
    }

    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.borrow().clone()
    }

    /// What the control plane calls the whole of what it told last.
    pub(super) fn version(&self) -> Arc<str> {
        self.discovery.inspect(|held| Arc::clone(held.version()))
    }

    /// Lets requests finish, and ends everything.
    pub(super) async fn end(&self, within: Duration) {
        let scope = self.scope.lock().take();
        if let Some(scope) = scope {
            let drained = scope.end(within).await;
            debug!(namespace = &*self.namespace, ?drained, "L7 has ended");
        }
    }
}

impl Place for Taker {
    fn take(self: Box<Self>, handover: doors::Handover) {
        let doors::Handover { bytes, facts, party } = handover;
        let (io, facts) = (Io::from(bytes), handed::facts(facts, Some(party)));
        let handover = Handover { io, facts, direction: self.direction };
        if let Err(Handover { io, .. }) = self.engine.hand_over(handover) {
            // Its listener went a moment ago.
            io.reset_on_close();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl fmt::Debug for Taker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taker").field("direction", &self.direction).finish_non_exhaustive()
    }
}
