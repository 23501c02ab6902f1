//! Istio's metrics of requests: how many, how long they took, how large they were.
use crate::{
    metrics::{
        expiry::Kept,
        labels::{Flow, Labelled, Response},
    },
    request::{Call, Request},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, histogram::Histogram},
};
use std::{
    borrow::Cow,
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

/// Upper ends of the buckets that are shown, in milliseconds or in bytes; Envoy's own, which are Istio's.
pub const BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// How many series one workload may have here: codes are a server's choice.
const MOST: usize = 500;

/// `response_flags` of a request to which nothing happened.
const NO_FLAGS: &str = "-";

/// All series.
pub(super) type Requests = Kept<Labels, Series>;

/// What a series is told by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Labels {
    flow: Flow,
    is_grpc: bool,
    /// `None`: of those that have no series of their own.
    code: Option<u16>,
    grpc_status: Option<i64>,
    flags: Cow<'static, str>,
}

/// The numbers of one set of labels.
#[derive(Debug)]
pub(super) struct Series {
    labels: Labels,
    count: AtomicU64,
    milliseconds: Histogram,
    request_bytes: Histogram,
    response_bytes: Histogram,
    request_messages: AtomicU64,
    response_messages: AtomicU64,
}

/// A name, a help text and what of a series is counted.
type Counted = (&'static str, &'static str, fn(&Series) -> &AtomicU64);

/// A name, a help text and what of a series is measured.
type Measured = (&'static str, &'static str, fn(&Series) -> &Histogram);

impl Requests {
    /// Counts a request that is over.
    pub(super) fn count(&self, request: &Request, now: Instant) {
        let labels = Labels::of(request);
        let own = request.facts.own_workload().map(|workload| &workload.uid);
        if let Some(series) = self.held(own, &labels) {
            return series.add(request);
        }
        let labels = if self.has_room(own, &labels, MOST) { labels } else { labels.rest() };
        self.hold(own, &labels, now, || Series::new(&labels)).add(request);
    }
}

impl Labels {
    fn of(request: &Request) -> Self {
        let Request { facts, code, call, flags, .. } = request;
        let flags = if flags.is_empty() { Cow::Borrowed(NO_FLAGS) } else { flags.clone() };
        Self {
            flow: Flow::of(facts),
            is_grpc: call.is_some(),
            code: Some(*code),
            grpc_status: call.as_ref().and_then(|call| call.status),
            flags,
        }
    }

    /// What those share that have no series of their own.
    fn rest(&self) -> Self {
        let flow = self.flow.rest();
        Self { flow, is_grpc: false, code: None, grpc_status: None, flags: NO_FLAGS.into() }
    }

    fn response(&self, then: impl FnOnce(Labelled<'_>) -> fmt::Result) -> fmt::Result {
        let Self { flow, is_grpc, code, grpc_status, flags } = self;
        let code = code.map_or_else(|| "other".to_owned(), |code| code.to_string());
        let grpc_status = grpc_status.map(|status| status.to_string()).unwrap_or_default();
        let protocol = if *is_grpc { "grpc" } else { "http" };
        let response = Response::Request { code: &code, grpc_status: &grpc_status, flags };
        then(Labelled { flow, protocol, response })
    }
}

impl Series {
    fn new(labels: &Labels) -> Self {
        Self {
            labels: labels.clone(),
            count: AtomicU64::new(0),
            milliseconds: Histogram::new(BUCKETS),
            request_bytes: Histogram::new(BUCKETS),
            response_bytes: Histogram::new(BUCKETS),
            request_messages: AtomicU64::new(0),
            response_messages: AtomicU64::new(0),
        }
    }

