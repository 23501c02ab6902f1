//! What state the process is in, and what others want of it: signals, and the admin interface.
use super::admin::Admin;
use crate::failure::{Exit, Failure};
use culvert_runtime::drain::Worker;
use culvert_xds::envoy::{kind::Kind, wanted::Asked};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{self, Instant},
};
use tracing::warn;

/// How long the first answer of a source is waited for, as Envoy has it.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked whether everything has come.
const LOOK: Duration = Duration::from_millis(20);

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
    term: Signal,
    int: Signal,
    /// Others have their files read again by it.
    hup: Signal,
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
        Self::listen().map_err(|error| {
            let next = "raise the limit of open files (ulimit -n)";
            Failure::new(Exit::Cannot, "cannot listen for signals", next).because(&error)
        })
    }

    fn listen() -> io::Result<Self> {
        let (sender, orders) = mpsc::channel(8);
        Ok(Self {
            handle: Handle { orders: sender, state: Arc::new(AtomicU8::new(INITIALIZING)) },
            orders,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
        })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Says when everything has come that is to be served.
    pub(super) fn follow(&self, admin: &Arc<Admin>, worker: &Worker) {
        let (handle, admin) = (self.handle(), Arc::clone(admin));
        worker.spawn_until_finish(async move {
            everything(&admin).await;
            handle.ready().await;
        });
    }

    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Order {
        loop {
            tokio::select! {
                _ = self.term.recv() => return Order::End("SIGTERM"),
                _ = self.int.recv() => return Order::End("SIGINT"),
                _ = self.usr1.recv() => return Order::Reopen,
                _ = self.hup.recv() => {
                    warn!("SIGHUP changes nothing: files are followed, SIGUSR1 opens logs again");
                }
                Some(order) = self.orders.recv() => return order,
            }
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

/// Until each source has answered, or was waited for long enough, and nothing is warming.
async fn everything(admin: &Admin) {
    let around = &admin.around;
    let dynamic = &around.bootstrap.dynamic;
    let sources = [(Kind::Cluster, &dynamic.clusters), (Kind::Listener, &dynamic.listeners)];
    let began = Instant::now();
    let mut looks = time::interval(LOOK);
    loop {
        looks.tick().await;
        let is_over = |patience: Option<Duration>| {
            patience.is_some_and(|patience| patience <= began.elapsed())
        };
        let all_there = around.discovery.inspect(|all| {
            let answered =
                sources.iter().filter_map(|(kind, source)| Some((*kind, (*source).as_ref()?)));
            let mut answered = answered.map(|(kind, source)| {
                all.is_answered(kind, &Asked::Source(source.from.clone()))
                    || is_over(source.patience)
            });
            answered.all(|answered| answered)
                && (all.waiting().next().is_none() || is_over(Some(PATIENCE)))
        });
        if all_there {
            return;
        }
    }
}
