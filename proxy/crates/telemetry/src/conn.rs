//! The account of one connection: opened once, counted while it lives, closed once.
use crate::{
    Telemetry, access::line::AccessLine, chain::Chain, denial::Denied, metrics::tcp::Series,
};
use culvert_model::{close::CloseReason, facts::ConnFacts};
use parking_lot::Mutex;
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

/// An accepted connection that has not ended.
///
/// Ends in one close reason and one access line: those of [`finish`](Self::finish), or
/// [`CloseReason::Internal`] when dropped without, as a panic or a task that was cut does.
#[derive(Debug)]
#[must_use = "dropping it says that the connection ended in an internal error"]
pub struct ConnRecord {
    live: Arc<Live>,
    /// `None` until it is settled, or ends before.
    series: Option<Arc<Series>>,
    denied: Option<Box<Denied>>,
    telemetry: Telemetry,
    finished: bool,
}

/// Counts bytes of a connection that is settled, for those who move them.
#[derive(Clone, Debug)]
pub struct Counter {
    live: Arc<Live>,
    series: Arc<Series>,
}

/// What can be seen of a connection while it lives, and after.
#[derive(Debug)]
pub struct Live {
    facts: Mutex<ConnFacts>,
    opened: Instant,
    sent: AtomicU64,
    received: AtomicU64,
}

impl ConnRecord {
    pub(crate) fn open(telemetry: Telemetry, facts: ConnFacts, opened: Instant) -> Self {
        telemetry.metrics.accepted(&facts);
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let live = Live { facts: Mutex::new(facts), opened, sent, received };
        Self { live: Arc::new(live), series: None, denied: None, telemetry, finished: false }
    }

    /// Notes what was learnt since it was accepted, while it is still being opened.
    pub fn learn(&self, change: impl FnOnce(&mut ConnFacts)) {
        let mut facts = self.live.facts.lock();
        let before = facts.path;
        change(&mut facts);
        self.telemetry.metrics.moved(&facts, before);
    }

    /// Says that the other side is there: nothing more will be learnt, and bytes can be counted.
    ///
    /// Metrics show a connection with all its labels from here on.
    pub fn settle(&mut self) {
        let facts = self.live.facts.lock();
        let metrics = &self.telemetry.metrics;
        self.series.get_or_insert_with(|| metrics.opened(&facts, self.live.opened));
    }

    /// Notes that policy denied it, or would.
    pub fn deny(&mut self, denied: Denied) {
        self.telemetry.metrics.denied(&denied);
        self.denied = Some(Box::new(denied));
    }

    /// Counts `bytes` copied from the source to the destination; none before it is settled.
    ///
    /// Two relaxed additions: call it per batch that was copied, so that long connections show
    /// before they end.
    pub fn sent(&self, bytes: u64) {
        if let Some(series) = &self.series {
            self.live.sent(series, bytes);
        }
    }

    /// Counts `bytes` copied from the destination to the source; none before it is settled.
    pub fn received(&self, bytes: u64) {
        if let Some(series) = &self.series {
            self.live.received(series, bytes);
        }
    }

    /// The same for others to count with; `None` before it is settled.
    pub fn counter(&self) -> Option<Counter> {
        let (live, series) = (Arc::clone(&self.live), Arc::clone(self.series.as_ref()?));
        Some(Counter { live, series })
    }

