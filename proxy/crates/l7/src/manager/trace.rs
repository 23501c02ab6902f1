//! What traces leave on messages: the mark in a request's identifier, and the operation's name.
//!
//! Spans and exporters come later.
use crate::manager::record::Record;
use culvert_model::http::{listener::Direction, route::Traced};
use culvert_policy::http::client::{self, Trace};
use http::{HeaderMap, HeaderName, HeaderValue};

const OPERATION: HeaderName = HeaderName::from_static("x-envoy-decorator-operation");

/// Marks a request for which a route was found, and says what its route calls it: to the upstream
/// where it goes out, to the client by [`answered`] where it comes in.
pub(super) fn routed(record: &mut Record) {
    let config = record.manager.config();
    let Some(tracing) = &config.tracing else { return };
    let traced = record.routed.route.as_ref().and_then(|route| route.traced.as_deref());
    let sampling = traced.and_then(|of| of.sampling).unwrap_or(tracing.sampling);
    let (runtime, headers) = (&record.now.runtime, &mut record.head.headers);
    let trace = client::mark(&sampling, config.request_id, runtime, record.dice, headers);
    let counted = &record.manager.tally().traced;
    match trace {
        Trace::No => counted.no.inc(),
        Trace::Sampled => counted.sampled.inc(),
        Trace::ForcedByServer => counted.forced.inc(),
        Trace::ForcedByClient => counted.client.inc(),
    }
    let told = traced.and_then(operation);
    if is_outbound(record) {
        if let Some(operation) = told {
            record.head.headers.insert(OPERATION, operation);
        }
    } else {
        // What the client calls it counts, and is for us.
        let said = record.head.headers.remove(OPERATION);
        let is_said = said.is_some_and(|said| !said.is_empty());
        record.operation = told.filter(|_| !is_said);
    }
}

/// Says of a request that came in what it is called here; of one that went out, that is for us.
pub(super) fn answered(record: &mut Record, headers: &mut HeaderMap) {
    if record.manager.config().tracing.is_none() {
        return;
    }
    if let Some(operation) = record.operation.take() {
        headers.insert(OPERATION, operation);
    } else if is_outbound(record) {
        headers.remove(OPERATION);
    }
}

fn is_outbound(record: &Record) -> bool {
    record.connection.listener.direction == Direction::Outbound
}

fn operation(traced: &Traced) -> Option<HeaderValue> {
    let operation = traced.operation.as_deref().filter(|_| traced.propagate)?;
    HeaderValue::from_str(operation).ok()
}
