//! One pod of this node, as its connections and its status see it.
use crate::{
    connections::{ConnStatus, Connections},
    dataplane::Shared,
    limits::{PodLoad, Refusal, Ticket},
    pods::status::{PodPhase, PodStatus},
};
use culvert_common::pod::PodStats;
use culvert_kernel::Enrolled;
use culvert_model::{
    facts::{ConnFacts, Direction},
    name::WorkloadUid,
    pod::LocalPod,
    snapshot::Snapshot,
    workload::Workload,
};
use culvert_telemetry::metrics::PodSample;
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What all connections of one pod share.
///
/// Lives as long as the pod's actor or its last connection, through several enrolments if need be.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) uid: WorkloadUid,
    pub(crate) shared: Arc<Shared>,
    pub(crate) load: Arc<PodLoad>,
    pub(crate) connections: Connections,
    /// As the manifest described it last.
    workload: Mutex<Arc<Workload>>,
    phase: Mutex<PodPhase>,
    /// Its namespace vanished: connections that are cut are cut for that.
    gone: AtomicBool,
    /// The kernel's side while there is one; taken out for what consumes or changes it.
    enrolled: Mutex<Option<Enrolled>>,
}

impl Pod {
    pub(crate) fn new(shared: &Arc<Shared>, pod: &LocalPod) -> Self {
        Self {
            uid: pod.workload.uid.clone(),
            shared: Arc::clone(shared),
            load: Arc::default(),
            connections: Connections::default(),
            workload: Mutex::new(Arc::clone(&pod.workload)),
            phase: Mutex::new(PodPhase::starting()),
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
        ConnFacts { direction, source, destination, source_workload, destination_workload }
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

    /// Notes how far enrolment is; says whether that is news.
    pub(super) fn set_phase(&self, phase: PodPhase) -> bool {
        let mut now = self.phase.lock();
        let news = *now != phase;
        *now = phase;
        drop(now);
        self.shared.changed.send_replace(());
        news
    }

    /// Whether enrolment has succeeded or failed at least once.
    pub(super) fn was_tried(&self) -> bool {
        *self.phase.lock() != PodPhase::starting()
    }

    /// Keeps the kernel's side.
    pub(super) fn put(&self, enrolled: Enrolled) {
        *self.enrolled.lock() = Some(enrolled);
    }

    /// Takes the kernel's side out.
    pub(super) fn take(&self) -> Option<Enrolled> {
        self.enrolled.lock().take()
    }

    /// Whether the namespace it was enrolled in vanished.
    pub(super) fn netns_is_gone(&self) -> bool {
        self.enrolled.lock().as_ref().is_some_and(Enrolled::is_gone)
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
