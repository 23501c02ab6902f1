//! The life of one pod on this node: pending, captured, leaving.
//!
//! One task per pod, so that a pod whose namespace cannot be entered holds up nobody else.
use super::{
    door::{Door, Entrance},
    gate::Gate,
    peers::Peers,
    pod::Pod,
    sockets::Sockets,
    status::PodPhase,
    table::Table,
};
use crate::{
    dataplane::Shared,
    dice::dice,
    dns::{self, Serving},
    hbone::{client::Timeouts, pool::Pool},
};
use culvert_identity::store::Hold;
use culvert_kernel::{DnsListener, EnrolError, PodListeners, PodSockets, PodSpec};
use culvert_model::pod::LocalPod;
use culvert_runtime::{
    backoff::Backoff,
    drain::{Drained, Scope, Worker},
};
use culvert_telemetry::chain::Chain;
use std::{mem, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{self, Instant, Interval, MissedTickBehavior},
};
use tracing::warn;

mod depart;
mod hold;

/// How often it is looked whether a pod's namespace is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long to wait before a pod that could not be enrolled is tried again, at first and at most. A
/// namespace is usually made a moment after its pod is announced.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// What an actor is told: the pod as it should be, or `None` to let it go.
pub(super) type Want = Option<Arc<LocalPod>>;

/// Cares for one pod.
pub(super) struct Actor {
    pod: Arc<Pod>,
    want: watch::Receiver<Want>,
    gate: Arc<Gate>,
    table: Arc<Table>,
    /// The process's.
    worker: Worker,
    /// Everything that serves the pod in the namespace it has now.
    life: Scope,
    /// Serves the pod until it is enrolled anew.
    former: Option<Service>,
    /// Keeps its certificate fresh. Who decides which pods are held lets go of it first, and who
    /// was captured until then is still to be served.
    certificate: Option<Hold>,
}

/// What serves one enrolment.
struct Service {
    tasks: Tasks,
    /// Told when a listener does not accept any more.
    lost: Arc<Notify>,
    /// Until it is with the others of the node.
    door: Option<Arc<Door>>,
}

/// What runs for one enrolment.
struct Tasks {
    conns: Scope,
    /// Runs on until all of those have ended: an application may ask as long as it likes.
    dns: Option<Serving>,
}

/// How the pod was held last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// It left, or is to be enrolled anew at once.
    Over,
    /// Something went wrong that enrolling anew may repair.
    Troubled,
}

impl Actor {
    pub(super) fn new(
        pod: Arc<Pod>,
        want: watch::Receiver<Want>,
        gate: Arc<Gate>,
        table: Arc<Table>,
        worker: Worker,
    ) -> Self {
        let life = worker.scope();
        Self { pod, want, gate, table, worker, life, former: None, certificate: None }
    }