    fn add(&self, request: &Request) {
        self.count.fetch_add(1, Relaxed);
        self.milliseconds.observe(request.took.as_secs_f64() * 1000.0);
        self.request_bytes.observe(bytes(request.request_bytes));
        self.response_bytes.observe(bytes(request.response_bytes));
        if let Some(Call { requests, responses, .. }) = &request.call {
            self.request_messages.fetch_add(*requests, Relaxed);
            self.response_messages.fetch_add(*responses, Relaxed);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for the first 9 petabytes")]
const fn bytes(count: u64) -> f64 {
    count as f64
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // In a fixed order, for people and compression; no lock is held while writing.
        let mut all = self.all();
        all.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let counters: [Counted; 3] = [
            ("requests", "Requests that are over.", |series| &series.count),
            ("request_messages", "Messages of clients, of gRPC.", |series| {
                &series.request_messages
            }),
            ("response_messages", "Messages of servers, of gRPC.", |series| {
                &series.response_messages
            }),
        ];
        for (name, help, count) in counters {
            let is_of_grpc = name.ends_with("_messages");
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for series in all.iter().filter(|series| !is_of_grpc || series.labels.is_grpc) {
                let value = ConstCounter::new(count(series).load(Relaxed));
                let labels = &series.labels;
                labels.response(|labels| value.encode(metric.encode_family(&labels)?))?;
            }
        }
        let histograms: [Measured; 3] = [
            ("request_duration_milliseconds", "How long requests took.", |series| {
                &series.milliseconds
            }),
            ("request_bytes", "Sizes of requests.", |series| &series.request_bytes),
            ("response_bytes", "Sizes of responses.", |series| &series.response_bytes),
        ];
        for (name, help, measured) in histograms {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for series in &all {
                let (labels, histogram) = (&series.labels, measured(series));
                labels.response(|labels| histogram.encode(metric.encode_family(&labels)?))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::{Format, KEEP, Metrics},
        sample,
    };
    use culvert_model::facts::Direction;

    /// The samples of a metric whose labels contain all of these.
    fn samples(metrics: &Metrics, metric: &str, labels: &[&str]) -> Vec<String> {
        let text = metrics.encode(Format::Prometheus);
        let is_it = |line: &&str| {
            line.split('{').next() == Some(metric)
                && labels.iter().all(|label| line.contains(label))
        };
        text.lines().filter(is_it).map(str::to_owned).collect()
    }

    fn value(metrics: &Metrics, metric: &str, labels: &[&str]) -> Option<f64> {
        let found = samples(metrics, metric, labels);
        let [sample] = &found[..] else { return None };
        sample.rsplit_once(' ')?.1.parse().ok()
    }

    #[test]
    fn a_request_counts_once_in_each_of_istios_metrics() {
        let metrics = Metrics::new("test");
        metrics.request(&sample::request(Direction::Outbound), Instant::now());
        let labels = [
            r#"reporter="source""#,
            r#"destination_service="stock.shop.svc.cluster.local""#,
            r#"request_protocol="http",response_code="200",grpc_response_status="""#,
            r#"response_flags="-",connection_security_policy="mutual_tls""#,
        ];
        let value = |metric: &str, more: &[&str]| {
            value(&metrics, metric, &labels.iter().chain(more).copied().collect::<Vec<_>>())
        };
        assert_eq!(value("istio_requests_total", &[]), Some(1.0));
        assert_eq!(value("istio_request_duration_milliseconds_count", &[]), Some(1.0));
        assert_eq!(value("istio_request_duration_milliseconds_sum", &[]), Some(7.5));
        let bucket = "istio_request_duration_milliseconds_bucket";
        assert_eq!(value(bucket, &[r#"le="5.0""#]), Some(0.0));
        assert_eq!(value(bucket, &[r#"le="10.0""#]), Some(1.0));
        assert_eq!(value("istio_request_bytes_sum", &[]), Some(84.0));
        assert_eq!(value("istio_response_bytes_sum", &[]), Some(1617.0));
        assert_eq!(value("istio_request_messages_total", &[]), None, "it is not of gRPC");
    }

    #[test]
    fn a_call_of_grpc_tells_its_status_and_its_messages() {
        let metrics = Metrics::new("test");
        let call = Some(Call { status: Some(14), requests: 1, responses: 3 });
        let request = Request { call, ..sample::request(Direction::Inbound) };
        metrics.request(&request, Instant::now());
        let labels = [r#"request_protocol="grpc",response_code="200",grpc_response_status="14""#];
        assert_eq!(value(&metrics, "istio_requests_total", &labels), Some(1.0));
        assert_eq!(value(&metrics, "istio_request_messages_total", &labels), Some(1.0));
        assert_eq!(value(&metrics, "istio_response_messages_total", &labels), Some(3.0));
    }

    #[test]
    fn a_server_that_invents_codes_fills_no_memory_and_is_counted() {
        let metrics = Metrics::new("test");
        let now = Instant::now();
        let count = |code| {
            metrics.request(&Request { code, ..sample::request(Direction::Outbound) }, now);
        };
        (0..510).for_each(count);
        count(0);
        assert_eq!(samples(&metrics, "istio_requests_total", &[]).len(), MOST + 1);
        let other = [r#"response_code="other""#, r#"source_workload="cart""#];
        assert_eq!(value(&metrics, "istio_requests_total", &other), Some(10.0));
        assert_eq!(
            value(&metrics, "istio_requests_total", &[r#"response_code="0""#]),
            Some(2.0),
            "what has a series keeps it"
        );
    }

    #[test]
    fn series_go_some_time_after_their_workload() {
        let metrics = Metrics::new("test");
        let (now, request) = (Instant::now(), sample::request(Direction::Outbound));
        metrics.request(&request, now);
        metrics.forget(&request.facts.own_workload().unwrap().uid, now);
        metrics.expire(now + KEEP / 2);
        assert_eq!(samples(&metrics, "istio_requests_total", &[]).len(), 1);
        metrics.expire(now + KEEP);
        assert_eq!(samples(&metrics, "istio_requests_total", &[]), [""; 0]);
    }

    #[test]
    fn a_service_that_nobody_answered_for_is_in_its_clients_cluster() {
        let metrics = Metrics::new("test");
        let mut request = sample::request(Direction::Outbound);
        request.facts.destination_workload = None;
        metrics.request(&request, Instant::now());
        let labels = [r#"destination_workload="unknown""#, r#"destination_cluster="Kubernetes""#];
        assert_eq!(value(&metrics, "istio_requests_total", &labels), Some(1.0));
    }
}
