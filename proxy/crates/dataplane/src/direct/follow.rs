//! What goes direct follows policy.
use super::Changes;
use crate::{
    cut::Why,
    dataplane::Shared,
    dice::dice,
    judge::{decides_in_l7, judge},
    pods::{door::Door, status::PodPhase},
};
use culvert_kernel::{DirectFlow, Node};
use culvert_model::{
    facts::{ConnFacts, Direction},
    path::Path,
    snapshot::Snapshot,
};
use culvert_runtime::{backoff::Backoff, drain::Worker};
use culvert_telemetry::chain::Chain;
use std::{collections::HashMap, future::pending, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    task,
    time::{self, Instant, MissedTickBehavior},
};
use tracing::{debug, info, warn};

/// How often it is looked whether a certificate has expired, which nobody tells.
const LOOK: Duration = Duration::from_secs(5);

/// How soon the kernel is told again what it could not be told, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Renews the pods' epochs with every change, and ends what may no longer be, until the process
/// finishes.
pub(crate) async fn follow(shared: Arc<Shared>, kernel: Arc<Node>, worker: Worker) {
    let mut snapshots = shared.snapshot.clone();
    let mut phases = shared.changed.subscribe();
    let mut snapshot = snapshots.pin();
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
    let mut looks = time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (trusted, outcasts) = captured(&shared);
        let changes = shared.direct.reconcile(&snapshot.value, &trusted, &outcasts);
        if !changes.epochs.is_empty() {
            let (shared, kernel) = (Arc::clone(&shared), Arc::clone(&kernel));
            let snapshot = snapshot.value.clone();
            // Waits for a process that takes over, and looks into namespaces.
            let done = task::spawn_blocking(move || apply(&shared, &kernel, &snapshot, changes));
            if let Err(error) = done.await {
                warn!(%error, "direct connections were not looked at");
            }
        }
        let again = match shared.direct.is_untold() {
            true => Some(Instant::now() + backoff.next(dice())),
            false => {
                backoff.reset();
                None
            }
        };
        let again = async {
            match again {
                Some(at) => time::sleep_until(at).await,
                None => pending().await,
            }
        };
        let newer = async {
            match snapshots.newer_than(snapshot.generation).await {
                Some(newer) => newer,
                None => pending().await,
            }
        };
        tokio::select! {
            () = worker.finishing() => return,
            newer = newer => snapshot = newer,
            // The sender lives as long as we do.
            _ = phases.changed() => {}
            () = again => {}
            _ = looks.tick() => {}
        }
    }
}

/// The pods that take part, and those that must not.
fn captured(shared: &Shared) -> (Vec<Arc<Door>>, Vec<Arc<Door>>) {
    let mut doors = shared.doors.all();
    doors.retain(|door| door.pod.phase() == PodPhase::Captured);
    doors.into_iter().partition(|door| door.pod.is_believed() && !door.pod.has_lost_certificate())
}

fn apply(shared: &Shared, kernel: &Node, snapshot: &Snapshot, changes: Changes) {
    let Changes { epochs, doors } = changes;
    if let Err(error) = kernel.set_epochs(epochs.iter().copied()) {
        shared.direct.keep(Changes { epochs, doors });
        return debug!(error = %Chain(&error), "not told what goes direct: told again");
    }
    shared.direct.told();
    match kernel.direct_flows() {
        Ok(flows) => recheck(shared, snapshot, &flows),
        Err(error) => warn!(error = %Chain(&error), "direct connections are not known"),
    }
    doors.iter().for_each(|door| recheck_older(shared, snapshot, door));
}

/// Ends those of `flows` that policy no longer lets pass.
fn recheck(shared: &Shared, snapshot: &Snapshot, flows: &[DirectFlow]) {
    let epochs = shared.direct.epochs();
    let doors: HashMap<u32, Arc<Door>> =
        shared.doors.all().into_iter().map(|door| (door.id, door)).collect();
    let is_old = |pod: u32, epoch: u64| epochs.get(&pod) != Some(&epoch);
    for flow in flows {
        let DirectFlow { source_pod, destination_pod, source, destination, .. } = *flow;
        if !is_old(source_pod, flow.source_epoch)
            && !is_old(destination_pod, flow.destination_epoch)
        {
            continue;
        }
        let Some(door) = doors.get(&destination_pod) else { continue };
        let facts = ConnFacts {
            source_identity: doors.get(&source_pod).map(|door| door.pod.identity()),
            path: Path::Direct,
            ..ConnFacts::new(Direction::Inbound, source, destination)
        };
        let Some(known) = snapshot.known(&door.pod.uid) else {
            if shared.direct.is_abandoned(&door.pod.uid) {
                shared.direct.revoke((source, destination), Why::Unannounced);
                end(door, source, destination);
            }
            continue;
        };
        let believed = door.pod.is_believed()
            && doors.get(&source_pod).is_none_or(|door| door.pod.is_believed());
        let why = match judge(known, &facts) {
            Ok(_) if decides_in_l7(known, destination.port()) => Why::PastL7,
            Ok(_) if believed => continue,
            Ok(_) => Why::Disbelieved,
            Err(denial) => Why::Revoked(denial),
        };
        shared.direct.revoke((source, destination), why);
        end(door, source, destination);
    }
}

/// Ends connections to the pod that are older than its enrolment, and not let pass in plain text.
fn recheck_older(shared: &Shared, snapshot: &Snapshot, door: &Door) {
    let Some(known) = snapshot.known(&door.pod.uid) else { return };
    let flows = match door.sockets.flows() {
        Ok(flows) => flows,
        Err(error) => {
            return warn!(pod = %door.pod.uid, %error, "older connections are not known");
        }
    };
    for flow in flows.iter().filter(|flow| flow.inbound && !flow.direct) {
        let facts = door.pod.facts(Direction::Inbound, flow.remote, flow.local, snapshot);
        let why = match judge(known, &facts) {
            Ok(_) if decides_in_l7(known, flow.local.port()) => Why::PastL7,
            Ok(_) => continue,
            Err(denial) => Why::Revoked(denial),
        };
        if !end(door, flow.remote, flow.local) {
            continue;
        }
        let mut record = shared.telemetry.open(facts);
        if let Why::Revoked(denial) = &why {
            record.deny((*denial.denied).clone());
        }
        record.settle();
        record.received(flow.sent);
        record.sent(flow.received);
        record.finish(why.reason(), Some(&why));
    }
}

/// Ends one connection; whether there was one.
fn end(door: &Door, source: SocketAddr, destination: SocketAddr) -> bool {
    match door.sockets.destroy(source, destination) {
        Ok(ended) => {
            info!(pod = %door.pod.uid, %source, %destination, ended, "cut by policy, past the proxy");
            ended
        }
        Err(error) => {
            warn!(pod = %door.pod.uid, %source, %destination, %error, "cannot be cut");
            false
        }
    }
}
