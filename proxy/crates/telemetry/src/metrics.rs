//! Every number the proxy exposes.
//!
//! Names and labels are public: Istio's standard ones, `culvert_*` for our own.
pub mod exposition;

pub mod pods;

pub mod tunnels;

pub mod certificates;

mod conns;

pub mod dns;

mod denials;

mod expiry;

pub mod generations;

mod labels;

mod process;

pub mod requests;

mod xds;

pub(crate) mod tcp;

pub use certificates::CertificateSample;
pub use exposition::Format;
pub use generations::GenerationSample;
pub use pods::{PodSample, PodState};
pub use tunnels::Handshake;

use crate::{
    denial::Denied,
    metrics::{
        certificates::Certificates,
        conns::Conns,
        denials::Denials,
        dns::{Dns, DnsSeries, Protocol},
        generations::Generations,
        pods::Pods,
        process::Process,
        requests::Requests,
        tcp::{Series, Tcp},
        tunnels::{Open, Tunnels},
        xds::Xds,
    },
    path::Path,
    request::Request,
};
use culvert_model::{
    close::CloseReason,
    facts::{ConnFacts, Direction},
    name::WorkloadUid,
    workload::Workload,
};
use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the series of a workload that left are kept: ten scrapes of 30 s, so that Prometheus
/// sees their last values.
pub const KEEP: Duration = Duration::from_secs(300);

/// The registry and the handles into it; one per process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    tcp: Arc<Tcp>,
    requests: Arc<Requests>,
    dns: Arc<Dns>,
    conns: Conns,
    tunnels: Tunnels,
    xds: Xds,
    denials: Arc<Denials>,
    certificates: Arc<Certificates>,
    generations: Arc<Generations>,
    pods: Arc<Pods>,
    access_log_dropped: Counter,
}

impl Metrics {
    /// Registers everything; `version` is the tag of the build.
    #[must_use]
    pub fn new(version: &str) -> Self {
        Self::keeping(version, KEEP)
    }

    /// Like [`new`](Self::new), with another time than [`KEEP`].
    #[must_use]
    pub fn keeping(version: &str, keep: Duration) -> Self {
        let mut registry = Registry::default();
        let tcp = Arc::new(Tcp::new(keep));
        let istio = registry.sub_registry_with_prefix("istio");
        istio.register_collector(Box::new(Arc::clone(&tcp)));
        let requests = Arc::new(Requests::new(keep));
        istio.register_collector(Box::new(Arc::clone(&requests)));
        let dns = Arc::new(Dns::new(keep));
        istio.register_collector(Box::new(Arc::clone(&dns)));
        let build = Family::<Vec<(String, String)>, Gauge>::default();
        // `ztunnel`, for that is what its dashboards and Kiali look for.
        build.get_or_create(&label_pair("component", "ztunnel", "tag", version)).set(1);
        istio.register("build", "Version of this proxy", build);
        let xds = Xds::register(istio);
        let conns = Conns::register(&mut registry);
        let tunnels = Tunnels::register(&mut registry);
        let (denials, certificates) = <(Arc<Denials>, Arc<Certificates>)>::default();
        let generations = Arc::<Generations>::default();
        registry.register_collector(Box::new(Arc::clone(&denials)));
        registry.register_collector(Box::new(Arc::clone(&certificates)));
        registry.register_collector(Box::new(Arc::clone(&generations)));
        let pods = Pods::register(&mut registry);
        let access_log_dropped = Counter::default();
        registry.sub_registry_with_prefix("culvert").register(
            "access_log_dropped",
            "Access lines dropped because nobody read them in time",
            access_log_dropped.clone(),
        );
        registry.register_collector(Box::new(Process));
        Self {
            registry,
            tcp,
            requests,
            dns,
            conns,
            tunnels,
            xds,
            denials,
            certificates,
            generations,
            pods,
            access_log_dropped,
        }
    }

    /// The whole exposition.
    #[expect(clippy::missing_panics_doc, reason = "a String takes every character")]
    pub fn encode(&self, format: Format) -> String {
        let mut open_metrics = String::new();
        text::encode(&mut open_metrics, &self.registry).expect("a String takes all");
        match format {
            Format::OpenMetrics => open_metrics,
            Format::Prometheus => exposition::prometheus(&open_metrics),
        }
    }

