//! Which pods somebody cares for.
use super::{actor::Want, plan::Held, pod::Pod};
use culvert_model::{name::WorkloadUid, pod::LocalPod};
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio::sync::watch;

/// Every pod that has an actor.
#[derive(Default)]
pub(super) struct Table(Mutex<BTreeMap<WorkloadUid, Seat>>);

/// One pod and the way to its actor.
struct Seat {
    pod: Arc<Pod>,
    want: watch::Sender<Want>,
}

impl Table {
    /// What each actor was told last.
    pub(super) fn held(&self) -> Held {
        let seats = self.0.lock();
        seats.iter().map(|(uid, seat)| (uid.clone(), seat.want.borrow().clone())).collect()
    }

    /// Tells the pod's actor; without one, gives what a new one must be given.
    pub(super) fn tell(
        &self,
        wanted: &Arc<LocalPod>,
        pod: impl FnOnce() -> Pod,
    ) -> Option<(Arc<Pod>, watch::Receiver<Want>)> {
        let mut seats = self.0.lock();
        let uid = &wanted.workload.uid;
        if let Some(seat) = seats.get(uid) {
            seat.want.send_replace(Some(Arc::clone(wanted)));
            return None;
        }
        let (pod, (want, told)) = (Arc::new(pod()), watch::channel(Some(Arc::clone(wanted))));
        seats.insert(uid.clone(), Seat { pod: Arc::clone(&pod), want });
        Some((pod, told))
    }

    /// Has the pod let go.
    pub(super) fn let_go(&self, uid: &WorkloadUid) {
        if let Some(seat) = self.0.lock().get(uid) {
            seat.want.send_replace(None);
        }
    }

    /// Forgets a pod whose actor is done with it; false when it is wanted again.
    pub(super) fn remove_unwanted(&self, uid: &WorkloadUid) -> bool {
        let mut seats = self.0.lock();
        let unwanted = seats.get(uid).is_none_or(|seat| seat.want.borrow().is_none());
        if unwanted {
            drop(seats.remove(uid));
        }
        unwanted
    }

    pub(super) fn pods(&self) -> Vec<Arc<Pod>> {
        self.0.lock().values().map(|seat| Arc::clone(&seat.pod)).collect()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.lock().keys()).finish()
    }
}
