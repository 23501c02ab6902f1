//! What state the process is in, and what others want of it: signals, and the admin interface.
use super::{
    admin::{Admin, Around},
    mesh::Mesh,
};
use crate::{
    failure::Failure,
    signals::{Signals, hear},
};
use culvert_runtime::{alarm, drain::Worker};
use culvert_xds::envoy::{
    assemble::Assembler, bootstrap::Bootstrap, discover::Discovery, kind::Kind, wanted::Asked,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{Signal, SignalKind},
    sync::mpsc,
};
use tracing::warn;

/// How long the first answer of a source is waited for, as Envoy has it.
const PATIENCE: Duration = Duration::from_secs(15);

/// With Envoy's names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Live,
    Draining,
    Initializing,
}

/// What is wanted.
#[derive(Debug)]
pub(super) enum Order {
    /// Everything that is served has come.
    Ready,
    Reopen,
    /// And who wants it.
    End(&'static str),
}

/// The ears of the process.
#[derive(Debug)]
pub(super) struct Life {
    handle: Handle,
    orders: mpsc::Receiver<Order>,
    signals: Signals,
    usr1: Signal,
}

/// For whoever has something to say.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    orders: mpsc::Sender<Order>,
    state: Arc<AtomicU8>,
}

const INITIALIZING: u8 = 0;
const LIVE: u8 = 1;
const ENDING: u8 = 2;

impl Life {
    /// # Errors
    ///
    /// When there is no descriptor for signals.
    pub(super) fn begin() -> Result<Self, Failure> {
        let (sender, orders) = mpsc::channel(8);
        Ok(Self {
            handle: Handle { orders: sender, state: Arc::new(AtomicU8::new(INITIALIZING)) },
            orders,
            signals: Signals::new()?,
            usr1: hear(SignalKind::user_defined1())?,
        })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Says when everything has come that is to be served.
    pub(super) fn follow(&self, admin: &Arc<Admin>, worker: &Worker) {
        let (handle, admin) = (self.handle(), Arc::clone(admin));
        worker.spawn_until_finish(async move {
            let Around { mesh, discovery, bootstrap, serving, .. } = &admin.around;
            everything(mesh.as_ref(), discovery, bootstrap).await;
            serving.follows(discovery).await;
            handle.ready().await;
        });
    }

    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Order {
        tokio::select! {
            name = self.signals.named() => Order::End(name),
            _ = self.usr1.recv() => Order::Reopen,
            Some(order) = self.orders.recv() => order,
        }
    }

    /// Resolves when the process is told once more to end.
    pub(super) async fn again(&mut self) {
        loop {
            if let Order::End(_) = self.next().await {
                return;
            }
        }
    }
}

impl Handle {
    /// What `/ready` says, unless health checks are made to fail.
    pub(super) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            INITIALIZING => State::Initializing,
            LIVE => State::Live,
            _ => State::Draining,
        }
    }

    pub(super) fn set_ending(&self) {
        self.state.store(ENDING, Ordering::Release);
    }

    pub(super) async fn end(&self, why: &'static str) {
        // The receiver lives as long as anybody can ask.
        drop(self.orders.send(Order::End(why)).await);
    }

    async fn ready(&self) {
        let (before, after) = (INITIALIZING, LIVE);
        let changed =
            self.state.compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire);
        if changed.is_ok() {
            drop(self.orders.send(Order::Ready).await);
        }
    }
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
            Self::Initializing => "INITIALIZING",
        }
    }

    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Live => 0,
            Self::Draining => 1,
            Self::Initializing => 3,
        }
    }
}

/// Until each source has answered, or was waited for long enough, and nothing is warming. A gateway
/// of the mesh also knows the mesh by then, and has something to serve.
pub(super) async fn everything(mesh: Option<&Mesh>, discovery: &Discovery, bootstrap: &Bootstrap) {
    if let Some(mesh) = mesh {
        mesh.known().await;
    }
    let mut is_told = false;
    let mut settled = discovery.settled();
    let began = Instant::now();
    loop {
        settled.mark_unchanged();
        let now = Instant::now();
        let ends: Vec<_> = discovery.inspect(|all| awaited(bootstrap, all, began));
        if ends.iter().all(|end| end.is_some_and(|end| end <= now)) {
            let Some(mesh) = mesh.filter(|_| serves_nothing(discovery)) else {
                return;
            };
            if !std::mem::replace(&mut is_told, true) {
                let (gateway, address) = (&mesh.name, &mesh.address);
                warn!(
                    %gateway, address,
                    "the control plane has nothing for this gateway to listen on: is there such a Gateway, of the class culvert, or of Istio's kind? It is waited for"
                );
            }
        }
        let next = ends.into_iter().flatten().filter(|end| *end > now).min();
        tokio::select! {
            changed = settled.changed() => if changed.is_err() { return },
            () = alarm::at(next) => {}
        }
    }
}

fn serves_nothing(discovery: &Discovery) -> bool {
    discovery.inspect(|all| all.held().all(|((kind, _), _)| *kind != Kind::Listener))
}

/// What is waited for, each until when; `None`: for ever.
fn awaited(bootstrap: &Bootstrap, all: &Assembler, began: Instant) -> Vec<Option<Instant>> {
    let dynamic = &bootstrap.dynamic;
    let sources = [(Kind::Cluster, &dynamic.clusters), (Kind::Listener, &dynamic.listeners)];
    let sources = sources.into_iter().filter_map(|(kind, source)| Some((kind, source.as_ref()?)));
    let silent = sources
        .filter(|(kind, source)| !all.is_answered(*kind, &Asked::Source(source.from.clone())));
    let until = |patience: Option<Duration>| patience.map(|patience| began + patience);
    let warming = all.waiting().next().map(|_| until(Some(PATIENCE)));
    silent.map(|(_, source)| until(source.patience)).chain(warming).collect()
}
