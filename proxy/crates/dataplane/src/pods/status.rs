//! What a status command and a scrape show of a pod.
use culvert_common::pod::PodStats;
use culvert_model::workload::Workload;
use culvert_telemetry::metrics::PodState;
use serde::Serialize;
use std::net::IpAddr;

/// One pod of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodStatus {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub ips: Vec<IpAddr>,
    #[serde(flatten)]
    pub state: PodPhase,
    pub connections: u32,
    pub kernel: KernelCounts,
}

/// How far its enrolment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PodPhase {
    /// Its connections go through the proxy.
    Captured,
    /// Not yet; they are as before.
    Pending { reason: String },
    /// New connections are direct; old ones have not ended.
    Leaving,
}

/// Whether a pod's namespace is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// No connection of it goes past the proxy.
    Done,
    /// Not yet.
    Pending { reason: String },
    /// The pod is not wanted, is another by the same name, or leaves.
    Unknown,
}

/// What the kernel did for the pod; the names are those of [`PodStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KernelCounts {
    pub captured: u64,
    pub excluded: u64,
    pub refused_family: u64,
    pub refused_memory: u64,
    pub failed_open: u64,
    pub over_limit: u64,
    pub inbound: u64,
    pub bypassed: u64,
    pub inbound_refused: u64,
    pub guard_passed: u64,
    pub guard_dropped: u64,
    pub pending: u64,
    pub tuples: u64,
    pub direct: u64,
    pub dns: u64,
    pub events_lost: u64,
}

impl PodStatus {
    pub(super) fn new(
        workload: &Workload,
        state: PodPhase,
        connections: u32,
        kernel: PodStats,
    ) -> Self {
        Self {
            uid: workload.uid.as_str().to_owned(),
            namespace: workload.name.namespace.to_string(),
            name: workload.name.name.to_string(),
            ips: workload.ips.iter().collect(),
            state,
            connections,
            kernel: kernel.into(),
        }
    }
}

impl PodPhase {
    /// Before the first try.
    pub(super) fn starting() -> Self {
        Self::Pending { reason: "not tried yet".to_owned() }
    }

    pub(super) const fn as_metric(&self) -> PodState {
        match self {
            Self::Captured => PodState::Captured,
            Self::Pending { .. } => PodState::Pending,
            Self::Leaving => PodState::Leaving,
        }
    }
}

impl From<PodStats> for KernelCounts {
    fn from(stats: PodStats) -> Self {
        let PodStats {
            captured,
            excluded,
            refused_family,
            refused_memory,
            failed_open,
            over_limit,
            inbound,
            bypassed,
            inbound_refused,
            guard_passed,
            guard_dropped,
            direct,
            dns,
            events_lost,
            pending,
            tuples,
        } = stats;
        Self {
            captured,
            excluded,
            refused_family,
            refused_memory,
            failed_open,
            over_limit,
            inbound,
            bypassed,
            inbound_refused,
            guard_passed,
            guard_dropped,
            direct,
            dns,
            events_lost,
            pending,
            tuples,
        }
    }
}
