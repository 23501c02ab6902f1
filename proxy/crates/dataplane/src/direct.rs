//! Connections that go from pod to pod of the node without us, because one like it was let pass.
//!
//! A verdict names the epochs of both pods; whatever a decision about connections from or to a pod
//! reads, a change of it gives the pod a new epoch, and with it all its verdicts end. What goes
//! direct already is asked for anew then, and ended when it may no longer be.
mod beat;
mod events;
mod follow;
#[cfg(test)]
mod tests;

pub(crate) use {beat::beat, events::events, follow::follow};

use crate::{cut::Why, pods::door::Door};
use culvert_kernel::{Node, Verdict};
use culvert_model::{
    name::WorkloadUid,
    snapshot::{Bound, Known, Snapshot},
};
use culvert_telemetry::chain::Chain;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    mem,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tracing::debug;

/// The pods between which connections may go direct.
#[derive(Debug)]
pub(crate) struct Direct {
    /// `None`: there is none, everything comes to us.
    kernel: Option<Arc<Node>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    places: HashMap<WorkloadUid, Place>,
    /// What the places were last reconciled with.
    snapshot: Snapshot,
    /// What the kernel could not be told.
    untold: Changes,
    /// Whether it was not the last time.
    has_failed: bool,
    /// Those to which nothing may go any more, and whether their connections were looked at since.
    abandoned: HashMap<WorkloadUid, bool>,
    /// Connections that we ended, until they say so themselves.
    revoked: HashMap<(SocketAddr, SocketAddr), Why>,
}

/// One pod, and everything that decisions about it read.
#[derive(Debug)]
struct Place {
    door: Arc<Door>,
    epoch: u64,
    known: Arc<Known>,
    /// The services it was permitted to reach directly, by their addresses.
    services: HashMap<IpAddr, Arc<Bound>>,
}

/// A connection that was let pass, from hand to hand.
#[derive(Debug)]
pub(crate) struct Passed {
    /// What the application dialled, and where that led.
    pub(crate) meant: SocketAddr,
    pub(crate) target: SocketAddr,
    /// As the way was chosen.
    pub(crate) source: Arc<Known>,
    /// The service that was dialled.
    pub(crate) service: Option<Arc<Bound>>,
    /// As policy decided.
    pub(crate) destination: Arc<Known>,
}

/// Pods that have another epoch than before.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) epochs: Vec<(u32, u64)>,
    pub(crate) doors: Vec<Arc<Door>>,
}

impl Direct {
    pub(crate) fn new(kernel: Option<Arc<Node>>) -> Self {
        // Later than every epoch of an earlier process, whose connections may still be there.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let next = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX / 2);
        let (places, snapshot, revoked) = (HashMap::new(), Snapshot::default(), HashMap::new());
        let (untold, abandoned) = (Changes::default(), HashMap::new());
        let has_failed = false;
        let state = State { next, places, snapshot, untold, has_failed, abandoned, revoked };
        Self { kernel, state: Mutex::new(state) }
    }

    /// Lets the kernel pass the next connections like this one, if nothing has changed since it
    /// was decided.
    pub(crate) fn permit(&self, passed: &Passed) {
        let Some(kernel) = &self.kernel else { return };
        let Some(verdict) = self.state.lock().verdict(passed) else { return };
        match kernel.permit(&verdict) {
            Ok(recorded) => debug!(?verdict, recorded, "may go direct"),
            Err(error) => debug!(?verdict, error = %Chain(&error), "does not go direct"),
        }
    }

    /// Gives new epochs to the pods about which something changed; `doors` are those that take
    /// part, `outcasts` those that must not.
    pub(crate) fn reconcile(
        &self,
        snapshot: &Snapshot,
        doors: &[Arc<Door>],
        outcasts: &[Arc<Door>],
    ) -> Changes {
        let mut state = self.state.lock();
        state.snapshot = snapshot.clone();
        let State { next, places, untold, abandoned, .. } = &mut *state;
        // Of a pod of which there is more to tell, the last holds.
        let mut changes = mem::take(untold);
        let here: HashSet<_> = doors.iter().map(|door| &door.pod.uid).collect();
        for door in outcasts {
            if places.remove(&door.pod.uid).is_some() {
                *next += 1;
                changes.epochs.push((door.id, *next));
            }
        }
        places.retain(|uid, _| here.contains(uid));
        abandoned.retain(|uid, _| here.contains(uid));
        for door in doors {
            let uid = &door.pod.uid;
            let Some(known) = snapshot.known(uid) else {
                // Of who is not announced nobody says what may be.
                let news = abandoned.get_mut(uid).is_some_and(|seen| !mem::replace(seen, true));
                if places.remove(uid).is_some() || news {
                    *next += 1;
                    changes.epochs.push((door.id, *next));
                }
                continue;
            };
            abandoned.remove(uid);
            if let Some(place) = places.get_mut(uid)
                && place.is_still(door, known, snapshot)
            {
                // Perhaps another one that says the same.
                place.known = Arc::clone(known);
                continue;
            }
            *next += 1;
            changes.epochs.push((door.id, *next));
            changes.doors.push(Arc::clone(door));
            let (door, known) = (Arc::clone(door), Arc::clone(known));
            let place = Place { door, epoch: *next, known, services: HashMap::new() };
            places.insert(uid.clone(), place);
        }
        changes
    }

