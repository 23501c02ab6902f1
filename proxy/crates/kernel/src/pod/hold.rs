//! One pod in this process's hands.
use crate::{
    netns::Netns,
    node::Shared,
    pod::{
        EnrolError,
        record::{Record, Token},
        undo,
    },
};
use std::{fmt, fs, os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc};

/// The right to change a pod, until somebody else takes hold of it.
pub(crate) struct Hold {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pod_id: u32,
    pub(crate) netns: Netns,
    pub(crate) path: PathBuf,
    token: Token,
}

impl Hold {
    pub(crate) fn take(shared: &Arc<Shared>, pod_id: u32, netns: Netns, path: PathBuf) -> Self {
        let token = shared.registry().hold(pod_id);
        Self { shared: Arc::clone(shared), pod_id, netns, path, token }
    }

    /// The pod's record; `None` when the pod is not ours to change any more.
    pub(crate) fn record(&self) -> Option<Record> {
        if !self.shared.is_owner() {
            return None;
        }
        let registry = self.shared.registry();
        let ours = registry.is_held_by(self.pod_id, self.token);
        registry.get(self.pod_id).filter(|_| ours).cloned()
    }

    pub(crate) fn is_gone(&self) -> bool {
        // Our sockets keep the namespace alive, and so its inode number from being used again.
        !fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.netns.inode())
    }

    /// Takes the pod out of the kernel and forgets it.
    pub(crate) fn undo(&self) -> Result<(), EnrolError> {
        let Some(record) = self.record() else { return Ok(()) };
        let netns = (!self.is_gone()).then_some(&self.netns);
        undo::finish(&self.shared, &record, netns)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.registry().let_go(self.pod_id, self.token);
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("pod_id", &self.pod_id)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A hold on a pod that is not captured yet; dropped as such, a fresh pod is undone.
#[derive(Debug)]
pub(crate) struct Tentative {
    /// `None` once the pod is captured.
    hold: Option<Hold>,
    pub(crate) pod_id: u32,
    fresh: bool,
}

impl Tentative {
    pub(crate) fn new(hold: Hold, fresh: bool) -> Self {
        Self { pod_id: hold.pod_id, hold: Some(hold), fresh }
    }

    pub(crate) fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The pod is captured from now on.
    pub(crate) fn commit(mut self) -> Option<Hold> {
        self.hold.take()
    }
}

impl Drop for Tentative {
    fn drop(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        if !self.fresh {
            // It may drain in this very process.
            hold.shared.registry().give_back(hold.pod_id, hold.token);
        } else if let Err(error) = hold.undo() {
            let pod = hold.pod_id;
            tracing::warn!(pod, error = &error as &dyn std::error::Error, "pod not undone");
        }
    }
}
