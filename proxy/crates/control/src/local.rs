//! The pods that manifests put on this node, for a node whose control plane is elsewhere.
use crate::{compile::Settings, control::StartError, manifests::Manifests, status::Status};
use culvert_model::pod::LocalPods;
use culvert_runtime::{drain::Worker, publish::Publisher};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// A handle on whoever reads them.
#[derive(Clone, Debug)]
pub struct Control {
    status: watch::Receiver<Arc<Status>>,
}

impl Control {
    /// Reads `paths`, publishes the pods of `settings.node_name`, and follows changes until the
    /// drain. Returns when the first set is published.
    ///
    /// # Errors
    ///
    /// When the first set has problems, all of them; a later one that has is refused, and what was
    /// published stays.
    pub async fn start(
        paths: &[PathBuf],
        settings: Settings,
        mut local: Publisher<LocalPods>,
        worker: &Worker,
    ) -> Result<Self, StartError> {
        let (mut manifests, mut watch, _) = Manifests::of_files(paths, settings).await?;
        let status = manifests.status();
        local.publish(manifests.with_mesh(|mesh| mesh.local.clone()));
        let owner = worker.clone();
        worker.spawn(async move {
            loop {
                let dirty = tokio::select! {
                    biased;
                    () = owner.finishing() => return,
                    dirty = watch.changed() => dirty,
                };
                if manifests.reload(dirty).await.is_some_and(|changes| changes.local) {
                    local.publish(manifests.with_mesh(|mesh| mesh.local.clone()));
                }
            }
        });
        Ok(Self { status })
    }

    /// What is in force now.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// Waits for the next word on a change: it is in force, or refused. `None` after the drain.
    ///
    /// Cancel safe.
    pub async fn changed(&mut self) -> Option<Arc<Status>> {
        self.status.changed().await.ok()?;
        Some(Arc::clone(&self.status.borrow_and_update()))
    }
}
