//! The account of one connection: opened once, counted while it lives, closed once.
use crate::{Telemetry, access::line::AccessLine, chain::Chain, metrics::tcp::Series, path::Path};
use culvert_model::{close::CloseReason, facts::ConnFacts};
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
/// Ends in exactly one access line and one close reason: that of [`finish`](Self::finish), or
/// [`CloseReason::Internal`] when dropped without, as a panic or a task that was cut does.
#[derive(Debug)]
#[must_use = "dropping it says that the connection ended in an internal error"]
pub struct ConnRecord {
    live: Arc<Live>,
    series: Arc<Series>,
    telemetry: Telemetry,
    finished: bool,
}

/// What can be seen of a connection while it lives, and after.
#[derive(Debug)]
pub struct Live {
    facts: ConnFacts,
    path: Path,
    opened: Instant,
    sent: AtomicU64,
    received: AtomicU64,
}

impl ConnRecord {
    pub(crate) fn open(telemetry: Telemetry, facts: ConnFacts) -> Self {
        let (path, opened) = (Path::Plain, Instant::now());
        let series = telemetry.metrics.opened(&facts, path, opened);
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let live = Arc::new(Live { facts, path, opened, sent, received });
        Self { live, series, telemetry, finished: false }
    }

    /// Counts `bytes` copied from the source to the destination.
    ///
    /// Two relaxed additions: call it per batch that was copied, so that long connections show
    /// before they end.
    pub fn sent(&self, bytes: u64) {
        self.live.sent.fetch_add(bytes, Relaxed);
        self.series.add_request(bytes);
    }

    /// Counts `bytes` copied from the destination to the source.
    pub fn received(&self, bytes: u64) {
        self.live.received.fetch_add(bytes, Relaxed);
        self.series.add_response(bytes);
    }

    /// Ends the account; `error` is printed with its causes.
    pub fn finish(mut self, reason: CloseReason, error: Option<&(dyn Error + 'static)>) {
        self.finished = true;
        self.close(reason, error);
    }

    /// What others may see of it; clones of the `Arc` outlive the record.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    pub fn facts(&self) -> &ConnFacts {
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

    fn close(&self, reason: CloseReason, error: Option<&(dyn Error + 'static)>) {
        let Self { live, series, telemetry, finished: _ } = self;
        telemetry.metrics.closed(series, live.path, reason);
        if telemetry.access.is_on() {
            telemetry.access.write(AccessLine {
                time: SystemTime::now(),
                facts: live.facts.clone(),
                path: live.path,
                bytes_sent: live.bytes_sent(),
                bytes_recv: live.bytes_received(),
                lasted: live.lasted(),
                close: reason,
                error: error.map(|error| Chain(error).to_string().into()),
            });
        }
    }
}

impl Drop for ConnRecord {
    fn drop(&mut self) {
        if !self.finished {
            self.close(CloseReason::Internal, None);
        }
    }
}

impl Live {
    pub fn facts(&self) -> &ConnFacts {
        &self.facts
    }

    pub fn path(&self) -> Path {
        self.path
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
