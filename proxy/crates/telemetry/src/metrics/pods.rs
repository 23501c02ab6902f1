//! The pods of this node, and what the kernel counted for them.
use culvert_common::pod::PodStats;
use culvert_model::name::ObjectName;
use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        gauge::ConstGauge,
    },
    registry::Registry,
};
use std::{fmt, sync::Arc};

/// One pod at the moment of a scrape.
#[derive(Clone, Debug)]
pub struct PodSample {
    pub name: ObjectName,
    pub state: PodState,
    pub kernel: PodStats,
}

/// How far a pod's enrolment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    /// Its connections go through the proxy.
    Captured,
    /// It is to be captured and cannot be yet.
    Pending,
    /// New connections are direct; old ones have not ended.
    Leaving,
}

/// The samples that are shown, and the two counts that outlive them.
#[derive(Debug, Default)]
pub(super) struct Pods {
    samples: Mutex<Arc<[PodSample]>>,
    pub(super) started: Counter,
    pub(super) stopped: Counter,
}

/// A kernel counter: its name, what it counts, where it stands.
type Field = (&'static str, &'static str, fn(&PodStats) -> u64);

/// Counters, by the names of [`PodStats`]; [`counts_every_field`](tests::counts_every_field).
const COUNTERS: [Field; 11] = [
    ("captured", "Outbound connections pointed at the proxy", |s| s.captured),
    ("excluded", "Outbound connections left alone: their destination is excluded", |s| s.excluded),
    (
        "refused_family",
        "Outbound connections refused: the pod has no captured address of the family",
        |s| s.refused_family,
    ),
    ("refused_memory", "Outbound connections refused: no memory in the kernel", |s| {
        s.refused_memory
    }),
    (
        "failed_open",
        "Outbound connections that went direct: no proxy, and the pod fails open",
        |s| s.failed_open,
    ),
    (
        "over_limit",
        "Connections not handed over: the pod's share of the kernel's tables was full",
        |s| s.over_limit,
    ),
    ("inbound", "Inbound connections steered to the proxy", |s| s.inbound),
    ("bypassed", "Inbound connections left alone: the proxy's own and the host's probes", |s| {
        s.bypassed
    }),
    ("inbound_refused", "Inbound connections refused: no proxy", |s| s.inbound_refused),
    ("guard_passed", "SYNs the guard let out", |s| s.guard_passed),
    ("guard_dropped", "SYNs the guard dropped", |s| s.guard_dropped),
];

/// What is held now.
const GAUGES: [Field; 2] = [
    ("pending_entries", "Connections between the kernel's capture and the proxy's accept", |s| {
        s.pending
    }),
    ("tuple_entries", "Tuples of the pod that pass uncaptured or unguarded", |s| s.tuples),
];

impl PodState {
    const ALL: [Self; 3] = [Self::Captured, Self::Pending, Self::Leaving];

    /// As metrics and status write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Pending => "pending",
            Self::Leaving => "leaving",
        }
    }
}

impl Pods {
    pub(super) fn register(registry: &mut Registry) -> Arc<Self> {
        let pods = Arc::new(Self::default());
        let manager = registry.sub_registry_with_prefix("workload_manager");
        manager.register("proxies_started", "Pods enrolled", pods.started.clone());
        manager.register("proxies_stopped", "Pods let go", pods.stopped.clone());
        registry.register_collector(Box::new(Arc::clone(&pods)));
        pods
    }

    pub(super) fn set(&self, mut samples: Vec<PodSample>) {
        samples.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        *self.samples.lock() = samples.into();
    }
}

impl Collector for Pods {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = Arc::clone(&self.samples.lock());
        let in_state = |state| samples.iter().filter(|pod| pod.state == state).count();
        // Names as ztunnel registers them; its documentation has others.
        let gauges = [
            ("workload_manager_active_proxy_count", "Pods captured", PodState::Captured),
            ("workload_manager_pending_proxy_count", "Pods not captured yet", PodState::Pending),
        ];
        for (name, help, state) in gauges {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(in_state(state)).encode(metric)?;
        }
        let mut metric =
            encoder.encode_descriptor("culvert_pods", "Pods by state", None, MetricType::Gauge)?;
        for state in PodState::ALL {
            let labels = [("state", state.as_str())];
            ConstGauge::new(in_state(state)).encode(metric.encode_family(&labels)?)?;
        }
        let counters = COUNTERS.iter().map(|field| (MetricType::Counter, field));
        let gauges = GAUGES.iter().map(|field| (MetricType::Gauge, field));
        counters
            .chain(gauges)
            .try_for_each(|(kind, field)| kernel(&mut encoder, kind, *field, &samples))
    }
}

/// Writes one number of the kernel for every pod.
fn kernel(
    encoder: &mut DescriptorEncoder<'_>,
    kind: MetricType,
    (name, help, of): Field,
    samples: &[PodSample],
) -> fmt::Result {
    let is_counter = matches!(kind, MetricType::Counter);
    let name = format!("culvert_kernel_{name}");
    let mut metric = encoder.encode_descriptor(&name, help, None, kind)?;
    for PodSample { name, state: _, kernel } in samples {
        let labels = [("pod_namespace", &*name.namespace), ("pod_name", &*name.name)];
        let metric = metric.encode_family(&labels)?;
        let value = of(kernel);
        if is_counter {
            ConstCounter::new(value).encode(metric)?;
        } else {
            ConstGauge::new(value).encode(metric)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_field() {
        // Does not compile when a field is added, until it is shown too.
        let stats = PodStats {
            captured: 1,
            excluded: 2,
            refused_family: 3,
            refused_memory: 4,
            failed_open: 5,
            over_limit: 6,
            inbound: 7,
            bypassed: 8,
            inbound_refused: 9,
            guard_passed: 10,
            guard_dropped: 11,
            pending: 12,
            tuples: 13,
        };
        let shown: Vec<_> = COUNTERS.iter().chain(&GAUGES).map(|(.., of)| of(&stats)).collect();
        assert_eq!(shown, (1..=13).collect::<Vec<_>>());
    }
}
