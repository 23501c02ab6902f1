//! Which pods the dataplane holds: what manifests want, once the node knows the mesh; and who
//! leaves, until it may.
use super::{identity::Holds, resolvers, retention::Retention};
use culvert_model::{
    name::WorkloadUid,
    pod::{LocalPod, LocalPods},
    snapshot::Snapshot,
};
use culvert_runtime::{
    alarm,
    drain::Worker,
    publish::{Generation, Publisher, View},
};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

/// What the task begins with.
pub(super) struct Keep {
    pub(super) wanted: View<LocalPods>,
    pub(super) snapshot: View<Snapshot>,
    pub(super) held: Publisher<LocalPods>,
    /// Those that wait to be released.
    pub(super) leaving: watch::Sender<BTreeSet<WorkloadUid>>,
    pub(super) released: mpsc::Receiver<Vec<WorkloadUid>>,
    pub(super) holds: Holds,
    /// Of pods that do not say theirs; none: those of their files.
    pub(super) resolvers: Vec<IpAddr>,
    pub(super) patience: Duration,
}

impl Keep {
    /// Until the worker finishes.
    pub(super) fn start(mut self, worker: &Worker) {
        worker.spawn_until_finish(async move { self.keep().await });
    }

    async fn keep(&mut self) {
        // Asked for early: they are there when the pods are.
        self.holds.hold(&self.wanted.pin().value);
        // Without the mesh a pod would be cut off from everybody, and worse than before.
        if self.snapshot.newer_than(Generation::FIRST).await.is_none() {
            return;
        }
        let mut retention = Retention::new(self.patience);
        let mut seen = None;
        loop {
            let now = self.wanted.pin();
            if seen != Some(now.generation) {
                seen = Some(now.generation);
                retention.want(&now.value, Instant::now(), is_there);
            }
            let late = retention.expire(Instant::now());
            if !late.is_empty() {
                let pods = late.iter().map(WorkloadUid::as_str).collect::<Vec<_>>().join(", ");
                warn!(pods, "let go though not everybody may know that they left");
            }
            self.publish(&retention);
            tokio::select! {
                Some(_) = self.wanted.newer_than(now.generation) => {}
                Some(uids) = self.released.recv() => {
                    let names = uids.iter().map(WorkloadUid::as_str).collect::<Vec<_>>().join(", ");
                    info!(pods = names, "the control plane releases pods");
                    retention.release(&uids);
                }
                () = alarm::at(retention.next()) => {}
                else => return,
            }
        }
    }

    fn publish(&mut self, retention: &Retention) {
        let leaving: BTreeSet<_> = retention.leaving().cloned().collect();
        self.leaving.send_if_modified(|told| {
            let changed = *told != leaving;
            *told = leaving;
            changed
        });
        let pods = retention.pods();
        self.holds.hold(&pods);
        self.held.publish(resolvers::settle(pods, &self.resolvers));
    }
}

/// A pod that is gone with its namespace has nothing left to hold.
fn is_there(pod: &LocalPod) -> bool {
    pod.netns.exists()
}
