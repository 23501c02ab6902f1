//! The life of one pod on this node: pending, captured, leaving.
//!
//! One task per pod, so that a pod whose namespace cannot be entered holds up nobody else.
use super::{door::Door, gate::Gate, plan::Change, pod::Pod, status::PodPhase, table::Table};
use culvert_kernel::{EnrolError, Enrolled, PodListeners, PodSpec};
use culvert_model::{facts::Direction, pod::LocalPod};
use culvert_runtime::{
    backoff::Backoff,
    drain::{Drained, Scope, Worker},
};
use culvert_telemetry::chain::Chain;
use std::{
    hash::{BuildHasher as _, RandomState},
    mem,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{oneshot, watch},
    time::{self, Interval, MissedTickBehavior},
};
use tracing::{debug, info, warn};

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

/// What comes after leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The last connection ended.
    Ended,
    /// The pod is to be captured again.
    Wanted,
    /// Its namespace vanished.
    Gone,
    /// The process finishes.
    Finishing,
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
                if self.table.remove_unwanted(&self.pod.uid) {
                    self.pod.shared.telemetry.metrics.forget(&self.pod.uid, Instant::now());
                    return;
                }
                continue;
            };
            self.pod.describe(&wanted);
            match self.enrol(&wanted).await {
                Ok(conns) => {
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

    /// Puts the pod into the kernel's hands and ours; the scope serves it.
    async fn enrol(&self, wanted: &LocalPod) -> Result<Scope, EnrolError> {
        let spec = PodSpec::from(wanted);
        let mut prepared = self.gate.pass(move |kernel| kernel.prepare(&spec)).await?;
        let conns = self.life.worker().scope();
        // Who is captured must find somebody who accepts.
        if let Some(listeners) = prepared.listeners.take() {
            let pod = Arc::clone(&self.pod);
            let door = Arc::new(Door { pod, sockets: prepared.socks() });
            self.serve(&door, listeners, &conns);
        }
        self.pod.put(self.gate.pass(move |_| prepared.activate()).await?);
        Ok(conns)
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
        self.pod.set_phase(PodPhase::Captured);
        let metrics = &self.pod.shared.telemetry.metrics;
        metrics.remember(&self.pod.uid);
        metrics.pod_started();
        info!(pod = %self.pod.uid, "captured");
        let mut looks = looks();
        loop {
            tokio::select! {
                biased;
                () = self.worker.finishing() => return drop(self.retire(conns, Duration::MAX)),
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

    /// Lets new connections go direct and the old ones run on, and cleans up after the last of
    /// them; unless the pod is wanted again before.
    async fn leave(&mut self, conns: Scope) {
        self.pod.set_phase(PodPhase::Leaving);
        info!(pod = %self.pod.uid, connections = self.pod.load.open(), "leaving");
        if let Some(Err(error)) = self.change(Enrolled::release).await {
            warn!(pod = %self.pod.uid, error = %Chain(&error), "pod still captured");
        }
        let deadline = self.pod.shared.drain_deadline.unwrap_or(Duration::MAX);
        let ended = self.retire(conns, deadline);
        match self.run_on(ended).await {
            After::Ended => self.finish().await,
            After::Gone => {
                self.cut().await;
                self.finish().await;
            }
            // What the connections need stays; the next enrolment, or process, takes it over.
            After::Wanted | After::Finishing => drop(self.pod.take()),
        }
    }

    /// Has the tasks of an enrolment finish; tells when they have.
    fn retire(&self, conns: Scope, deadline: Duration) -> oneshot::Receiver<Drained> {
        let (tell, ended) = oneshot::channel();
        self.worker.spawn(async move {
            let drained = conns.end(deadline).await;
            if tell.send(drained).is_err() {
                debug!(?drained, "enrolment ended");
            }
        });
        ended
    }

    /// Waits for the end of a leaving pod's connections, or for what makes waiting pointless.
    async fn run_on(&mut self, ended: oneshot::Receiver<Drained>) -> After {
        let load = Arc::clone(&self.pod.load);
        let mut ended = pin!(async {
            // An error is an end too: the process's worker cut it.
            drop(ended.await);
            // Those of an earlier enrolment may be left.
            load.empty().await;
        });
        let mut looks = looks();
        loop {
            tokio::select! {
                biased;
                () = self.worker.finishing() => return After::Finishing,
                () = &mut ended => return After::Ended,
                changed = self.want.changed() => match changed {
                    Err(_) => return After::Finishing,
                    Ok(()) if self.want.borrow().is_some() => return After::Wanted,
                    Ok(()) => {}
                },
                _ = looks.tick() => if self.pod.netns_is_gone() { return After::Gone },
            }
        }
    }

    /// Ends everything of a pod whose namespace vanished, or that became another one.
    async fn bury(&mut self, conns: Scope) {
        self.pod.set_phase(PodPhase::Leaving);
        info!(pod = %self.pod.uid, connections = self.pod.load.open(), "gone");
        self.cut().await;
        drop(conns);
        self.finish().await;
    }

    /// Cuts every connection of the pod, and says of each that the pod is gone.
    async fn cut(&mut self) {
        self.pod.set_gone(true);
        drop(mem::replace(&mut self.life, self.worker.scope()));
        self.pod.load.empty().await;
        self.pod.set_gone(false);
    }

    /// Undoes what was done for the pod in the kernel, if it is ours to undo.
    async fn finish(&self) {
        let Some(enrolled) = self.pod.take() else { return };
        if let Err(error) = self.gate.pass(move |_| enrolled.finish()).await {
            warn!(pod = %self.pod.uid, error = %Chain(&error), "not all of the pod was undone");
        }
        self.pod.shared.telemetry.metrics.pod_stopped();
        info!(pod = %self.pod.uid, "let go");
    }

    /// Lets the connections of a process that finishes run on; what is in the kernel stays for the
    /// next process.
    async fn run_out(self) {
        let Self { pod, life, .. } = self;
        let mut ended = pin!(life.end(Duration::MAX));
        let mut looks = looks();
        loop {
            tokio::select! {
                _ = &mut ended => return,
                _ = looks.tick() => if pod.netns_is_gone() {
                    // Dropping `ended` cuts them.
                    return pod.set_gone(true);
                },
            }
        }
    }

    /// Changes the kernel's side, when there is one.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Enrolled) -> T + Send + 'static,
    ) -> Option<T> {
        let mut enrolled = self.pod.take()?;
        let pass = self.gate.pass(move |_| {
            let done = change(&mut enrolled);
            (enrolled, done)
        });
        let (enrolled, done) = pass.await;
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