    /// Ends the account; `error` is printed with its causes.
    pub fn finish(self, reason: CloseReason, error: Option<&(dyn Error + 'static)>) {
        let access = self.telemetry.access.clone();
        if let Some(line) = self.finish_unwritten(reason, error) {
            access.write(line);
        }
    }

    /// The same, but leaves the line, if lines are wanted, to the caller: for ends of which there
    /// can be too many to write each.
    #[must_use = "the connection has no other line"]
    pub fn finish_unwritten(
        mut self,
        reason: CloseReason,
        error: Option<&(dyn Error + 'static)>,
    ) -> Option<AccessLine> {
        self.close(reason, error)
    }

    /// Says nothing of its end: it goes on, and it is not for this process to tell of it.
    pub fn leave(mut self) {
        self.finished = true;
        self.settle();
        if let Some(series) = &self.series {
            let path = self.live.see(|facts| facts.path);
            self.telemetry.metrics.closed(series, path, CloseReason::Drained);
        }
    }

    /// What others may see of it; clones of the `Arc` outlive the record.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    pub fn facts(&self) -> ConnFacts {
        self.live.facts()
    }

    pub fn bytes_sent(&self) -> u64 {
        self.live.bytes_sent()
    }

    pub fn bytes_received(&self) -> u64 {
        self.live.bytes_received()
    }

    pub fn lasted(&self) -> Duration {
        self.live.lasted()
    }

    fn close(
        &mut self,
        reason: CloseReason,
        error: Option<&(dyn Error + 'static)>,
    ) -> Option<AccessLine> {
        self.finished = true;
        self.settle();
        let Self { live, series, denied, telemetry, finished: _ } = self;
        let facts = live.facts();
        if let Some(series) = series {
            telemetry.metrics.closed(series, facts.path, reason);
        }
        telemetry.access.is_on().then(|| AccessLine {
            time: SystemTime::now(),
            facts,
            bytes_sent: live.bytes_sent(),
            bytes_recv: live.bytes_received(),
            lasted: live.lasted(),
            close: reason,
            denied: denied.take(),
            error: error.map(|error| Chain(error).to_string().into()),
            unwritten: 0,
        })
    }
}

impl Drop for ConnRecord {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if let Some(line) = self.close(CloseReason::Internal, None) {
            self.telemetry.access.write(line);
        }
    }
}

impl Counter {
    /// Counts `bytes` copied from the source to the destination.
    pub fn sent(&self, bytes: u64) {
        self.live.sent(&self.series, bytes);
    }

    /// Counts `bytes` copied from the destination to the source.
    pub fn received(&self, bytes: u64) {
        self.live.received(&self.series, bytes);
    }
}

impl Live {
    fn sent(&self, series: &Series, bytes: u64) {
        self.sent.fetch_add(bytes, Relaxed);
        series.add_request(bytes);
    }

    fn received(&self, series: &Series, bytes: u64) {
        self.received.fetch_add(bytes, Relaxed);
        series.add_response(bytes);
    }
    /// As they are known now.
    pub fn facts(&self) -> ConnFacts {
        self.facts.lock().clone()
    }

    /// Looks at what is known now; whoever opens it waits meanwhile.
    pub fn see<T>(&self, look: impl FnOnce(&ConnFacts) -> T) -> T {
        look(&self.facts.lock())
    }

    /// From the source to the destination.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// From the destination to the source.
    pub fn bytes_received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Since it was accepted.
    pub fn lasted(&self) -> Duration {
        self.opened.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::{AccessFormat, AccessLog},
        metrics::{Format, Metrics},
        sample,
    };
    use culvert_model::facts::Direction;
    use parking_lot::Mutex;
    use proptest::prelude::*;
    use std::{
        io::{self, Write},
        panic::{AssertUnwindSafe, catch_unwind},
    };

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().write(buf)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start() -> (Telemetry, Shared) {
        let (metrics, sink) = (Arc::new(Metrics::new("test")), Shared::default());
        let access =
            AccessLog::start(AccessFormat::Json, Box::new(sink.clone()), &metrics).unwrap();
        (Telemetry::new(metrics, access), sink)
    }

    /// The access lines so far, and no more.
    fn lines(telemetry: &Telemetry, sink: &Shared) -> Vec<serde_json::Value> {
        telemetry.access.close(Duration::from_secs(60)).unwrap();
        let text = String::from_utf8(sink.0.lock().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The sum of a metric's samples whose labels contain `labels`.
    fn sum(telemetry: &Telemetry, metric: &str, labels: &str) -> u64 {
        let text = telemetry.metrics.encode(Format::Prometheus);
        let samples = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let is_it = name.split('{').next() == Some(metric) && name.contains(labels);
            is_it.then(|| value.parse::<u64>().unwrap())
        });
        samples.sum()
    }

