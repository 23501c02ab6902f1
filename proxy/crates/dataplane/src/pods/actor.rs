//! The life of one pod on this node: pending, captured, leaving.
//!
//! One task per pod, so that a pod whose namespace cannot be entered holds up nobody else.
use super::{door::Door, gate::Gate, plan::Change, pod::Pod, status::PodPhase, table::Table};
use culvert_kernel::{EnrolError, Enrolled, PodListeners, PodSpec};
use culvert_model::{facts::Direction, pod::LocalPod};
use culvert_runtime::{
    backoff::Backoff,
    drain::{Scope, Worker},
};
use culvert_telemetry::chain::Chain;
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{self, Interval, MissedTickBehavior},
};
use tracing::{info, warn};

mod depart;

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
        Self { pod, want, gate, table, worker, life }
    }

    /// Runs until the pod is let go, or the process has finished with its connections.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        while !self.worker.is_finishing() {
            let Some(wanted) = self.want.borrow_and_update().clone() else {
                if self.end().await {
                    return;
                }
                continue;
            };
            self.pod.describe(&wanted);
            match self.enrol(&wanted).await {
                Ok(None) => break,
                Ok(Some(conns)) => {
                    backoff.reset();
                    self.hold(wanted, conns).await;
                }
                Err(error) => {
                    self.report(&error);
                    self.pause(backoff.next(dice())).await;
                }
            }
        }
        self.run_out().await;
    }

    /// Puts the pod into the kernel's hands and ours; the scope serves it. `None` when the process
    /// finishes before.
    async fn enrol(&self, wanted: &LocalPod) -> Result<Option<Scope>, EnrolError> {
        let spec = PodSpec::from(wanted);
        let prepare = self.gate.pass(move |kernel| kernel.prepare(&spec));
        let Some(mut prepared) = prepare.await.transpose()? else { return Ok(None) };
        let conns = self.life.worker().scope();
        // Who is captured must find somebody who accepts.
        if let Some(listeners) = prepared.listeners.take() {
            let pod = Arc::clone(&self.pod);
            let door = Arc::new(Door { pod, sockets: prepared.socks() });
            self.serve(&door, listeners, &conns);
        }
        let activate = self.gate.pass(move |_| prepared.activate());
        Ok(activate.await.transpose()?.map(|enrolled| {
            self.pod.put(enrolled);
            conns
        }))
    }

    fn serve(&self, door: &Arc<Door>, listeners: PodListeners, conns: &Scope) {
        let PodListeners { outbound, inbound } = listeners;
        let outbound = (outbound, Direction::Outbound);
        let inbound = inbound.into_iter().map(|listener| (listener, Direction::Inbound));
        for (listener, direction) in inbound.chain([outbound]) {
            let (worker, door) = (conns.worker(), Arc::clone(door));
            let open = door.open(listener, direction, worker.clone());
            worker.spawn_on(&self.pod.shared.data, open);
        }
    }

    /// Watches over an enrolled pod until it is no more, or the process has finished.
    async fn hold(&mut self, mut held: Arc<LocalPod>, conns: Scope) {
        if self.pod.set_phase(PodPhase::Captured) {
            let metrics = &self.pod.shared.telemetry.metrics;
            metrics.remember(&self.pod.uid);
            metrics.pod_started();
            info!(pod = %self.pod.uid, "captured");
        }
        let mut reopened = self.gate.reopened();
        let mut looks = looks();
        loop {
            tokio::select! {
                biased;
                () = self.worker.finishing() => return drop(self.retire(conns, Duration::MAX)),
                _ = reopened.changed() => {
                    // Somebody may have put other listeners in the place of ours, and be gone.
                    drop(self.retire(conns, Duration::MAX));
                    return drop(self.pod.take());
                }
                _ = self.want.changed() => {}
                _ = looks.tick() => {
                    if self.pod.netns_is_gone() {
                        return self.bury(conns).await;
                    }
                    continue;
                }
            }
            let Some(wanted) = self.want.borrow_and_update().clone() else {
                return self.leave(conns).await;
            };
            match Change::between(&held, &wanted) {
                Change::None => {}
                Change::Update => self.update(&wanted).await,
                Change::Replace => return self.bury(conns).await,
            }
            self.pod.describe(&wanted);
            held = wanted;
        }
    }

    /// Tells the kernel of a change that concerns no connection.
    async fn update(&self, wanted: &LocalPod) {
        let spec = PodSpec::from(wanted);
        let updated = self.change(move |enrolled| enrolled.update(&spec)).await;
        if let Some(Err(error)) = updated {
            warn!(pod = %self.pod.uid, error = %Chain(&error), "pod not updated");
        }
    }

    /// Changes the kernel's side, when there is one and the process does not finish before.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Enrolled) -> T + Send + 'static,
    ) -> Option<T> {
        let mut enrolled = self.pod.take()?;
        let pass = self.gate.pass(move |_| {
            let done = change(&mut enrolled);
            (enrolled, done)
        });
        let (enrolled, done) = pass.await?;
        self.pod.put(enrolled);
        Some(done)
    }

    /// Says why the pod is not captured yet; the same reason only once.
    fn report(&self, error: &EnrolError) {
        let reason = Chain(error).to_string();
        if self.pod.set_phase(PodPhase::Pending { reason: reason.clone() }) {
            warn!(pod = %self.pod.uid, reason, "pod pending");
        }
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

fn looks() -> Interval {
    let mut looks = time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// 64 random bits.
fn dice() -> u64 {
    RandomState::new().hash_one(())
}
