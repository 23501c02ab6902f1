//! The connections a pod has now.
use culvert_model::name::WorkloadUid;
use culvert_telemetry::conn::Live;
use parking_lot::Mutex;
use serde::Serialize;
use slab::Slab;
use std::{net::SocketAddr, sync::Arc};

/// What a status command shows of one connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnStatus {
    /// The uid of the pod it belongs to.
    pub pod: String,
    pub direction: &'static str,
    pub source: SocketAddr,
    pub destination: SocketAddr,
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

#[derive(Debug)]
struct Entry {
    live: Arc<Live>,
    state: ConnState,
}

impl Connections {
    pub(crate) fn add(&self, live: Arc<Live>) -> Slot {
        let slot = self.0.lock().insert(Entry { live, state: ConnState::Opening });
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
    pub(crate) fn status(&self, pod: &WorkloadUid) -> Vec<ConnStatus> {
        // Formatted outside of the lock, which connections that begin or end wait for.
        let entries: Vec<_> = {
            let entries = self.0.lock();
            entries.iter().map(|(_, Entry { live, state })| (Arc::clone(live), *state)).collect()
        };
        entries.iter().map(|(live, state)| ConnStatus::new(pod, live, *state)).collect()
    }
}

impl ConnStatus {
    fn new(pod: &WorkloadUid, live: &Live, state: ConnState) -> Self {
        let facts = live.facts();
        Self {
            pod: pod.as_str().to_owned(),
            direction: facts.direction.as_str(),
            source: facts.source,
            destination: facts.destination,
            state,
            bytes_sent: live.bytes_sent(),
            bytes_received: live.bytes_received(),
            age: live.lasted().as_secs_f64(),
        }
    }
}
