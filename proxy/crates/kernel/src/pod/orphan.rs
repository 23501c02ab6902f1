//! Pods an earlier generation enrolled.
use crate::{
    netns::Netns,
    node::Shared,
    pod::{EnrolError, record::Record, undo},
};
use culvert_model::name::WorkloadUid;
use std::{fmt, path::Path, sync::Arc};

/// A recorded pod that this process does not hold.
///
/// Dropping it changes nothing.
pub struct Orphan {
    shared: Arc<Shared>,
    record: Record,
    uid: WorkloadUid,
}

impl Orphan {
    pub(crate) fn all(shared: &Arc<Shared>) -> Vec<Self> {
        let registry = shared.registry();
        let left = registry.all().filter(|record| !registry.is_held(record.pod_id));
        left.map(|record| Self {
            shared: Arc::clone(shared),
            record: record.clone(),
            uid: record.uid(),
        })
        .collect()
    }

    pub fn uid(&self) -> &WorkloadUid {
        &self.uid
    }

    pub fn pod_id(&self) -> u32 {
        self.record.pod_id
    }

    /// Where its network namespace was mounted.
    pub fn netns(&self) -> &Path {
        &self.record.netns
    }

    /// Whether its namespace is mounted no more, or another one is in its place.
    pub fn is_gone(&self) -> bool {
        self.namespace().is_none()
    }

    /// Lets new connections go direct; what serves those of an earlier generation stays.
    ///
    /// # Errors
    ///
    /// When a map cannot be written or a link not be removed.
    pub fn release(&self) -> Result<(), EnrolError> {
        if self.was_adopted() { Ok(()) } else { undo::release(&self.shared, &self.record) }
    }

    /// Takes it out of the kernel and forgets it; nothing if it was enrolled again since.
    ///
    /// # Errors
    ///
    /// When something could not be undone; its record stays.
    pub fn finish(self) -> Result<(), EnrolError> {
        if self.was_adopted() {
            return Ok(());
        }
        undo::finish(&self.shared, &self.record, self.namespace().as_ref())
    }

    fn was_adopted(&self) -> bool {
        let registry = self.shared.registry();
        registry.is_held(self.record.pod_id) || registry.get(self.record.pod_id).is_none()
    }

    fn namespace(&self) -> Option<Netns> {
        undo::netns_of(&self.record)
    }
}

impl fmt::Debug for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orphan").field("record", &self.record).finish_non_exhaustive()
    }
}
