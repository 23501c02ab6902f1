//! One pod of this node, as its connections and its status see it.
use crate::{
    connections::{ConnStatus, Connections},
    dataplane::Shared,
    errors::HoldError,
    handshakes::Handshakes,
    limits::{PodLoad, Refusal, Ticket},
    pods::{
        belief::Belief,
        status::{PodPhase, PodStatus},
    },
    refusals::Refusals,
};
use culvert_common::pod::PodStats;
use culvert_identity::certificate::Certificate;
use culvert_kernel::Enrolled;
use culvert_model::{
    facts::{ConnFacts, Direction},
    identity::Identity,
    name::WorkloadUid,
    pod::LocalPod,
    snapshot::{Known, Snapshot},
    workload::Workload,
};
use culvert_runtime::publish::Published;
use culvert_telemetry::{access::line::AccessLine, metrics::PodSample};
use parking_lot::Mutex;
use std::{
    mem,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::time;

/// What all connections of one pod share.
///
/// Lives as long as the pod's actor or its last connection, through several enrolments if need be.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) uid: WorkloadUid,
    pub(crate) shared: Arc<Shared>,
    pub(crate) load: Arc<PodLoad>,
    pub(crate) connections: Connections,
    pub(crate) handshakes: Arc<Handshakes>,
    pub(super) belief: Belief,
    /// As the manifest described it last.
    workload: Mutex<Arc<Workload>>,
    /// As the mesh knew it last.
    known: Mutex<Option<Arc<Known>>>,
    phase: Mutex<PodPhase>,
    /// Whether enrolment has succeeded or failed at least once, or is not wanted any more.
    settled: AtomicBool,
    refusals: Mutex<Refusals>,
    /// Its namespace vanished: connections that are cut are cut for that.
    gone: AtomicBool,
    /// The kernel's side while there is one; taken out for what consumes or changes it.
    enrolled: Mutex<Option<Enrolled>>,
}

/// A pod in the mesh, at one moment. Not to be held while a connection lives.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) known: Arc<Known>,
    snapshot: Arc<Published<Snapshot>>,
}

impl Pod {
    pub(crate) fn new(shared: &Arc<Shared>, pod: &LocalPod) -> Self {
        Self {
            uid: pod.workload.uid.clone(),
            shared: Arc::clone(shared),
            load: Arc::default(),
            connections: Connections::default(),
            handshakes: Arc::default(),
            belief: Belief::default(),
            workload: Mutex::new(Arc::clone(&pod.workload)),
            known: Mutex::default(),
            phase: Mutex::new(PodPhase::starting()),
            settled: AtomicBool::new(false),
            refusals: Mutex::default(),
            gone: AtomicBool::new(false),
            enrolled: Mutex::new(None),
        }
    }

    pub(crate) fn admit(&self) -> Result<Ticket, Refusal> {
        self.shared.limits.admit(&self.load)
    }

    pub(crate) fn workload(&self) -> Arc<Workload> {
        Arc::clone(&self.workload.lock())
    }

    /// Whose certificate it shows: as the mesh knows it, else as its manifest says.
    pub(crate) fn identity(&self) -> Identity {
        let pinned = self.shared.snapshot.pin();
        match pinned.value.known(&self.uid) {
            Some(known) => known.member.identity.clone(),
            None => self.workload().identity.clone(),
        }
    }

    /// What the mesh knows of it now; waits some time for it to be announced.
    ///
    /// A pod that is let go is what it was last: those that still come this way would have gone
    /// another a moment later, and must not wait for an announcement that never comes.
    ///
    /// # Errors
    ///
    /// When that time is over.
    pub(crate) async fn known(&self) -> Result<Seen, HoldError> {
        let mut pinned = self.shared.snapshot.pin();
        if let Some(seen) = self.seen(&pinned) {
            return Ok(seen);
        }
        let mut view = self.shared.snapshot.clone();
        let mut changed = self.shared.changed.subscribe();
        let announced = async {
            loop {
                if let Some(seen) = self.seen(&pinned) {
                    return Some(seen);
                }
                tokio::select! {
                    // Without a publisher nothing is announced any more.
                    newer = view.newer_than(pinned.generation) => pinned = newer?,
                    changed = changed.changed() => changed.ok()?,
                }
            }
        };
        let waited = self.shared.hold;
        let announced = time::timeout(waited, Box::pin(announced)).await.ok().flatten();
        announced.ok_or(HoldError::Unannounced(waited))
    }

    /// What it is in `pinned`, or what it was if it leaves.
    fn seen(&self, pinned: &Arc<Published<Snapshot>>) -> Option<Seen> {
        let mut last = self.known.lock();
        if let Some(now) = pinned.value.known(&self.uid) {
            *last = Some(Arc::clone(now));
        } else if *self.phase.lock() != PodPhase::Leaving {
            return None;
        }
        Some(Seen { known: last.clone()?, snapshot: Arc::clone(pinned) })
    }

