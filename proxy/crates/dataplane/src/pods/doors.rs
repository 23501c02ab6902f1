//! The doors of this node: how a connection finds the pod next to it.
use super::door::Door;
use culvert_model::name::WorkloadUid;
use parking_lot::RwLock;
use std::{collections::HashMap, fmt, sync::Arc};

/// By the uid of the pod; each while the pod's sockets can be used.
#[derive(Default)]
pub(crate) struct Doors(RwLock<HashMap<WorkloadUid, Arc<Door>>>);

impl Doors {
    /// Takes what `door` opens, in the place of an earlier enrolment's.
    pub(crate) fn put(&self, door: &Arc<Door>) {
        let before = self.0.write().insert(door.pod.uid.clone(), Arc::clone(door));
        // What it holds is freed outside of the lock.
        drop(before);
    }

    /// Lets go of the pod's door.
    pub(super) fn take(&self, uid: &WorkloadUid) {
        let before = self.0.write().remove(uid);
        drop(before);
    }

    /// Goes in by the pod's door, if it has one.
    ///
    /// Who has taken the door out knows that whoever went in before is counted with the pod.
    pub(crate) fn enter<T>(
        &self,
        uid: &WorkloadUid,
        go: impl FnOnce(&Arc<Door>) -> T,
    ) -> Option<T> {
        self.0.read().get(uid).map(go)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Door>> {
        self.0.read().values().map(Arc::clone).collect()
    }
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.read().keys()).finish()
    }
}
