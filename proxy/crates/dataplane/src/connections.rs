//! The connections a pod has now.
use crate::cut::{Cut, Why};
use culvert_model::{facts::ConnFacts, identity::Identity, name::WorkloadUid};
use culvert_telemetry::conn::Live;
use parking_lot::Mutex;
use serde::Serialize;
use slab::Slab;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What a status command shows of one connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnStatus {
    /// The uid of the pod it belongs to.
    pub pod: String,
    pub direction: &'static str,
    /// The way it takes: plain, tunnel, local or direct.
    pub path: &'static str,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// Proven, or known where both ends are on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_identity: Option<String>,
    /// The host name of the service that was addressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The next hop of its tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop: Option<SocketAddr>,
    pub state: ConnState,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// In seconds.
    pub age: f64,
}

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnState {
    /// The other side has not answered yet.
    Opening,
    /// Both sides are there.
    Open,
}

/// The connections of one pod: a slot each, of a pointer and a state.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Slab<Entry>>);

/// Where a connection is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot(u32);

/// One connection, as others than its task see it.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) live: Arc<Live>,
    pub(crate) cut: Cut,
    /// It reaches the application, and no L7 on its way; or is about to.
    past_l7: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    conn: Arc<Conn>,
    state: ConnState,
}

impl Connections {
    pub(crate) fn add(&self, conn: Arc<Conn>) -> Slot {
        let slot = self.0.lock().insert(Entry { conn, state: ConnState::Opening });
        // A slot takes 16 bytes: memory ends before the numbers do.
        Slot(u32::try_from(slot).unwrap_or(u32::MAX))
    }

    pub(crate) fn opened(&self, slot: Slot) {
        if let Some(entry) = self.0.lock().get_mut(slot.0 as usize) {
            entry.state = ConnState::Open;
        }
    }

    pub(crate) fn remove(&self, slot: Slot) {
        let mut entries = self.0.lock();
        let entry = entries.try_remove(slot.0 as usize);
        if entries.is_empty() {
            // Gives the memory of a busy hour back.
            *entries = Slab::new();
        }
        drop(entries);
        // The facts are freed outside of the lock.
        drop(entry);
    }

    /// What there is now, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Conn>> {
        self.0.lock().iter().map(|(_, entry)| Arc::clone(&entry.conn)).collect()
    }

    /// Cuts those for which `why` has a reason; how many.
    pub(crate) fn cut(&self, why: impl Fn(&Conn) -> Option<Why>) -> usize {
        // Asked outside of the lock, which connections that begin or end wait for.
        let cut = |conn: &Arc<Conn>| why(conn).is_some_and(|why| conn.cut.cut(why));
        self.all().iter().filter(|conn| cut(conn)).count()
    }

    /// What a status command shows, in no order.
    pub(crate) fn status(&self, pod: &WorkloadUid) -> Vec<ConnStatus> {
        // Formatted outside of the lock, as above.
        let entries: Vec<_> = {
            let entries = self.0.lock();
            entries.iter().map(|(_, Entry { conn, state })| (Arc::clone(conn), *state)).collect()
        };
        entries.iter().map(|(conn, state)| ConnStatus::new(pod, &conn.live, *state)).collect()
    }
}

impl Conn {
    pub(crate) fn new(live: Arc<Live>) -> Arc<Self> {
        Arc::new(Self { live, cut: Cut::default(), past_l7: AtomicBool::new(false) })
    }

    /// Says whether it goes to the application past L7: before it is known by which snapshot, so that
    /// who looks with a newer one finds it.
    pub(crate) fn go_past_l7(&self, goes: bool) {
        self.past_l7.store(goes, Ordering::SeqCst);
    }

    pub(crate) fn goes_past_l7(&self) -> bool {
        self.past_l7.load(Ordering::SeqCst)
    }
}

impl ConnStatus {
    fn new(pod: &WorkloadUid, live: &Live, state: ConnState) -> Self {
        let facts = live.facts();
        let ConnFacts { direction, source, destination, path, hbone, .. } = facts;
        Self {
            pod: pod.as_str().to_owned(),
            direction: direction.as_str(),
            path: path.as_str(),
            source,
            destination,
            source_identity: facts.source_identity.as_ref().map(Identity::to_string),
            destination_identity: facts.destination_identity.as_ref().map(Identity::to_string),
            service: facts.service.map(|service| service.host.hostname.to_string()),
            hop: hbone,
            state,
            bytes_sent: live.bytes_sent(),
            bytes_received: live.bytes_received(),
            age: live.lasted().as_secs_f64(),
        }
    }
}
