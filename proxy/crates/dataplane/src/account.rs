//! What the node keeps of one connection, from accept to close.
use crate::{
    connections::{Conn, Slot},
    copy::Moved,
    cut::{Guard, Why},
    errors::InboundError,
    judge::{self, Denial},
    limits::{Refusal, Ticket},
    loads::Counted,
    pods::pod::Pod,
};
use culvert_model::{
    close::CloseReason,
    facts::{ConnFacts, Direction},
    snapshot::Known,
};
use culvert_telemetry::conn::{ConnRecord, Counter};
use std::{
    error::Error,
    future::Future,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Instant,
};
use tracing::warn;

/// A connection that was admitted: counted against its pod's limits, listed, and recorded.
///
/// Ends in one access line: that of [`close`](Self::close), or when its task is dropped, that
/// the pod is gone or the drain over.
#[derive(Debug)]
#[must_use = "dropping it says that the connection was cut"]
pub(crate) struct Account {
    /// Until it is closed.
    record: Option<ConnRecord>,
    conn: Arc<Conn>,
    slot: Slot,
    pod: Arc<Pod>,
    endpoint: Option<Counted>,
    /// Given back last: whoever waits for the pod's last connection then finds it recorded.
    _ticket: Ticket,
}

/// Counts bytes of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Option<Counter>);

impl Meter {
    pub(crate) fn count(&self, moved: Moved) {
        let Some(counter) = &self.0 else { return };
        let Moved { sent, received } = moved;
        if sent != 0 {
            counter.sent(sent);
        }
        if received != 0 {
            counter.received(received);
        }
    }
}

impl Account {
    /// Opens the account, unless the pod has as many connections as it may.
    ///
    /// # Errors
    ///
    /// When it has; the refusal is recorded then.
    pub(crate) fn open(pod: &Arc<Pod>, facts: ConnFacts) -> Result<Self, Refusal> {
        let admitted = pod.admit();
        let record = pod.shared.telemetry.open(facts);
        match admitted {
            Ok(ticket) => {
                let conn = Conn::new(Arc::clone(record.live()));
                let (slot, pod) = (pod.connections.add(Arc::clone(&conn)), Arc::clone(pod));
                let (record, endpoint) = (Some(record), None);
                Ok(Self { record, conn, slot, pod, endpoint, _ticket: ticket })
            }
            Err(refusal) => {
                finish(pod, record, refusal.reason(), &refusal);
                say(pod, &refusal);
                Err(refusal)
            }
        }
    }

