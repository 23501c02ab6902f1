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
    /// What it carries is counted by the request.
    carries_requests: bool,
    denied: Option<Box<Denied>>,
    telemetry: Telemetry,
    finished: bool,
}

/// Counts bytes of a connection, for those who move them.
#[derive(Clone, Debug)]
pub struct Counter {
    live: Arc<Live>,
    /// Of a connection that was settled.
    series: Option<Arc<Series>>,
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
        let (series, denied, carries_requests) = (None, None, false);
        let live = Arc::new(live);
        Self { live, series, carries_requests, denied, telemetry, finished: false }
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
        if self.carries_requests || self.series.is_some() {
            return;
        }
        let facts = self.live.facts.lock();
        let series = self.telemetry.metrics.opened(&facts, self.live.opened);
        // What was moved before it was known what it is.
        series.add_request(self.live.bytes_sent());
        series.add_response(self.live.bytes_received());
        self.series = Some(series);
    }

    /// Says, in place of that, that it carries requests: Istio's metrics count those, and nothing
    /// of the connection.
    pub fn carry_requests(&mut self) {
        self.carries_requests = self.series.is_none();
    }

    /// Notes that policy denied it, or would.
    pub fn deny(&mut self, denied: Denied) {
        self.telemetry.metrics.denied(&denied);
        self.denied = Some(Box::new(denied));
    }

    /// Counts `bytes` copied from the source to the destination.
    ///
    /// Two relaxed additions: call it per batch that was copied, so that long connections show
    /// before they end.
    pub fn sent(&self, bytes: u64) {
        self.live.sent(self.series.as_deref(), bytes);
    }

    /// Counts `bytes` copied from the destination to the source.
    pub fn received(&self, bytes: u64) {
        self.live.received(self.series.as_deref(), bytes);
    }

    /// The same for others to count with; to be taken anew once it is settled.
    pub fn counter(&self) -> Counter {
        Counter { live: Arc::clone(&self.live), series: self.series.clone() }
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
        let facts = self.live.facts.lock();
        self.telemetry.metrics.closed(&facts, self.series.as_deref(), CloseReason::Drained);
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
        let Self { live, series, denied, telemetry, .. } = self;
        let facts = live.facts();
        telemetry.metrics.closed(&facts, series.as_deref(), reason);
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
        self.live.sent(self.series.as_deref(), bytes);
    }

    /// Counts `bytes` copied from the destination to the source.
    pub fn received(&self, bytes: u64) {
        self.live.received(self.series.as_deref(), bytes);
    }
}

impl Live {
    fn sent(&self, series: Option<&Series>, bytes: u64) {
        self.sent.fetch_add(bytes, Relaxed);
        if let Some(series) = series {
            series.add_request(bytes);
        }
    }

    fn received(&self, series: Option<&Series>, bytes: u64) {
        self.received.fetch_add(bytes, Relaxed);
        if let Some(series) = series {
            series.add_response(bytes);
        }
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
mod tests;