    /// Has the connections to a pod ended that nobody announces any more, until somebody does.
    pub(crate) fn abandon(&self, uid: &WorkloadUid) {
        self.state.lock().abandoned.insert(uid.clone(), false);
    }

    fn is_abandoned(&self, uid: &WorkloadUid) -> bool {
        self.state.lock().abandoned.contains_key(uid)
    }

    /// Keeps what the kernel could not be told, to tell it again: until then it has verdicts of
    /// before, which must not hold.
    fn keep(&self, untold: Changes) {
        let mut state = self.state.lock();
        (state.untold, state.has_failed) = (untold, true);
    }

    /// The kernel was told all.
    fn told(&self) {
        self.state.lock().has_failed = false;
    }

    /// Whether the kernel does not know of a change.
    fn is_untold(&self) -> bool {
        self.state.lock().has_failed
    }

    /// The epoch that the pod of `id` has now.
    pub(crate) fn epochs(&self) -> HashMap<u32, u64> {
        self.state.lock().places.values().map(|place| (place.door.id, place.epoch)).collect()
    }

    fn revoke(&self, ends: (SocketAddr, SocketAddr), why: Why) {
        self.state.lock().revoked.insert(ends, why);
    }

    fn was_revoked(&self, ends: (SocketAddr, SocketAddr)) -> Option<Why> {
        self.state.lock().revoked.remove(&ends)
    }
}

impl State {
    fn verdict(&mut self, passed: &Passed) -> Option<Verdict> {
        let Passed { meant, target, source, service, destination } = passed;
        let namespace = &source.member.name.namespace;
        let dialled = service.as_ref().is_some_and(|bound| {
            let l7 = &bound.service.l7;
            l7.contains(meant.port()) && l7.is_for(namespace)
        });
        if dialled || destination.member.l7.contains(target.port()) {
            // Nobody gets round L7.
            return None;
        }
        let same = |place: &Place, known: &Arc<Known>| Arc::ptr_eq(&place.known, known);
        let to = self.places.get(&destination.member.uid).filter(|to| same(to, destination))?;
        let (destination_pod, destination_epoch) = (to.door.id, to.epoch);
        let from = self.places.get_mut(&source.member.uid).filter(|from| same(from, source))?;
        let endpoints = match service {
            None if meant == target => 1,
            None => return None,
            Some(bound) => {
                // The way was chosen a while ago, and nobody looked after the service since.
                if !leads_there(&self.snapshot, source, meant.ip(), bound) {
                    return None;
                }
                from.services.insert(meant.ip(), Arc::clone(bound));
                u16::try_from(bound.endpoints.len()).ok()?
            }
        };
        Some(Verdict {
            source_pod: from.door.id,
            destination: *meant,
            endpoint: *target,
            endpoints,
            destination_pod,
            source_epoch: from.epoch,
            destination_epoch,
        })
    }
}

impl Place {
    /// Whether everything is as it was when it got its epoch.
    fn is_still(&self, door: &Arc<Door>, known: &Arc<Known>, snapshot: &Snapshot) -> bool {
        Arc::ptr_eq(&self.door, door)
            && (Arc::ptr_eq(&self.known, known) || self.known == *known)
            && self.services.iter().all(|(ip, bound)| leads_there(snapshot, known, *ip, bound))
    }
}

/// Whether `source` still means the service as it was when it dials `ip`.
fn leads_there(snapshot: &Snapshot, source: &Known, ip: IpAddr, bound: &Arc<Bound>) -> bool {
    let namespace = &source.member.name.namespace;
    snapshot.known_at(ip).is_none()
        && !snapshot.is_closed(ip, namespace)
        && snapshot.service_at(ip, namespace).is_some_and(|now| Arc::ptr_eq(now, bound))
}