    /// What is shown of this node's pods from now on; whole, so that a pod left out is gone.
    ///
    /// Cheap enough to be called for each scrape.
    pub fn set_pods(&self, pods: Vec<PodSample>) {
        self.pods.set(pods);
    }

    /// What is shown of this node's certificates from now on, whole; to be called for each scrape.
    pub fn set_certificates(&self, certificates: Vec<CertificateSample>) {
        self.certificates.set(certificates);
    }

    /// What is shown of engines' configuration from now on, whole; to be called for each scrape.
    pub fn set_generations(&self, generations: Vec<GenerationSample>) {
        self.generations.set(generations);
    }

    /// A handshake of a tunnel ended, after so long.
    pub fn handshake(&self, direction: Direction, outcome: Handshake, took: Duration) {
        self.tunnels.handshake(direction, outcome, took);
    }

    /// A message of a type of resource came from the control plane.
    pub fn xds_message(&self, type_url: &str, bytes: u64) {
        self.xds.message(type_url, bytes);
    }

    /// A stream from the control plane ended: `ConnectionError`, `Error`, `Reconnect` or
    /// `Complete`.
    pub fn xds_terminated(&self, reason: &'static str) {
        self.xds.terminated(reason);
    }

    /// Counts a tunnel while the answer lives.
    pub fn tunnel(&self, direction: Direction) -> Open {
        self.tunnels.opened(direction)
    }

    /// Counts a connection inside a tunnel while the answer lives.
    pub fn tunnel_stream(&self, direction: Direction) -> Open {
        self.tunnels.stream(direction)
    }

    /// A pod was enrolled.
    pub fn pod_started(&self) {
        self.pods.started.inc();
    }

    /// An enrolled pod was let go.
    pub fn pod_stopped(&self) {
        self.pods.stopped.inc();
    }

    /// The workload left: its series, those in which it is the local end, end some minutes later.
    ///
    /// Call it after the workload's last connection.
    pub fn forget(&self, workload: &WorkloadUid, now: Instant) {
        self.tcp.forget(workload, now);
        self.requests.forget(workload, now);
        self.dns.forget(workload, now);
    }

    /// The workload is here, perhaps again.
    pub fn remember(&self, workload: &WorkloadUid) {
        self.tcp.remember(workload);
        self.requests.remember(workload);
        self.dns.remember(workload);
    }

    /// Removes the series whose time has come; to be called once a minute or so.
    pub fn expire(&self, now: Instant) {
        self.tcp.expire(now);
        self.requests.expire(now);
        self.dns.expire(now);
    }

    /// Where a question that `source` asked is counted; `kind` is the type of record.
    pub fn dns(&self, source: &Workload, kind: u16, protocol: Protocol) -> Arc<DnsSeries> {
        self.dns.series(source, (kind, protocol), Instant::now())
    }

    /// A request is over.
    pub(crate) fn request(&self, request: &Request, now: Instant) {
        self.requests.count(request, now);
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&self, facts: &ConnFacts) {
        self.conns.opened(facts.direction, facts.path);
    }

    /// It turned out to take another way than it was taken for.
    pub(crate) fn moved(&self, facts: &ConnFacts, before: Path) {
        self.conns.moved(facts.direction, before, facts.path);
    }

    /// All of it is known.
    pub(crate) fn opened(&self, facts: &ConnFacts, now: Instant) -> Arc<Series> {
        let series = self.tcp.series(facts, now);
        series.opened();
        series
    }

    pub(crate) fn denied(&self, denied: &Denied) {
        self.denials.count(denied);
    }

    /// `series`: `None` of one whose requests are counted.
    pub(crate) fn closed(&self, facts: &ConnFacts, series: Option<&Series>, reason: CloseReason) {
        self.conns.closed(facts.direction, facts.path, reason);
        if let Some(series) = series {
            series.closed(reason);
        }
    }

    pub(crate) fn access_log_dropped(&self) -> Counter {
        self.access_log_dropped.clone()
    }
}