    #[test]
    fn bytes_show_while_the_connection_lives() {
        let (telemetry, _) = start();
        let mut record = telemetry.open(sample::facts(Direction::Outbound));
        record.settle();
        record.sent(84);
        record.received(1600);
        record.received(17);
        // Istio's names are those of the destination: it received the request.
        assert_eq!(sum(&telemetry, "istio_tcp_received_bytes_total", "source"), 84);
        assert_eq!(sum(&telemetry, "istio_tcp_sent_bytes_total", "source"), 1617);
        assert_eq!(sum(&telemetry, "istio_tcp_sockets_open", "source"), 1);
        assert_eq!(sum(&telemetry, "culvert_connections_open", "outbound"), 1);
        let live = Arc::clone(record.live());
        record.finish(CloseReason::Done, None);
        assert_eq!((live.bytes_sent(), live.bytes_received()), (84, 1617));
        assert_eq!(sum(&telemetry, "istio_tcp_sockets_open", "source"), 0);
        assert_eq!(sum(&telemetry, "culvert_connections_open", "outbound"), 0);
    }

    #[test]
    fn a_refusal_is_opened_closed_failed_refused_and_logged() {
        let (telemetry, sink) = start();
        let error = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let record = telemetry.open(sample::facts(Direction::Inbound));
        record.finish(CloseReason::UpstreamRefused, Some(&error));
        let flags = r#"response_flags="CONNECT""#;
        assert_eq!(sum(&telemetry, "istio_tcp_connections_opened_total", "destination"), 1);
        assert_eq!(sum(&telemetry, "istio_tcp_connections_closed_total", flags), 1);
        assert_eq!(sum(&telemetry, "istio_tcp_connections_failed_total", flags), 1);
        assert_eq!(sum(&telemetry, "culvert_refused_total", "upstream_refused"), 1);
        let lines = lines(&telemetry, &sink);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["close"], "upstream_refused");
        assert_eq!(lines[0]["error"], "Connection refused (os error 111)");
    }

    #[test]
    fn a_panic_ends_in_a_line_too() {
        let (telemetry, sink) = start();
        let mut record = telemetry.open(sample::facts(Direction::Outbound));
        record.settle();
        let task = || {
            record.sent(5);
            panic!("on purpose");
        };
        assert!(catch_unwind(AssertUnwindSafe(task)).is_err());
        drop(record);
        let lines = lines(&telemetry, &sink);
        assert_eq!(lines.len(), 1);
        assert_eq!((&lines[0]["close"], &lines[0]["bytes_sent"]), (&"internal".into(), &5.into()));
        assert_eq!(sum(&telemetry, "culvert_connections_closed_total", "internal"), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// However connections end: as many lines as were opened, and every byte in both.
        #[test]
        fn everything_is_accounted_for_once(
            conns in prop::collection::vec(
                (any::<bool>(), 0..=CloseReason::ALL.len(), 0..1000_u64, 0..1000_u64),
                0..30,
            ),
        ) {
            let (telemetry, sink) = start();
            for &(inbound, reason, sent, received) in &conns {
                let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
                let mut record = telemetry.open(sample::facts(direction));
                record.settle();
                record.sent(sent);
                record.received(received);
                // One more than there are: dropped without.
                if let Some(&reason) = CloseReason::ALL.get(reason) {
                    record.finish(reason, None);
                }
            }
            let opened = sum(&telemetry, "istio_tcp_connections_opened_total", "");
            prop_assert_eq!(opened, u64::try_from(conns.len()).unwrap());
            prop_assert_eq!(sum(&telemetry, "istio_tcp_connections_closed_total", ""), opened);
            prop_assert_eq!(sum(&telemetry, "culvert_connections_closed_total", ""), opened);
            prop_assert_eq!(sum(&telemetry, "culvert_connections_open", ""), 0);
            let sent: u64 = conns.iter().map(|conn| conn.2).sum();
            let received: u64 = conns.iter().map(|conn| conn.3).sum();
            prop_assert_eq!(sum(&telemetry, "istio_tcp_received_bytes_total", ""), sent);
            prop_assert_eq!(sum(&telemetry, "istio_tcp_sent_bytes_total", ""), received);
            let lines = lines(&telemetry, &sink);
            prop_assert_eq!(lines.len(), conns.len());
            let logged: u64 = lines.iter().map(|line| line["bytes_sent"].as_u64().unwrap()).sum();
            prop_assert_eq!(logged, sent);
        }
    }
}
