//! Istio's TCP metrics: what each pair of workloads sent each other.
use crate::{
    failure::is_failure,
    metrics::{
        expiry::Kept,
        labels::{Flow, Labelled, Response, reporter},
    },
};
use culvert_model::{
    close::CloseReason,
    facts::{ConnFacts, Direction},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// `response_flags` of a connection that has not failed, at least not yet.
const NO_FLAGS: &str = "-";

/// All series; a handle is looked up once per connection.
pub(super) type Tcp = Kept<Flow, Series>;

/// The numbers of one set of labels; every connection that has it holds it.
#[derive(Debug)]
pub(crate) struct Series {
    flow: Flow,
    opened: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    /// In the order of [`CloseReason::ALL`].
    closed: [AtomicU64; CloseReason::ALL.len()],
}

impl Tcp {
    /// The series a connection belongs to.
    pub(super) fn series(&self, facts: &ConnFacts, now: Instant) -> Arc<Series> {
        let flow = Flow::of(facts);
        let own = facts.own_workload().map(|workload| &workload.uid);
        self.hold(own, &flow, now, || Series::new(flow.clone()))
    }
}

impl Series {
    fn new(flow: Flow) -> Self {
        Self {
            flow,
            opened: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            closed: Default::default(),
        }
    }

    pub(super) fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub(super) fn closed(&self, reason: CloseReason) {
        self.closed[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts bytes from the source to the destination.
    pub(crate) fn add_request(&self, bytes: u64) {
        self.request_bytes.fetch_add(bytes, Relaxed);
    }

    /// Counts bytes from the destination to the source.
    pub(crate) fn add_response(&self, bytes: u64) {
        self.response_bytes.fetch_add(bytes, Relaxed);
    }

    fn ended(&self) -> impl Iterator<Item = (CloseReason, u64)> + '_ {
        CloseReason::ALL.into_iter().zip(self.closed.iter().map(|count| count.load(Relaxed)))
    }

    /// Ended connections by response flags: [`NO_FLAGS`] always, others once they occurred.
    fn closed_by_flags(&self) -> BTreeMap<&'static str, u64> {
        let mut by_flags = BTreeMap::from([(NO_FLAGS, 0)]);
        for (reason, count) in self.ended().filter(|&(_, count)| count != 0) {
            *by_flags.entry(reason.response_flags()).or_default() += count;
        }
        by_flags
    }

    /// Failed connections by response flags, as far as they occurred.
    fn failed_by_flags(&self) -> BTreeMap<&'static str, u64> {
        let mut by_flags = BTreeMap::new();
        for (reason, count) in
            self.ended().filter(|&(reason, count)| is_failure(reason) && count != 0)
        {
            *by_flags.entry(reason.response_flags()).or_default() += count;
        }
        by_flags
    }

    fn open(&self) -> u64 {
        // Ended before opened, so that the difference is never negative.
        let ended: u64 = self.ended().map(|(_, count)| count).sum();
        self.opened.load(Relaxed).saturating_sub(ended)
    }
}

impl Collector for Tcp {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // In a fixed order, for people and compression; no lock is held while writing.
        let mut all = self.all();
        all.sort_unstable_by(|a, b| a.flow.cmp(&b.flow));
        let mut counter =
            |name: &str, help: &str, samples: &dyn Fn(&Series) -> Vec<(&'static str, u64)>| {
                counters(&mut encoder, &all, (name, help), samples)
            };
        counter("tcp_connections_opened", "TCP connections accepted.", &|series| {
            vec![(NO_FLAGS, series.opened.load(Relaxed))]
        })?;
        counter("tcp_connections_closed", "TCP connections ended.", &|series| {
            series.closed_by_flags().into_iter().collect()
        })?;
        counter("tcp_connections_failed", "TCP connections that failed.", &|series| {
            series.failed_by_flags().into_iter().collect()
        })?;
        // Istio names these by the destination's side, whichever side reports: what it received
        // is the request, what it sent is the response. Kiali turns them round again.
        counter(
            "tcp_received_bytes",
            "Bytes from source to destination, the request.",
            &|series| vec![(NO_FLAGS, series.request_bytes.load(Relaxed))],
        )?;
        counter("tcp_sent_bytes", "Bytes from destination to source, the response.", &|series| {
            vec![(NO_FLAGS, series.response_bytes.load(Relaxed))]
        })?;
        sockets_open(&mut encoder, &all)
    }
}

/// Writes one counter with its samples of every series.
fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    all: &[Arc<Series>],
    (name, help): (&str, &str),
    samples: &dyn Fn(&Series) -> Vec<(&'static str, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for series in all {
        for (flags, value) in samples(series) {
            let response = Response::Connection { flags };
            let labels = Labelled { flow: &series.flow, protocol: "tcp", response };
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn sockets_open(encoder: &mut DescriptorEncoder<'_>, all: &[Arc<Series>]) -> fmt::Result {
    let help = "Connections now open.";
    let mut metric =
        encoder.encode_descriptor("tcp_sockets_open", help, None, MetricType::Gauge)?;
    for direction in [Direction::Outbound, Direction::Inbound] {
        let own = all.iter().filter(|series| series.flow.direction == direction);
        let open: u64 = own.map(|series| series.open()).sum();
        let labels = [("reporter", reporter(direction))];
        ConstGauge::new(open).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
