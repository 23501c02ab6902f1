//! Open connections follow policy and trust: what may no longer be is cut, the rest not touched.
//!
//! A connection is in its pod's list before it is judged, so that of two snapshots at least the
//! newer one judges it: at its opening, or here.
use crate::{
    cut::Why,
    judge::{decides_in_l7, judge, still_passes},
    pods::{Pods, belief::cut_disbelieved, door::Door, pod::Pod, status::PodPhase},
};
use culvert_model::{
    authz::join::Authz,
    facts::{ConnFacts, Direction},
    identity::Identity,
    l7::L7Ports,
    name::WorkloadUid,
    path::Path,
    snapshot::{Known, Snapshot},
};
use culvert_policy::{Asking, NoRoute, balance::Idle, route};
use culvert_runtime::{alarm, drain::Worker};
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    future::pending,
    pin::pin,
    sync::Arc,
    time::Instant,
};
use tracing::info;

pub(crate) mod absent;

use absent::Absent;

/// By which policies each pod's connections were judged last, which of them had to pass L7, and as
/// whose those that it makes.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    authz: HashMap<WorkloadUid, (Arc<Authz>, L7Ports)>,
    identities: HashMap<WorkloadUid, Identity>,
}

/// Re-checks with every snapshot, and whenever other certificates are believed, as long as there
/// are connections.
pub(crate) async fn run(pods: Arc<Pods>, worker: Worker) {
    let shared = Arc::clone(&pods.shared);
    let (mut snapshots, mut trusts) = (shared.snapshot.clone(), shared.identities.trust());
    let mut snapshot = snapshots.pin();
    let mut trust = trusts.pin();
    let mut judged = Judged::default();
    let mut absent = Absent::default();
    let mut over = pin!(over(&pods, &worker));
    loop {
        let gone = abandoned(&pods.all(), &snapshot.value, &mut absent, Instant::now());
        if !gone.is_empty() {
            // What goes past us is looked at with the pods.
            gone.iter().for_each(|uid| shared.direct.abandon(uid));
            shared.changed.send_replace(());
        }
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
            () = alarm::at(absent.next()) => {}
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

/// Cuts the connections to pods that nobody has announced for too long, and gives those.
///
/// Of them nobody says what may be, and nothing new may; what a pod has open that is let go runs on.
pub(crate) fn abandoned(
    pods: &[Arc<Pod>],
    snapshot: &Snapshot,
    absent: &mut Absent,
    now: Instant,
) -> Vec<WorkloadUid> {
    let unannounced =
        pods.iter().filter(|pod| snapshot.known(&pod.uid).is_none() && !is_leaving(pod));
    let gone = absent.look(unannounced.map(|pod| &pod.uid), now);
    for pod in pods.iter().filter(|pod| gone.contains(&pod.uid)) {
        let cut = pod.connections.cut(|conn| {
            let ours = |facts: &ConnFacts| {
                facts.direction == Direction::Inbound && facts.path != Path::Direct
            };
            conn.live.see(ours).then_some(Why::Unannounced)
        });
        if 0 < cut {
            info!(pod = %pod.uid, connections = cut, "cut: the pod is announced no more");
        }
    }
    gone
}

fn is_leaving(pod: &Pod) -> bool {
    pod.phase() == PodPhase::Leaving
}

impl Judged {
    /// Cuts the connections to `pods` that `snapshot` no longer lets pass.
    pub(crate) fn recheck(&mut self, pods: &[Arc<Pod>], snapshot: &Snapshot) {
        let here: HashSet<_> = pods.iter().map(|pod| &pod.uid).collect();
        self.authz.retain(|uid, _| here.contains(uid));
        self.identities.retain(|uid, _| here.contains(uid));
        let mut another = false;
        for pod in pods {
            let Some(known) = snapshot.known(&pod.uid) else { continue };
            let identity = &known.member.identity;
            if self.identities.get(&pod.uid) != Some(identity) {
                let before = self.identities.insert(pod.uid.clone(), identity.clone());
                another |= before.is_some();
            }
        }
        for pod in pods {
            // Of a pod that is no longer announced nobody says what may be; nothing new may.
            let Some(known) = snapshot.known(&pod.uid) else { continue };
            let l7 = &known.member.l7;
            let same = self.authz.get(&pod.uid).is_some_and(|(authz, passed)| {
                (Arc::ptr_eq(authz, &known.authz) || **authz == *known.authz) && passed == l7
            });
            if !same || another {
                self.revoke(pod, known);
            }
            self.authz.insert(pod.uid.clone(), (Arc::clone(&known.authz), l7.clone()));
        }
    }

    /// Cuts what the policies of `known` do not let pass.
    fn revoke(&self, pod: &Pod, known: &Known) {
        let cut = pod.connections.cut(|conn| {
            conn.live.see(|facts| {
                // What goes past us is looked at where it can be ended.
                let ours = facts.direction == Direction::Inbound && facts.path != Path::Direct;
                if !ours {
                    return None;
                }
                if conn.goes_past_l7() && decides_in_l7(known, facts.destination.port()) {
                    return Some(Why::PastL7);
                }
                let facts = self.as_known(facts);
                if still_passes(&known.authz, &facts) {
                    return None;
                }
                judge(known, &facts).err().map(Why::Revoked)
            })
        });
        if 0 < cut {
            info!(pod = %pod.uid, connections = cut, "cut by policy");
        }
    }

    /// What was handed over, with the identity that its source has now: nothing proved the one of
    /// its beginning but that it was the pod's.
    fn as_known<'f>(&self, facts: &'f ConnFacts) -> Cow<'f, ConnFacts> {
        let source = facts.source_workload.as_ref().filter(|_| facts.path == Path::Local);
        match source.and_then(|source| self.identities.get(&source.uid)) {
            Some(now) if facts.source_identity.as_ref() != Some(now) => {
                let source_identity = Some(now.clone());
                Cow::Owned(ConnFacts { source_identity, ..facts.clone() })
            }
            Some(_) | None => Cow::Borrowed(facts),
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
