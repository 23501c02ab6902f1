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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// One number the kernel keeps for each pod.
#[derive(Clone, Copy)]
struct Field {
    name: &'static str,
    help: &'static str,
    of: fn(&PodStats) -> u64,
}

/// Counters, by the names of [`PodStats`].
const COUNTERS: [Field; 14] = [
    Field {
        name: "captured",
        help: "Outbound connections pointed at the proxy.",
        of: |s| s.captured,
    },
    Field {
        name: "excluded",
        help: "Outbound connections left alone: their destination is excluded.",
        of: |s| s.excluded,
    },
    Field {
        name: "refused_family",
        help: "Outbound connections refused: the pod has no captured address of the family.",
        of: |s| s.refused_family,
    },
    Field {
        name: "refused_memory",
        help: "Outbound connections refused: no memory in the kernel.",
        of: |s| s.refused_memory,
    },
    Field {
        name: "failed_open",
        help: "Outbound connections that went direct: no proxy, and the pod fails open.",
        of: |s| s.failed_open,
    },
    Field {
        name: "over_limit",
        help: "Connections not handed over: the pod's share of the kernel's tables was full.",
        of: |s| s.over_limit,
    },
    Field { name: "inbound", help: "Inbound connections steered to the proxy.", of: |s| s.inbound },
    Field {
        name: "bypassed",
        help: "Inbound connections left alone: the proxy's own and the host's probes.",
        of: |s| s.bypassed,
    },
    Field {
        name: "inbound_refused",
        help: "Inbound connections refused: no proxy.",
        of: |s| s.inbound_refused,
    },
    Field { name: "guard_passed", help: "SYNs the guard let out.", of: |s| s.guard_passed },
    Field { name: "guard_dropped", help: "SYNs the guard dropped.", of: |s| s.guard_dropped },
    Field {
        name: "direct",
        help: "Outbound connections to pods of the node that went direct by a verdict.",
        of: |s| s.direct,
    },
    Field { name: "dns", help: "Questions pointed at the proxy's name service.", of: |s| s.dns },
    Field {
        name: "events_lost",
        help: "Events of direct connections that were lost.",
        of: |s| s.events_lost,
    },
];

/// What is held now.
const GAUGES: [Field; 2] = [
    Field {
        name: "pending_entries",
        help: "Connections between the kernel's capture and the proxy's accept.",
        of: |s| s.pending,
    },
    Field {
        name: "tuple_entries",
        help: "Tuples of the pod that pass uncaptured or unguarded.",
        of: |s| s.tuples,
    },
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
        samples.sort_unstable_by(|a, b| (&a.name, a.state).cmp(&(&b.name, b.state)));
        *self.samples.lock() = samples.into();
    }
}

impl Collector for Pods {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = Arc::clone(&self.samples.lock());
        let in_state = |state| samples.iter().filter(|pod| pod.state == state).count();
        // Names as ztunnel registers them; its documentation has others.
        let gauges = [
            ("workload_manager_active_proxy_count", "Pods captured.", PodState::Captured),
            ("workload_manager_pending_proxy_count", "Pods not captured yet.", PodState::Pending),
        ];
        for (name, help, state) in gauges {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(in_state(state)).encode(metric)?;
        }
        let mut metric =
            encoder.encode_descriptor("culvert_pods", "Pods by state.", None, MetricType::Gauge)?;
        for state in PodState::ALL {
            let labels = [("state", state.as_str())];
            ConstGauge::new(in_state(state)).encode(metric.encode_family(&labels)?)?;
        }
        // A pod made again while its namesake leaves: one series, that of the one that stays.
        let named: Vec<_> =
            samples.chunk_by(|a, b| a.name == b.name).map(|same| &same[0]).collect();
        let counters = COUNTERS.iter().map(|field| (MetricType::Counter, field));
        let gauges = GAUGES.iter().map(|field| (MetricType::Gauge, field));
        counters
            .chain(gauges)
            .try_for_each(|(kind, field)| kernel(&mut encoder, kind, *field, &named))
    }
}

/// Writes one number of the kernel for every pod.
fn kernel(
    encoder: &mut DescriptorEncoder<'_>,
    kind: MetricType,
    Field { name, help, of }: Field,
    samples: &[&PodSample],
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
    use prometheus_client::encoding::text::encode;

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
            direct: 12,
            dns: 13,
            events_lost: 14,
            pending: 15,
            tuples: 16,
        };
        let shown: Vec<_> =
            COUNTERS.iter().chain(&GAUGES).map(|field| (field.of)(&stats)).collect();
        assert_eq!(shown, (1..=16).collect::<Vec<_>>());
    }

    #[test]
    fn a_pod_made_again_has_one_series() {
        let (mut registry, name) = (Registry::default(), ObjectName::new("shop", "cart-0"));
        let pods = Pods::register(&mut registry);
        let sample = |state, captured| PodSample {
            name: name.clone(),
            state,
            kernel: PodStats { captured, ..PodStats::default() },
        };
        pods.set(vec![sample(PodState::Leaving, 900), sample(PodState::Captured, 3)]);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let captured: Vec<_> =
            text.lines().filter(|line| line.starts_with("culvert_kernel_captured_total")).collect();
        let labels = r#"pod_namespace="shop",pod_name="cart-0""#;
        assert_eq!(captured, [format!("culvert_kernel_captured_total{{{labels}}} 3")]);
        assert!(text.contains("culvert_pods{state=\"leaving\"} 1"));
    }
}
