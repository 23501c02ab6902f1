//! An engine: listeners and clusters as snapshots say them, and connections between them.
//!
//! A new snapshot makes the least change that comes to it. A listener that changes keeps its socket,
//! a filter chain that stays the same keeps its connections, one that goes lets them end. A listener
//! that cannot be what is wanted of it stays what it was, says why, and troubles no other.
//!
//! Reading order: [`Engine`]; `directory` (listeners by address), `doors` (sockets, and who gets
//! what comes to them), `apply` (from one snapshot to the next), [`view`] (what people see of it).
mod apply;
mod directory;
mod doors;
pub mod view;

use crate::{
    guarded::guarded,
    io::Io,
    listener::Arrival,
    network::{Buckets, http::Managers},
    shared::Shared,
    stats::{Counter, Gauge, Late, Stats},
};
use apply::State;
use culvert_model::http::listener::Direction;
use culvert_policy::http::facts;
use culvert_runtime::{
    accept::Reserve,
    drain::{Drained, Scope, Worker},
};
use directory::Directory;
use parking_lot::Mutex;
use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::{Mutex as AsyncMutex, watch};

/// One that runs; ends at once when dropped.
pub struct Engine {
    inner: Arc<Inner>,
    scope: Scope,
}

/// What holds for all of its listeners.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long connections may go on that belong to what is no longer. Envoy: 10 min.
    pub drain: Duration,
    /// Whether listeners have sockets; without, connections are handed over.
    pub binds: bool,
}

/// A connection that somebody else has accepted.
#[derive(Debug)]
pub struct Handover {
    pub io: Io,
    /// Both ends, and what is known of the client.
    pub facts: facts::Connection,
    /// Which listeners it may be for; `Unspecified`: any.
    pub direction: Direction,
}

struct Inner {
    shared: Arc<Shared>,
    options: Options,
    managers: Box<Managers>,
    buckets: Buckets,
    reserve: Arc<Reserve>,
    /// The right to start tasks that end with the engine.
    worker: Worker,
    directory: Arc<Directory>,
    /// Held by whoever changes listeners.
    state: AsyncMutex<State>,
    /// Of the snapshot that is served; told after each change.
    applied: watch::Sender<u64>,
    /// What there was to say after the last change.
    view: Mutex<Vec<view::ListenerView>>,
    counts: Counts,
}

/// `listener_manager.*`.
struct Counts {
    added: Late<Counter>,
    modified: Late<Counter>,
    removed: Late<Counter>,
    in_place: Late<Counter>,
    created: Late<Counter>,
    failed: Late<Counter>,
    active: Late<Gauge>,
    draining: Late<Gauge>,
}

impl Engine {
    /// Starts with what there is, and follows every change of it.
    ///
    /// When this returns, the listeners of the first snapshot take connections.
    ///
    /// # Errors
    ///
    /// When the process has no file descriptor left.
    pub async fn start(
        shared: Arc<Shared>,
        options: Options,
        managers: Box<Managers>,
    ) -> std::io::Result<Self> {
        let scope = shared.worker.scope();
        let inner = Arc::new(Inner {
            reserve: Arc::new(Reserve::new()?),
            worker: scope.worker(),
            directory: Arc::default(),
            state: AsyncMutex::default(),
            applied: watch::Sender::default(),
            view: Mutex::default(),
            buckets: Buckets::default(),
            counts: Counts::new(&shared.stats),
            managers,
            options,
            shared,
        });
        let first = inner.shared.snapshot.pin();
        inner.apply(&first.value).await;
        let (follower, mut view) = (Arc::clone(&inner), inner.shared.snapshot.clone());
        inner.worker.spawn(async move {
            let mut seen = first.generation;
            loop {
                let newer = tokio::select! {
                    () = follower.worker.finishing() => return,
                    newer = view.newer_than(seen) => newer,
                };
                // The publisher is gone: what there is stays.
                let Some(newer) = newer else { return };
                seen = newer.generation;
                guarded(&follower.shared, "a change", follower.apply(&newer.value)).await;
            }
        });
        Ok(Self { inner, scope })
    }

    /// Every listener, by name.
    pub fn listeners(&self) -> Vec<view::ListenerView> {
        self.inner.view.lock().clone()
    }

    /// Whether there is a listener for a connection to this address.
    pub fn takes(&self, at: SocketAddr, direction: Direction) -> bool {
        self.inner.directory.find(at, direction).is_some()
    }

    /// The [`generation`](culvert_model::http::snapshot::Snapshot::generation) of the snapshot that
    /// is served.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.inner.applied.subscribe()
    }

    /// Takes a connection that somebody else has accepted.
    ///
    /// # Errors
    ///
    /// Gives it back when no listener is for it.
    #[expect(clippy::result_large_err, reason = "it is the connection, given back")]
    pub fn hand_over(&self, handover: Handover) -> Result<(), Handover> {
        let Handover { io, facts, direction } = handover;
        let directory = &self.inner.directory;
        let found = facts.local.and_then(|local| directory.find(local, direction));
        let Some(active) = found else { return Err(Handover { io, facts, direction }) };
        let (worker, others) = (self.inner.worker.clone(), Arc::clone(directory));
        self.inner.worker.spawn(async move {
            active.arrive(Arrival { io, facts }, worker, &*others).await;
        });
        Ok(())
    }

    /// Listeners of inbound traffic take no more connections, now and whatever they become; those
    /// there are may end.
    pub fn stop_inbound(&self) -> impl Future<Output = ()> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        async move { inner.stop_inbound().await }
    }

    /// Takes no more connections, asks those there are to end, and waits for them at most so long.
    pub async fn drain(self, within: Duration) -> Drained {
        self.inner.close().await;
        self.scope.end(within).await
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { drain: Duration::from_secs(600), binds: true }
    }
}

impl Counts {
    fn new(stats: &Stats) -> Self {
        let scope = stats.root().scope("listener_manager");
        Self {
            added: scope.late("listener_added"),
            modified: scope.late("listener_modified"),
            removed: scope.late("listener_removed"),
            in_place: scope.late("listener_in_place_updated"),
            created: scope.late("listener_create_success"),
            failed: scope.late("listener_create_failure"),
            active: scope.late("total_listeners_active"),
            draining: scope.late("total_filter_chains_draining"),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("listeners", &self.listeners()).finish_non_exhaustive()
    }
}
