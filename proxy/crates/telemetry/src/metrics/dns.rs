//! Istio's DNS metrics: what each workload asked, and what was asked of its resolvers for it.
use super::expiry::Kept;
use culvert_model::workload::Workload;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, LabelSetEncoder},
    metrics::{MetricType, counter::ConstCounter, histogram::Histogram},
    registry::Unit,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// In seconds; as ztunnel has them.
const BUCKETS: [f64; 6] = [0.0005, 0.001, 0.01, 0.1, 1.0, 5.0];

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Udp,
    Tcp,
}

/// All series; a handle is looked up once per question.
pub(super) type Dns = Kept<Labels, DnsSeries>;

/// The numbers of one set of labels.
#[derive(Debug)]
pub struct DnsSeries {
    labels: Labels,
    requests: AtomicU64,
    upstream_requests: AtomicU64,
    upstream_failures: AtomicU64,
    upstream_seconds: Histogram,
}

/// What a series is told by; bounded, for types nobody has heard of share one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Labels {
    query_type: &'static str,
    protocol: Protocol,
    canonical_service: Arc<str>,
    canonical_revision: Arc<str>,
}

/// A name, a help text and what of a series is counted.
type Counted = (&'static str, &'static str, fn(&DnsSeries) -> &AtomicU64);

impl Dns {
    pub(super) fn series(
        &self,
        source: &Workload,
        (kind, protocol): (u16, Protocol),
        now: Instant,
    ) -> Arc<DnsSeries> {
        let labels = Labels {
            query_type: query_type(kind),
            protocol,
            canonical_service: Arc::clone(&source.canonical_name),
            canonical_revision: Arc::clone(&source.canonical_revision),
        };
        self.hold(Some(&source.uid), &labels, now, || DnsSeries::new(labels.clone()))
    }
}

impl DnsSeries {
    fn new(labels: Labels) -> Self {
        Self {
            labels,
            requests: AtomicU64::new(0),
            upstream_requests: AtomicU64::new(0),
            upstream_failures: AtomicU64::new(0),
            upstream_seconds: Histogram::new(BUCKETS),
        }
    }

    /// Counts a question, whoever answers it.
    pub fn requested(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Counts a question that a resolver was asked, and how long it took to answer.
    pub fn forwarded(&self, took: Duration, failed: bool) {
        self.upstream_requests.fetch_add(1, Relaxed);
        if failed {
            self.upstream_failures.fetch_add(1, Relaxed);
        }
        self.upstream_seconds.observe(took.as_secs_f64());
    }
}

impl Collector for Dns {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counters: [Counted; 3] = [
            ("dns_requests", "DNS requests of workloads", |series| &series.requests),
            ("dns_upstream_requests", "DNS requests that a resolver was asked", |series| {
                &series.upstream_requests
            }),
            ("dns_upstream_failures", "DNS requests that no resolver answered", |series| {
                &series.upstream_failures
            }),
        ];
        let all = self.all();
        for (name, help, count) in counters {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for series in &all {
                let count = ConstCounter::new(count(series).load(Relaxed));
                count.encode(metric.encode_family(&series.labels)?)?;
            }
        }
        let (name, help) = ("dns_upstream_request_duration", "How long resolvers took to answer");
        let (unit, kind) = (Some(&Unit::Seconds), MetricType::Histogram);
        let mut metric = encoder.encode_descriptor(name, help, unit, kind)?;
        for series in &all {
            series.upstream_seconds.encode(metric.encode_family(&series.labels)?)?;
        }
        Ok(())
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { query_type, protocol, canonical_service, canonical_revision } = self;
        let protocol = match protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
        };
        [
            ("request_query_type", *query_type),
            ("request_protocol", protocol),
            ("source_canonical_service", known(canonical_service)),
            ("source_canonical_revision", known(canonical_revision)),
        ]
        .encode(encoder)
    }
}

fn known(name: &str) -> &str {
    if name.is_empty() { "unknown" } else { name }
}

/// What a record type is called; one name for all that pods rarely ask for.
const fn query_type(kind: u16) -> &'static str {
    match kind {
        1 => "a",
        2 => "ns",
        5 => "cname",
        6 => "soa",
        12 => "ptr",
        15 => "mx",
        16 => "txt",
        28 => "aaaa",
        33 => "srv",
        35 => "naptr",
        43 => "ds",
        48 => "dnskey",
        64 => "svcb",
        65 => "https",
        251 => "ixfr",
        252 => "axfr",
        255 => "any",
        257 => "caa",
        _ => "other",
    }
}
