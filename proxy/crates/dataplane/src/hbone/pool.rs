//! The links of one pod, for its connections to share.
//!
//! A link is for one next hop, one set of identities, one peer and one certificate of our own: a
//! stale one cannot be met by mistake, for it is under another key. At most one link per key is
//! being made at a time, and whoever needs it waits for it and shares its fate.
mod slot;

pub(crate) use super::client::{OpenTunnelError, Opened, Timeouts};

use super::{
    client::{self, Carrier, Driver},
    headers::Request,
    link::{LinkEnd, Place},
};
use crate::errors::OpenError;
use culvert_identity::{certificate::Certificate, trust::Trust};
use culvert_model::{facts::Direction, identity::Identity, name::WorkloadUid};
use culvert_runtime::drain::Worker;
use culvert_telemetry::metrics::{Handshake, Metrics};
use parking_lot::Mutex;
use slot::{Made, Pick, Slot};
use std::{
    collections::HashMap,
    io, mem,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::runtime::Handle;

/// How long a link without a tunnel is kept.
const UNUSED: Duration = Duration::from_secs(300);

/// A link that was silent for so long is asked whether its peer is there when it is used again.
const DOUBT_AFTER: Duration = Duration::from_secs(1);

/// How long the peer may then be silent before another link is made.
const DOUBT_FOR: Duration = Duration::from_secs(2);

/// How many links one connection may find stale.
const STALE_MAX: usize = 3;

/// The links of one pod; cheap to clone. When the last clone is dropped, they end with their last
/// tunnels.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Links>);

/// Whom a tunnel is wanted to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where to connect.
    pub(crate) next: SocketAddr,
    /// Who may answer there.
    pub(crate) expected: Arc<[Identity]>,
    /// The workload there; its links end with it.
    pub(crate) peer: Option<WorkloadUid>,
    /// Who asks.
    pub(crate) own: Arc<Certificate>,
}

#[derive(Debug)]
struct Links {
    slots: Mutex<HashMap<Key, Slot>>,
    /// What is believed since the links were re-checked last, and how often they were.
    trust: Mutex<(u64, Trust)>,
    worker: Worker,
    data: Handle,
    /// How many links to one target are worth having.
    workers: usize,
    timeouts: Timeouts,
    metrics: Option<Arc<Metrics>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    next: SocketAddr,
    expected: Arc<[Identity]>,
    peer: Option<WorkloadUid>,
    own: u64,
}

impl Pool {
    /// Runs its links on `data`, as tasks of `worker`; `workers` is how many threads that has.
    pub(crate) fn new(worker: &Worker, data: Handle, workers: usize, timeouts: Timeouts) -> Self {
        let (slots, trust, worker) = (Mutex::default(), Mutex::default(), worker.clone());
        let (workers, metrics) = (workers.max(1), None);
        Self(Arc::new(Links { slots, trust, worker, data, workers, timeouts, metrics }))
    }

    /// Counts links and handshakes there; to be said before it is used.
    #[must_use]
    pub(crate) fn counted(mut self, metrics: &Arc<Metrics>) -> Self {
        if let Some(links) = Arc::get_mut(&mut self.0) {
            links.metrics = Some(Arc::clone(metrics));
        }
        self
    }

    /// Opens a tunnel, in a link that is there or one that is made with `dial`: a socket of the
    /// pod whose connect to the next hop is in progress.
    ///
    /// # Errors
    ///
    /// When there is no link to be had, or the far end does not accept.
    ///
    /// Cancel safe: a link that was begun is made nevertheless, for others.
    pub(crate) async fn open(
        &self,
        target: &Target,
        request: &Request,
        dial: impl Fn() -> io::Result<std::net::TcpStream>,
    ) -> Result<Opened, OpenTunnelError> {
        let key = Key::of(target);
        let mut stale = 0;
        loop {
            let pick = self.0.pick(&key);
            let (carrier, place) = match pick {
                Pick::Use { carrier, place, more } => {
                    if let Some(made) = more {
                        self.make(&key, target, made, &dial);
                    }
                    (carrier, place)
                }
                Pick::Wait(made) => {
                    made.outcome().await?;
                    continue;
                }
                Pick::Make(made, wait) => {
                    self.make(&key, target, made, &dial);
                    wait.outcome().await?;
                    continue;
                }
                Pick::Crowded => return Err(OpenTunnelError::Crowded { next: target.next }),
            };
            let proven = carrier.is_proven();
            match self.0.ask(&carrier, place, request).await {
                Err(error) if error.is_stale() && proven && stale < STALE_MAX => {
                    stale += 1;
                    self.0.discard(&key, &carrier);
                }
                done => return done,
            }
        }
    }