fn label_pair(a: &str, a_value: &str, b: &str, b_value: &str) -> Vec<(String, String)> {
    vec![(a.to_owned(), a_value.to_owned()), (b.to_owned(), b_value.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use culvert_common::pod::PodStats;
    use culvert_model::name::ObjectName;

    /// Everything that does not depend on this process and moment, in a fixed order.
    fn exposition(metrics: &Metrics) -> String {
        let text = metrics.encode(Format::Prometheus);
        let mut lines: Vec<_> = text.lines().filter(|line| !line.contains("process_")).collect();
        // Families write their series in no order; descriptions stay where they are.
        lines.chunk_by_mut(|a, b| a.starts_with('#') == b.starts_with('#')).for_each(|samples| {
            if !samples[0].starts_with('#') {
                samples.sort_unstable();
            }
        });
        lines.join("\n")
    }

    fn some_traffic() -> Metrics {
        let metrics = Metrics::new("0.1.0");
        for (direction, reason) in
            [(Direction::Outbound, CloseReason::Done), (Direction::Inbound, CloseReason::PodLimit)]
        {
            let facts = sample::facts(direction);
            metrics.accepted(&facts);
            let series = metrics.opened(&facts, Instant::now());
            series.add_request(84);
            series.add_response(1617);
            metrics.closed(&facts, Some(&series), reason);
        }
        let facts = sample::tunnelled(Direction::Inbound);
        metrics.accepted(&facts);
        drop(metrics.opened(&facts, Instant::now()));
        metrics.request(&sample::request(Direction::Outbound), Instant::now());
        metrics.denied(&sample::denied());
        metrics.xds_message("type.googleapis.com/istio.workload.Address", 17);
        metrics.xds_terminated("Reconnect");
        metrics.handshake(Direction::Inbound, Handshake::Done, Duration::from_millis(1));
        metrics.set_certificates(vec![CertificateSample {
            identity: "spiffe://cluster.local/ns/shop/sa/cart".to_owned(),
            not_after: Some(1_767_225_599),
        }]);
        metrics.set_generations(GenerationSample::new("shop", "17").into_iter().collect());
        let cart = sample::workload("cart", "10.0.0.1");
        metrics.dns(&cart, 1, Protocol::Udp).requested();
        metrics.dns(&cart, 65_280, Protocol::Tcp).forwarded(Duration::from_millis(2), true);
        let kernel = PodStats { captured: 1, pending: 2, ..PodStats::default() };
        let name = ObjectName::new("shop", "cart-1");
        metrics.set_pods(vec![PodSample { name, state: PodState::Captured, kernel }]);
        metrics.pod_started();
        metrics
    }

    #[test]
    fn every_metric_there_is() {
        insta::assert_snapshot!(exposition(&some_traffic()));
    }

    #[test]
    fn open_metrics_ends_with_its_mark_and_names_counters_without_total() {
        let text = some_traffic().encode(Format::OpenMetrics);
        assert!(text.ends_with("# EOF\n"));
        assert!(text.contains("# TYPE istio_tcp_sent_bytes counter\n"));
        assert!(text.contains("\nistio_tcp_sent_bytes_total{"));
        assert!(text.contains("# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds"));
        assert!(text.contains("\nprocess_cpu_seconds_total "));
    }

    #[test]
    fn every_sample_is_described_once_before_it() {
        let text = some_traffic().encode(Format::Prometheus);
        let mut described = std::collections::HashSet::new();
        for line in text.lines() {
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                assert!(described.insert(typed.split(' ').next().unwrap()), "twice: {line}");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                let suffixes = ["_bucket", "_sum", "_count"];
                let of_histogram = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
                let mut names = of_histogram.chain([name]);
                assert!(names.any(|name| described.contains(name)), "not described: {line}");
            }
        }
    }

    #[test]
    fn two_pods_of_a_deployment_share_a_series_until_both_have_left() {
        let metrics = Metrics::new("0.1.0");
        let facts = sample::facts(Direction::Outbound);
        let mut sibling = sample::workload("cart", "10.0.0.9");
        sibling.uid = WorkloadUid::new("another");
        let first = facts.own_workload().unwrap().uid.clone();
        let second = sibling.uid.clone();
        let now = Instant::now();
        drop(metrics.opened(&facts, now));
        let facts = ConnFacts { source_workload: Some(Arc::new(sibling)), ..facts };
        drop(metrics.opened(&facts, now));
        let opened = |count| format!("policy=\"none\"}} {count}\n");

        metrics.forget(&first, now);
        metrics.expire(now + KEEP);
        assert!(metrics.encode(Format::Prometheus).contains(&opened(2)));
        metrics.forget(&second, now + KEEP);
        metrics.expire(now + 2 * KEEP);
        assert!(!metrics.encode(Format::Prometheus).contains("policy="));
    }

    #[test]
    fn reasons_are_in_the_order_their_counters_are() {
        for (i, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i, "{reason:?}");
        }
    }
}
