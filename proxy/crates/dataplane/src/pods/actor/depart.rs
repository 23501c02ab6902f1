//! How a pod leaves: let go, gone, or left to the next process.
use super::{Actor, Service, Tasks, looks};
use crate::{
    cut::Why,
    pods::{orphans, status::PodPhase},
};
use culvert_kernel::Enrolled;
use culvert_runtime::drain::Drained;
use culvert_telemetry::chain::Chain;
use std::{
    mem,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time};
use tracing::{debug, info, warn};

/// For how long after it left a pod's certificate is kept for who was captured before: longer than
/// its listeners accept, and a handshake takes.
const LAST_COMERS: Duration = Duration::from_secs(15);

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
    /// Lets new connections go direct and the old ones run on, and cleans up after the last of
    /// them; unless the pod is wanted again before.
    pub(super) async fn leave(&mut self, tasks: Tasks) {
        self.enter(PodPhase::Leaving);
        info!(pod = %self.pod.uid, connections = self.pod.load.open(), "leaving");
        if let Some(Err(error)) = self.change(Enrolled::release).await {
            warn!(pod = %self.pod.uid, error = %Chain(&error), "pod still captured");
        }
        let deadline = self.pod.shared.drain_deadline.unwrap_or(Duration::MAX);
        let ended = self.retire(tasks, deadline);
        match self.run_on(ended, deadline).await {
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
    pub(super) fn retire(&self, tasks: Tasks, deadline: Duration) -> oneshot::Receiver<Drained> {
        let (tell, ended) = oneshot::channel();
        self.worker.spawn(async move {
            let drained = tasks.end(deadline).await;
            if tell.send(drained).is_err() {
                debug!(?drained, "enrolment ended");
            }
        });
        ended
    }

    /// Has finish what served before the pod was enrolled anew.
    pub(super) fn retire_former(&mut self) {
        if let Some(Service { tasks, .. }) = self.former.take() {
            drop(self.retire(tasks, Duration::MAX));
        }
    }

    /// Ends what serves a pod that is to be enrolled anew, when its namespace vanished instead.
    pub(super) async fn bury_former_if_gone(&mut self) {
        if !self.pod.netns_is_gone() {
            return;
        }
        if let Some(Service { tasks, .. }) = self.former.take() {
            self.bury(tasks).await;
        }
    }

    /// Waits for the end of a leaving pod's connections, or for what makes waiting pointless.
    async fn run_on(&mut self, ended: oneshot::Receiver<Drained>, deadline: Duration) -> After {
        let pod = Arc::clone(&self.pod);
        let in_time = time::timeout(deadline, pod.load.empty());
        let mut ended = pin!(async {
            // An error is an end too: the process's worker cut it.
            drop(ended.await);
            // Those of an earlier enrolment may be left, and those that other pods of this node
            // handed over, which are tasks of theirs.
            if in_time.await.is_err() {
                pod.connections.cut(|_| Some(Why::Drained));
            }
            pod.load.empty().await;
            pod.shared.doors.take(&pod.uid);
            // Who came in by it before is counted.
            pod.load.empty().await;
        });
        let mut looks = looks();
        let mut last_came = pin!(time::sleep(LAST_COMERS));
        loop {
            tokio::select! {
                biased;
                () = self.worker.finishing() => return After::Finishing,
                () = &mut ended => return After::Ended,
                () = &mut last_came, if self.certificate.is_some() => self.certificate = None,
                changed = self.want.changed() => match changed {
                    Err(_) => return After::Finishing,
                    Ok(()) if self.want.borrow().is_some() => return After::Wanted,
                    Ok(()) => {}
                },
                _ = looks.tick() => {
                    self.pod.write_rest();
                    if self.pod.netns_is_gone() {
                        return After::Gone;
                    }
                }
            }
        }
    }

    /// Ends everything of a pod whose namespace vanished, or that became another one.
    pub(super) async fn bury(&mut self, tasks: Tasks) {
        self.enter(PodPhase::Leaving);
        info!(pod = %self.pod.uid, connections = self.pod.load.open(), "gone");
        self.cut().await;
        drop(tasks);
        self.finish().await;
    }

    /// Cuts every connection of the pod, and says of each that the pod is gone.
    async fn cut(&mut self) {
        self.pod.set_gone(true);
        self.pod.shared.doors.take(&self.pod.uid);
        drop(mem::replace(&mut self.life, self.worker.scope()));
        // What other pods of this node handed over are tasks of theirs.
        self.pod.connections.cut(|_| Some(Why::PodGone));
        self.pod.load.empty().await;
        self.pod.set_gone(false);
    }

    /// Waits for what an earlier enrolment left behind, if the pod was not enrolled since, and
    /// forgets the pod; false when it is wanted again.
    pub(super) async fn end(&mut self) -> bool {
        self.certificate = None;
        if self.pod.load.open() != 0 {
            self.enter(PodPhase::Leaving);
            tokio::select! {
                () = self.worker.finishing() => return false,
                _ = self.want.changed() => return false,
                () = self.pod.load.empty() => {}
            }
        }
        let uid = self.pod.uid.clone();
        // None: left to the next process.
        let _: Option<()> =
            self.gate.pass(move |kernel| orphans::finish(kernel, |left| *left == uid)).await;
        let ended = self.table.remove_unwanted(&self.pod.uid);
        if ended {
            self.pod.settle();
            self.pod.shared.telemetry.metrics.forget(&self.pod.uid, Instant::now());
        }
        ended
    }

    /// Undoes what was done for the pod in the kernel, if it is ours to undo.
    async fn finish(&self) {
        self.pod.shared.doors.take(&self.pod.uid);
        let Some(enrolled) = self.pod.take() else { return };
        match self.gate.pass(move |_| enrolled.finish()).await {
            Some(Ok(())) => info!(pod = %self.pod.uid, "let go"),
            Some(Err(error)) => {
                warn!(pod = %self.pod.uid, error = %Chain(&error), "not all of the pod was undone");
            }
            // Left to the next process.
            None => {}
        }
    }

    /// Lets the connections of a process that finishes run on; what is in the kernel stays for the
    /// next process.
    pub(super) async fn run_out(self) {
        let Self { pod, life, .. } = self;
        let mut ended = pin!(life.end(Duration::MAX));
        let mut looks = looks();
        loop {
            tokio::select! {
                _ = &mut ended => {
                    pod.shared.doors.take(&pod.uid);
                    return pod.write_last();
                }
                _ = looks.tick() => {
                    pod.write_rest();
                    if pod.netns_is_gone() {
                        pod.set_gone(true);
                        pod.shared.doors.take(&pod.uid);
                        pod.connections.cut(|_| Some(Why::PodGone));
                        // Dropping `ended` cuts the others.
                        return;
                    }
                }
            }
        }
    }
}