    pub(crate) fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }

    pub(crate) fn direction(&self) -> Direction {
        self.conn.live.see(|facts| facts.direction)
    }

    pub(crate) fn source(&self) -> SocketAddr {
        self.conn.live.see(|facts| facts.source)
    }

    pub(crate) fn destination(&self) -> SocketAddr {
        self.conn.live.see(|facts| facts.destination)
    }

    pub(crate) fn facts(&self) -> ConnFacts {
        self.conn.live.facts()
    }

    /// Notes what was learnt while it is opened.
    pub(crate) fn learn(&self, change: impl FnOnce(&mut ConnFacts)) {
        if let Some(record) = &self.record {
            record.learn(change);
        }
    }

    /// Asks the policies of `known`, its destination, whether it may pass; says whether one on trial
    /// is against it.
    ///
    /// The account was opened before: from then on a change of policy finds it.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub(crate) fn judge(&mut self, known: &Known) -> Result<bool, Denial> {
        let passed = self.conn.live.see(|facts| judge::judge(known, facts))?;
        let on_trial = passed.trial.is_some();
        if let (Some(record), Some(trial)) = (&mut self.record, passed.trial) {
            record.deny(trial);
        }
        Ok(on_trial)
    }

    /// Says whether it goes to the application past L7.
    pub(crate) fn go_past_l7(&self, goes: bool) {
        self.conn.go_past_l7(goes);
    }

    /// Waits for `work`, unless somebody cuts the connection.
    pub(crate) fn guard<F: Future + Unpin>(&self, work: F) -> Guard<'_, F> {
        self.conn.cut.guard(work)
    }

    /// Resolves when somebody cuts the connection.
    pub(crate) fn poll_cut(&self, cx: &Context<'_>) -> Poll<Arc<Why>> {
        self.conn.cut.poll_cut(cx)
    }

    /// Ends it, wherever it is.
    pub(crate) fn cut(&self, why: Why) {
        self.conn.cut.cut(why);
    }

    /// Counts it with the endpoint it went to, until it ends.
    pub(crate) fn count_at(&mut self, endpoint: Counted) {
        self.endpoint = Some(endpoint);
    }

    /// Notes that the other side is there.
    pub(crate) fn opened(&mut self) {
        if let Some(record) = &mut self.record {
            record.settle();
        }
        self.pod.connections.opened(self.slot);
    }

    /// Notes that somebody has it who is to find out what it carries.
    pub(crate) fn taken(&mut self) {
        self.pod.connections.opened(self.slot);
    }

    /// Notes that it carries requests, which are counted in its place.
    pub(crate) fn carry_requests(&mut self) {
        if let Some(record) = &mut self.record {
            record.carry_requests();
        }
    }

    pub(crate) fn count(&self, moved: Moved) {
        let Some(record) = &self.record else { return };
        let Moved { sent, received } = moved;
        if sent != 0 {
            record.sent(sent);
        }
        if received != 0 {
            record.received(received);
        }
    }

    /// What counts for whoever else moves bytes of it; of one that was opened.
    pub(crate) fn meter(&self) -> Meter {
        Meter(self.record.as_ref().map(ConnRecord::counter))
    }

    pub(crate) fn close(mut self, reason: CloseReason, error: Option<&(dyn Error + 'static)>) {
        if let Some(record) = self.record.take() {
            record.finish(reason, error);
        }
    }

    /// Closes it as one that goes no further, by way of the pod it came to.
    pub(crate) fn fail(self, error: &InboundError) {
        match error {
            InboundError::Denied(denial) => self.close_denied(denial),
            InboundError::Cut(why) => self.close_cut(why),
            InboundError::NotCaptured { .. }
            | InboundError::NotAdmitted(_)
            | InboundError::OwnPort(_)
            | InboundError::Elsewhere(_)
            | InboundError::AppTunnel
            | InboundError::Held(_)
            | InboundError::NoL7(_)
            | InboundError::Deliver(_)
            | InboundError::Open(_)
            | InboundError::Abandoned => self.close(error.reason(), Some(error)),
        }
    }

    /// Closes it as one that policy denied.
    fn close_denied(mut self, denial: &Denial) {
        if let Some(mut record) = self.record.take() {
            record.deny((*denial.denied).clone());
            record.finish(CloseReason::PolicyDenied, Some(denial));
        }
    }

    /// Closes it as one that was cut.
    pub(crate) fn close_cut(mut self, why: &Arc<Why>) {
        if let Some(record) = self.record.take() {
            finish_cut(record, why);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.pod.connections.remove(self.slot);
        if let Some(record) = self.record.take() {
            if let Some(why) = self.conn.cut.why() {
                return finish_cut(record, &why);
            }
            // Its task was dropped at an await, or panicked.
            let reason = match (thread::panicking(), self.pod.is_gone()) {
                (true, _) => CloseReason::Internal,
                (false, true) => CloseReason::PodGone,
                (false, false) => CloseReason::Drained,
            };
            record.finish(reason, None);
        }
    }
}

fn finish_cut(mut record: ConnRecord, why: &Arc<Why>) {
    if let Why::Revoked(denial) = &**why {
        record.deny((*denial.denied).clone());
    }
    record.finish(why.reason(), Some(&**why));
}

/// Records a connection that ended before it could have an account.
pub(crate) fn refused(
    pod: &Pod,
    facts: ConnFacts,
    reason: CloseReason,
    error: &(dyn Error + 'static),
) {
    finish(pod, pod.shared.telemetry.open(facts), reason, error);
}

/// Ends the record of a connection that came about no further than to be refused.
fn finish(pod: &Pod, record: ConnRecord, reason: CloseReason, error: &(dyn Error + 'static)) {
    if let Some(line) = record.finish_unwritten(reason, Some(error)) {
        pod.write_refusal(line);
    }
}

/// Logs refusals, not every one of them.
pub(crate) fn say(pod: &Pod, why: &(dyn Error + 'static)) {
    if let Some(refused) = pod.load.refused(Instant::now()) {
        warn!(pod = %pod.uid, refused, why = %why, "refusing connections");
    }
}
