//! Open connections follow policy and trust: what may no longer be is cut, the rest not touched.
//!
//! A connection is in its pod's list before it is judged, so that of two snapshots at least the
//! newer one judges it: at its opening, or here.
use crate::{
    cut::Why,
    judge::{judge, still_passes},
    pods::{Pods, belief::cut_disbelieved, door::Door, pod::Pod},
};
use culvert_model::{
    authz::join::Authz,
    facts::Direction,
    name::WorkloadUid,
    path::Path,
    snapshot::{Known, Snapshot},
};
use culvert_policy::{Asking, NoRoute, balance::Idle, route};
use culvert_runtime::drain::Worker;
use std::{
    collections::{HashMap, HashSet},
    future::pending,
    pin::pin,
    sync::Arc,
};
use tracing::info;

/// By which policies each pod's connections were judged last.
#[derive(Debug, Default)]
pub(crate) struct Judged(HashMap<WorkloadUid, Arc<Authz>>);

/// Re-checks with every snapshot, and whenever other certificates are believed, as long as there
/// are connections.
pub(crate) async fn run(pods: Arc<Pods>, worker: Worker) {
    let shared = Arc::clone(&pods.shared);
    let (mut snapshots, mut trusts) = (shared.snapshot.clone(), shared.identities.trust());
    let mut snapshot = snapshots.pin();
    let mut trust = trusts.pin();
    let mut judged = Judged::default();
    let mut over = pin!(over(&pods, &worker));
    loop {
        let newer_snapshot = async {
            match snapshots.newer_than(snapshot.generation).await {
                Some(newer) => newer,
                None => pending().await,
            }
        };
        let newer_trust = async {
            match trusts.newer_than(trust.generation).await {
                Some(newer) => newer,
                None => pending().await,
            }
        };
        tokio::select! {
            () = &mut over => return,
            newer = newer_snapshot => {
                snapshot = newer;
                let pods = pods.all();
                judged.recheck(&pods, &snapshot.value);
                pods.iter().for_each(|pod| stray(pod, &snapshot.value));
                shared.doors.all().iter().for_each(|door| forget(door, &snapshot.value));
            }
            newer = newer_trust => {
                trust = newer;
                // The other direction is looked after by whoever serves the tunnel.
                shared.doors.all().iter().for_each(|door| door.pool.recheck(&trust.value));
                cut_disbelieved(&pods.all());
                // What goes past us is looked at with the pods.
                shared.changed.send_replace(());
            }
        }
    }
}

/// Resolves when the process finishes: connections run on then, and are looked after until their
/// tasks are dropped with the worker's.
async fn over(pods: &Pods, worker: &Worker) {
    worker.finishing().await;
    for pod in pods.all() {
        pod.load.empty().await;
    }
}

/// Ends the tunnels to workloads that are gone.
fn forget(door: &Door, snapshot: &Snapshot) {
    door.peers.gone(snapshot).iter().for_each(|peer| door.pool.forget(peer));
}

impl Judged {
    /// Cuts the connections to `pods` that `snapshot` no longer lets pass.
    pub(crate) fn recheck(&mut self, pods: &[Arc<Pod>], snapshot: &Snapshot) {
        let here: HashSet<_> = pods.iter().map(|pod| &pod.uid).collect();
        self.0.retain(|uid, _| here.contains(uid));
        for pod in pods {
            // Of a pod that is no longer announced nobody says what may be; nothing new may.
            let Some(known) = snapshot.known(&pod.uid) else { continue };
            let same = self
                .0
                .get(&pod.uid)
                .is_some_and(|authz| Arc::ptr_eq(authz, &known.authz) || **authz == *known.authz);
            if !same {
                revoke(pod, known);
            }
            self.0.insert(pod.uid.clone(), Arc::clone(&known.authz));
        }
    }
}

/// Cuts what the pod sends in plain text to where nobody may be led to any more.
///
/// Somebody who is in the mesh since, or reached in another way now, is no stranger.
pub(crate) fn stray(pod: &Pod, snapshot: &Snapshot) {
    let Some(known) = snapshot.known(&pod.uid) else { return };
    let cut = pod.connections.cut(|conn| {
        let destination = conn.live.see(|facts| {
            let plain = facts.direction == Direction::Outbound && facts.path == Path::Plain;
            let service = facts.service.as_ref();
            let known = service.is_some_and(|one| snapshot.service(&one.host).is_some());
            (plain && !known).then_some(facts.destination)
        })?;
        let (load, dice) = (&Idle, &mut || 0);
        let asking = Asking { source: known, destination, failed: &[], load, dice };
        match route(snapshot, asking) {
            Err(why @ (NoRoute::Unknown(_) | NoRoute::Closed(_))) => Some(Why::NoRoute(why)),
            Ok(_) | Err(_) => None,
        }
    });
    if 0 < cut {
        info!(pod = %pod.uid, connections = cut, "cut: they may no longer go there");
    }
}

/// Cuts what the policies of `known` do not let pass.
fn revoke(pod: &Pod, known: &Known) {
    let cut = pod.connections.cut(|conn| {
        conn.live.see(|facts| {
            // What goes past us is looked at where it can be ended.
            let ours = facts.direction == Direction::Inbound && facts.path != Path::Direct;
            if !ours || still_passes(&known.authz, facts) {
                return None;
            }
            judge(known, facts).err().map(Why::Revoked)
        })
    });
    if 0 < cut {
        info!(pod = %pod.uid, connections = cut, "cut by policy");
    }
}
