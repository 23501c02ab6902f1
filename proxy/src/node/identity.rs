//! The certificates of this node's pods: asked for when a pod is wanted, held while it is.
use culvert_identity::store::{Hold, Identities};
use culvert_model::{identity::Identity, pod::LocalPods};
use std::{collections::BTreeMap, time::Duration};
use tokio::time;
use tracing::warn;

/// What keeps the certificates of the pods that are held fresh.
#[derive(Debug)]
pub(super) struct Holds {
    identities: Identities,
    /// By identity, which several pods may share.
    held: BTreeMap<Identity, Hold>,
}

impl Holds {
    pub(super) fn new(identities: Identities) -> Self {
        Self { identities, held: BTreeMap::new() }
    }

    /// Holds the certificates of these pods and of no others.
    pub(super) fn hold(&mut self, pods: &LocalPods) {
        let mut before = std::mem::take(&mut self.held);
        for pod in pods.pods.values() {
            let identity = &pod.workload.identity;
            if !self.held.contains_key(identity) {
                let hold = before.remove(identity);
                let hold = hold.unwrap_or_else(|| self.identities.hold(identity.clone()));
                self.held.insert(identity.clone(), hold);
            }
        }
    }
}

/// Waits until each of these pods has its certificate, or it is known why it has none; for
/// `patience` at most.
pub(super) async fn certified(identities: &Identities, pods: &LocalPods, patience: Duration) {
    let all = async {
        for pod in pods.pods.values() {
            if let Err(error) = identities.certificate(&pod.workload.identity).await {
                warn!(%error, "a pod starts without a certificate");
            }
        }
    };
    if time::timeout(patience, all).await.is_err() {
        warn!(?patience, "not every pod has its certificate yet");
    }
}