    /// Runs until the pod is let go, or the process has finished with its connections.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        while !self.worker.is_finishing() {
            let Some(wanted) = self.want.borrow_and_update().clone() else {
                if let Some(Service { tasks, .. }) = self.former.take() {
                    self.leave(tasks).await;
                } else if self.end().await {
                    return;
                }
                continue;
            };
            self.describe(&wanted);
            match self.enrol(&wanted).await {
                Ok(None) => break,
                Ok(Some(service)) => {
                    self.retire_former();
                    let begun = Instant::now();
                    let held = self.hold(wanted, service).await;
                    if held == Held::Over || RETRY_MAX <= begun.elapsed() {
                        backoff.reset();
                    }
                    if held == Held::Troubled {
                        self.pause(backoff.next(dice())).await;
                    }
                }
                Err(error) => {
                    self.bury_former_if_gone().await;
                    self.report(&error);
                    self.pause(backoff.next(dice())).await;
                }
            }
        }
        self.retire_former();
        self.run_out().await;
    }

    /// Notes what the manifest says of the pod now.
    fn describe(&mut self, wanted: &LocalPod) {
        self.pod.describe(wanted);
        let identity = &wanted.workload.identity;
        if self.certificate.as_ref().is_none_or(|held| held.identity() != identity) {
            // Before the other is given up.
            self.certificate = Some(self.pod.shared.identities.hold(identity.clone()));
        }
    }

    /// Puts the pod into the kernel's hands and ours, in the place of an earlier enrolment. `None` when the process
    /// finishes before.
    async fn enrol(&self, wanted: &LocalPod) -> Result<Option<Service>, EnrolError> {
        let spec = self.spec(wanted);
        let prepare = self.gate.pass(move |kernel| kernel.prepare(&spec));
        let Some(mut prepared) = prepare.await.transpose()? else { return Ok(None) };
        let conns = self.life.worker().scope();
        let tasks = Tasks { conns, dns: None };
        let mut service = Service { tasks, lost: Arc::default(), door: None };
        // Who is captured must find somebody who accepts.
        if let Some(mut listeners) = prepared.listeners.take() {
            let names = mem::take(&mut listeners.dns);
            service.tasks.dns = self.answer(names, prepared.socks(), &service.lost);
            let door = self.door(prepared.pod_id(), prepared.socks(), &service);
            self.serve(&door, listeners, &service.tasks.conns);
            service.door = Some(door);
        }
        let activate = self.gate.pass(move |_| prepared.activate());
        Ok(activate.await.transpose()?.map(|enrolled| {
            self.pod.put(enrolled);
            if let Some(door) = service.door.take() {
                self.pod.shared.doors.put(&door);
            }
            service
        }))
    }

    fn door(&self, id: u32, sockets: PodSockets, service: &Service) -> Arc<Door> {
        let (pod, lost) = (Arc::clone(&self.pod), Arc::clone(&service.lost));
        let Shared { data, connect_timeout, handshake_timeout, .. } = &*pod.shared;
        let timeouts = Timeouts {
            connect: *connect_timeout,
            handshake: *handshake_timeout,
            // The far end has as long to reach its application, and may have to wait before.
            response: 2 * *connect_timeout,
        };
        let workers = data.metrics().num_workers();
        let Tasks { conns, dns } = &service.tasks;
        let pool = Pool::new(&conns.worker(), data.clone(), workers, timeouts)
            .counted(&pod.shared.telemetry.metrics);
        let lookup = dns.as_ref().map(|dns| dns.lookup().clone());
        Arc::new(Door {
            pod,
            id,
            sockets: Sockets::Pod(sockets),
            pool,
            peers: Peers::default(),
            lookup,
            lost,
        })
    }

    /// Answers the pod in the place of its name servers.
    fn answer(
        &self,
        listeners: Vec<DnsListener>,
        sockets: PodSockets,
        lost: &Arc<Notify>,
    ) -> Option<Serving> {
        let Shared { dns, snapshot, telemetry, data, .. } = &*self.pod.shared;
        let node = dns.as_ref().filter(|_| !listeners.is_empty())?;
        let client = dns::Client {
            own: self.pod.workload(),
            snapshot: snapshot.clone(),
            metrics: Arc::clone(&telemetry.metrics),
            sockets: Arc::new(sockets),
        };
        let listeners = listeners.into_iter().map(Into::into).collect();
        Some(dns::start(node, client, listeners, data, lost))
    }

    fn spec(&self, wanted: &LocalPod) -> PodSpec {
        let mut spec = PodSpec::from(wanted);
        if self.pod.shared.dns.is_none() {
            spec.resolvers.clear();
        }
        spec
    }

    fn serve(&self, door: &Arc<Door>, listeners: PodListeners, conns: &Scope) {
        let PodListeners { outbound, inbound, hbone, .. } = listeners;
        let outbound = (outbound, Entrance::Outbound);
        let inbound = inbound.into_iter().map(|listener| (listener, Entrance::Plain));
        let tunnels = hbone.into_iter().map(|listener| (listener, Entrance::Tunnels));
        for (listener, entrance) in inbound.chain(tunnels).chain([outbound]) {
            let (worker, door) = (conns.worker(), Arc::clone(door));
            let open = door.open(listener, entrance, worker.clone());
            worker.spawn_on(&self.pod.shared.data, open);
        }
    }

    /// Says why the pod is not captured yet; the same reason only once.
    fn report(&self, error: &EnrolError) {
        self.pending(&Chain(error).to_string());
    }

    fn pending(&self, reason: &str) {
        if self.enter(PodPhase::Pending { reason: reason.to_owned() }) {
            warn!(pod = %self.pod.uid, reason, "pod pending");
        }
    }

    /// Notes how far enrolment is; says whether that is news.
    fn enter(&self, phase: PodPhase) -> bool {
        let captured = phase == PodPhase::Captured;
        let Some(before) = self.pod.set_phase(phase) else { return false };
        let metrics = &self.pod.shared.telemetry.metrics;
        if captured {
            metrics.remember(&self.pod.uid);
            metrics.pod_started();
        } else if before == PodPhase::Captured {
            metrics.pod_stopped();
        }
        true
    }

    /// Waits for the next try, or for a reason to try before.
    async fn pause(&mut self, at_most: Duration) {
        tokio::select! {
            () = self.worker.finishing() => {}
            _ = self.want.changed() => {}
            () = time::sleep(at_most) => {}
        }
    }
}

impl Tasks {
    async fn end(self, deadline: Duration) -> Drained {
        let Self { conns, dns } = self;
        let drained = conns.end(deadline).await;
        if let Some(dns) = dns {
            dns.end().await;
        }
        drained
    }
}

fn looks() -> Interval {
    let mut looks = time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}
