//! The workloads behind one service.
use super::Endpoint;
use crate::name::WorkloadUid;
use std::{cmp::Ordering, collections::BTreeMap, mem, sync::Arc};

/// Those behind it, in the order of their uids, and what changed since.
///
/// Kept whether the service is known or not, for it may come after them.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    all: Arc<[Endpoint]>,
    /// `None`: it is no endpoint any more.
    changes: BTreeMap<WorkloadUid, Option<Endpoint>>,
}

impl Endpoints {
    /// Those of the last [`apply`](Self::apply).
    pub(super) fn all(&self) -> Arc<[Endpoint]> {
        Arc::clone(&self.all)
    }

    pub(super) fn set(&mut self, uid: WorkloadUid, endpoint: Option<Endpoint>) {
        self.changes.insert(uid, endpoint);
    }

    /// Those there are now.
    pub(super) fn apply(&mut self) -> Arc<[Endpoint]> {
        let mut changes = mem::take(&mut self.changes).into_iter().peekable();
        if changes.peek().is_none() {
            return self.all();
        }
        let mut merged = Vec::with_capacity(self.all.len() + changes.len());
        for old in &*self.all {
            let uid = &old.known.member.uid;
            while let Some((_, new)) = changes.next_if(|(changed, _)| changed < uid) {
                merged.extend(new);
            }
            match changes.next_if(|(changed, _)| changed.cmp(uid) == Ordering::Equal) {
                Some((_, new)) => merged.extend(new),
                None => merged.push(old.clone()),
            }
        }
        merged.extend(changes.filter_map(|(_, new)| new));
        self.all = merged.into();
        self.all()
    }
}