    /// Ends every link to the workload, and those that are being made: another may have its
    /// address now.
    pub(crate) fn forget(&self, uid: &WorkloadUid) {
        let mut slots = self.0.slots.lock();
        let gone = slots.extract_if(|key, _| key.peer.as_ref() == Some(uid));
        gone.for_each(|(_, slot)| slot.kill(|| LinkEnd::Forgotten));
    }

    /// Ends every link to a peer that is no longer believed, also those that are being made.
    pub(crate) fn recheck(&self, trust: &Trust) {
        // First: whoever puts a link where it is found below has not seen it, or looks there.
        {
            let mut last = self.0.trust.lock();
            *last = (last.0 + 1, trust.clone());
        }
        for slot in self.0.slots.lock().values_mut() {
            slot.kill_some(|carrier| {
                carrier.peer.recheck(trust).is_err().then_some(LinkEnd::Revoked)
            });
        }
    }

    /// How many links there are.
    #[cfg(test)]
    pub(crate) fn links(&self) -> usize {
        self.0.slots.lock().values().map(Slot::len).sum()
    }

    /// Starts to make a link; all who wait for it hear what came of it.
    fn make(
        &self,
        key: &Key,
        target: &Target,
        made: Made,
        dial: &impl Fn() -> io::Result<std::net::TcpStream>,
    ) {
        let Links { worker, data, timeouts, .. } = &*self.0;
        let next = target.next;
        let connecting = match dial() {
            Ok(connecting) => connecting,
            Err(error) => {
                let error = OpenError::new(next, error, timeouts.connect);
                return self.0.failed(key, made, OpenTunnelError::Connect(Arc::new(error)));
            }
        };
        let (links, key, timeouts) = (Arc::downgrade(&self.0), key.clone(), *timeouts);
        let (own, expected) = (Arc::clone(&target.own), Arc::clone(&target.expected));
        let (finishing, metrics) = (worker.clone(), self.0.metrics.clone());
        let rechecked = self.0.trust.lock().0;
        worker.spawn_on(data, async move {
            // In a box, for making it needs much more than what comes after it.
            let link = Box::pin(client::link(connecting, next, &own, expected, timeouts)).await;
            drop(own);
            if let Some(metrics) = &metrics {
                count(metrics, &link);
            }
            let Some(pool) = links.upgrade() else { return };
            let driver = match link {
                Ok(driver) => driver,
                Err(error) => return pool.failed(&key, made, error),
            };
            if pool.insert(&key, made, driver.carrier(), rechecked) {
                drop(pool);
                let open = metrics.map(|metrics| metrics.tunnel(Direction::Outbound));
                drive(driver, links, key, finishing).await;
                drop(open);
            }
        });
    }
}

/// Counts how the handshake of a link went, if it came to one.
fn count(metrics: &Metrics, link: &Result<Driver, OpenTunnelError>) {
    let (outcome, took) = match link {
        Ok(driver) => (Handshake::Done, driver.shaken_in),
        Err(OpenTunnelError::Connect(_)) => return,
        Err(OpenTunnelError::HandshakeTimeout { waited, .. }) => (Handshake::Timeout, *waited),
        Err(_) => (Handshake::Failed, Duration::ZERO),
    };
    metrics.handshake(Direction::Outbound, outcome, took);
}