    /// The certificate of `identity`, which is the pod's; waits some time for it.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) async fn certificate(
        &self,
        identity: &Identity,
    ) -> Result<Arc<Certificate>, HoldError> {
        let identities = &self.shared.identities;
        if let Some(own) = identities.certificate_now(identity) {
            return Ok(own);
        }
        let waited = self.shared.hold;
        match time::timeout(waited, Box::pin(identities.certificate(identity))).await {
            Ok(own) => Ok(own?),
            Err(_) => Err(HoldError::CertificateLate { identity: identity.clone(), waited }),
        }
    }

    /// Who is at the ends of a connection that the proxy carries for this pod.
    pub(crate) fn facts(
        &self,
        direction: Direction,
        source: SocketAddr,
        destination: SocketAddr,
        snapshot: &Snapshot,
    ) -> ConnFacts {
        // The listener it came to says whose it is, whatever its addresses say.
        let own = snapshot.workload(&self.uid).cloned().unwrap_or_else(|| self.workload());
        let (source_workload, destination_workload) = match direction {
            Direction::Outbound => (Some(own), snapshot.at(destination.ip()).cloned()),
            Direction::Inbound => (snapshot.at(source.ip()).cloned(), Some(own)),
        };
        ConnFacts {
            source_workload,
            destination_workload,
            ..ConnFacts::new(direction, source, destination)
        }
    }

    pub(super) fn describe(&self, pod: &LocalPod) {
        *self.workload.lock() = Arc::clone(&pod.workload);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    pub(crate) fn set_gone(&self, gone: bool) {
        self.gone.store(gone, Ordering::Relaxed);
    }

    pub(crate) fn phase(&self) -> PodPhase {
        self.phase.lock().clone()
    }

    /// Notes how far enrolment is; what it was before, if that is news.
    pub(super) fn set_phase(&self, phase: PodPhase) -> Option<PodPhase> {
        let mut now = self.phase.lock();
        let before = (*now != phase).then(|| mem::replace(&mut *now, phase));
        drop(now);
        self.settle();
        before
    }

    /// Notes that nobody need wait for its enrolment.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
        self.shared.changed.send_replace(());
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// Writes the line of a connection that was refused, unless the pod has too many of them.
    pub(crate) fn write_refusal(&self, line: AccessLine) {
        let line = self.refusals.lock().write(Instant::now(), line);
        self.write(line);
    }

    /// Writes what stands for the refusals without a line, when it is time.
    pub(super) fn write_rest(&self) {
        let line = self.refusals.lock().rest(Instant::now());
        self.write(line);
    }

    /// The same when there will be no other time.
    pub(super) fn write_last(&self) {
        let line = self.refusals.lock().last();
        self.write(line);
    }

    fn write(&self, line: Option<AccessLine>) {
        if let Some(line) = line {
            self.shared.telemetry.access.write(line);
        }
    }

    /// Keeps the kernel's side; whoever looked meanwhile found none, and looks again.
    pub(super) fn put(&self, enrolled: Enrolled) {
        *self.enrolled.lock() = Some(enrolled);
        self.shared.changed.send_replace(());
    }

    /// Takes the kernel's side out.
    pub(super) fn take(&self) -> Option<Enrolled> {
        self.enrolled.lock().take()
    }

    /// Whether the namespace it was enrolled in vanished.
    pub(super) fn netns_is_gone(&self) -> bool {
        self.enrolled.lock().as_ref().is_some_and(Enrolled::is_gone)
    }

    /// Whether no connection in this namespace goes past the proxy.
    pub(crate) fn is_captured_in(&self, netns: &Path) -> bool {
        *self.phase.lock() == PodPhase::Captured
            && self.enrolled.lock().as_ref().is_some_and(|enrolled| enrolled.is_in(netns))
    }

    pub(crate) fn status(&self) -> PodStatus {
        let kernel = self.kernel();
        PodStatus::new(&self.workload(), self.phase.lock().clone(), self.load.open(), kernel)
    }

    pub(crate) fn sample(&self) -> PodSample {
        let (name, state) = (self.workload().name.clone(), self.phase.lock().as_metric());
        PodSample { name, state, kernel: self.kernel() }
    }

    pub(crate) fn connections(&self) -> Vec<ConnStatus> {
        self.connections.status(&self.uid)
    }

    fn kernel(&self) -> PodStats {
        self.enrolled.lock().as_ref().map(Enrolled::stats).unwrap_or_default()
    }
}

impl Seen {
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot.value
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.write_last();
    }
}
