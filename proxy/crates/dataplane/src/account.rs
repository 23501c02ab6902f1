//! What the node keeps of one connection, from accept to close.
use crate::{
    connections::Slot,
    copy::Moved,
    limits::{Refusal, Ticket},
    pods::pod::Pod,
};
use culvert_model::{close::CloseReason, facts::ConnFacts};
use culvert_telemetry::conn::{ConnRecord, Live};
use std::{error::Error, sync::Arc, thread, time::Instant};
use tracing::warn;

/// A connection that was admitted: counted against its pod's limits, listed, and recorded.
///
/// Ends in one access line: that of [`close`](Self::close), or when its task is cut, that
/// the pod is gone or the drain over.
#[derive(Debug)]
#[must_use = "dropping it says that the connection was cut"]
pub(crate) struct Account {
    /// Until it is closed.
    record: Option<ConnRecord>,
    live: Arc<Live>,
    slot: Slot,
    pod: Arc<Pod>,
    /// Given back last: whoever waits for the pod's last connection then finds it recorded.
    _ticket: Ticket,
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
                let (live, pod) = (Arc::clone(record.live()), Arc::clone(pod));
                let slot = pod.connections.add(Arc::clone(&live));
                Ok(Self { record: Some(record), live, slot, pod, _ticket: ticket })
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

    pub(crate) fn facts(&self) -> &ConnFacts {
        self.live.facts()
    }

    /// Notes that the other side is there.
    pub(crate) fn opened(&self) {
        self.pod.connections.opened(self.slot);
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

    pub(crate) fn close(mut self, reason: CloseReason, error: Option<&(dyn Error + 'static)>) {
        if let Some(record) = self.record.take() {
            record.finish(reason, error);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.pod.connections.remove(self.slot);
        if let Some(record) = self.record.take() {
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