/// Drives a link until it ends, or is not needed.
async fn drive(driver: Driver, links: Weak<Links>, key: Key, worker: Worker) {
    let carrier = Arc::clone(driver.carrier());
    let release = |carrier: &Arc<Carrier>| {
        let limit = if worker.is_finishing() { Duration::ZERO } else { UNUSED };
        if let Some(links) = links.upgrade() {
            links.release(&key, carrier, limit);
        }
    };
    let driving = driver.drive(release);
    let finishing = async {
        worker.finishing().await;
        carrier.link.tell_unused();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = driving => {}
        () = finishing => {}
    }
    if let Some(links) = links.upgrade() {
        links.discard(&key, &carrier);
    }
}

impl Links {
    /// Finds a link for one more tunnel, or says what is to be done to have one.
    fn pick(&self, key: &Key) -> Pick {
        let mut slots = self.slots.lock();
        let slot = slots.entry(key.clone()).or_default();
        slot.pick(self.workers)
    }

    async fn ask(
        &self,
        carrier: &Arc<Carrier>,
        place: Place,
        request: &Request,
    ) -> Result<Opened, OpenTunnelError> {
        let link = &carrier.link;
        let doubted = DOUBT_AFTER <= link.silent_for();
        let silent = async {
            if !doubted {
                std::future::pending::<()>().await;
            }
            link.gone_silent(DOUBT_FOR).await;
        };
        // In a box, for asking needs more than what comes after it.
        let asking = Box::pin(carrier.open(place, request, self.timeouts.response));
        tokio::select! {
            // An answer wins over a doubt.
            biased;
            done = asking => done,
            () = silent => {
                link.kill(LinkEnd::Silent);
                Err(OpenTunnelError::silent(carrier.next))
            }
        }
    }

    /// Puts a new link where it is waited for; `false` when nobody wants it any more, or its peer is
    /// no longer believed.
    ///
    /// `rechecked` is how often links were re-checked when it was begun.
    fn insert(&self, key: &Key, made: Made, carrier: &Arc<Carrier>, rechecked: u64) -> bool {
        let mut slots = self.slots.lock();
        match slots.get_mut(key).filter(|slot| slot.waits_for(&made)) {
            Some(_) if self.is_outcast(carrier, rechecked) => {
                drop(slots);
                self.failed(key, made, OpenTunnelError::revoked(key.next));
                false
            }
            Some(slot) => {
                slot.insert(Arc::clone(carrier));
                drop(slots);
                made.tell(Ok(()));
                true
            }
            None => {
                drop(slots);
                made.tell(Err(OpenTunnelError::forgotten(key.next)));
                false
            }
        }
    }

    /// Whether links were re-checked since, and this one would not have passed.
    fn is_outcast(&self, carrier: &Carrier, rechecked: u64) -> bool {
        let (times, trust) = self.trust.lock().clone();
        times != rechecked && carrier.peer.recheck(&trust).is_err()
    }

    fn failed(&self, key: &Key, made: Made, error: OpenTunnelError) {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get_mut(key).filter(|slot| slot.waits_for(&made)) {
            slot.failed();
            if slot.is_empty() {
                slots.remove(key);
            }
        }
        drop(slots);
        made.tell(Err(error));
    }

    /// Lets go of a link that was not used for `limit`.
    fn release(&self, key: &Key, carrier: &Arc<Carrier>, limit: Duration) {
        let mut slots = self.slots.lock();
        // Under the lock: whoever picks it has entered it before the lock is free.
        if carrier.link.streams() == 0 && limit <= carrier.link.unused_for() {
            remove(&mut slots, key, carrier);
        }
    }

    fn discard(&self, key: &Key, carrier: &Arc<Carrier>) {
        remove(&mut self.slots.lock(), key, carrier);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let slots = mem::take(self.slots.get_mut());
        slots.into_values().for_each(|slot| slot.retire());
    }
}

impl Key {
    fn of(target: &Target) -> Self {
        let Target { next, expected, peer, own } = target;
        let (expected, peer) = (Arc::clone(expected), peer.clone());
        Self { next: *next, expected, peer, own: own.generation() }
    }
}

/// Takes a link out of the pool; its tunnels run on.
fn remove(slots: &mut HashMap<Key, Slot>, key: &Key, carrier: &Arc<Carrier>) {
    carrier.retire();
    if let Some(slot) = slots.get_mut(key) {
        slot.remove(carrier);
        if slot.is_empty() {
            slots.remove(key);
        }
    }
}
