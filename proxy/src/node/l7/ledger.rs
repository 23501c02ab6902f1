//! Every request that an engine is done with, in the node's metrics and its access log.
use super::ends::ends;
use culvert_l7::ledger::{Call, Over};
use culvert_model::snapshot::Snapshot;
use culvert_runtime::publish::View;
use culvert_telemetry::{
    Telemetry,
    request::{self, Request, Told},
};
use std::borrow::Cow;

/// What a proxy before us, or the router of an engine, leaves of a path that was rewritten.
const ORIGINAL_PATH: &str = "x-envoy-original-path";

/// The node's, for all of its engines.
#[derive(Debug)]
pub(crate) struct Ledger {
    mesh: View<Snapshot>,
    telemetry: Telemetry,
}

impl Ledger {
    pub(crate) fn new(mesh: View<Snapshot>, telemetry: Telemetry) -> Self {
        Self { mesh, telemetry }
    }
}

impl culvert_l7::ledger::Ledger for Ledger {
    fn note(&self, over: &Over<'_>) {
        let Some(origin) = over.connection.origin.as_deref() else { return };
        let facts = self.mesh.look(|now| ends(origin, over, &now.value));
        let flags = match over.flags.is_empty() {
            true => Cow::Borrowed(""),
            false => Cow::Owned(over.flags.to_string()),
        };
        let request = Request {
            facts,
            code: over.status,
            call: over.call.map(|Call { status, requests, responses }| request::Call {
                status,
                requests,
                responses,
            }),
            flags,
            request_bytes: over.received,
            response_bytes: over.sent,
            took: over.took,
        };
        self.telemetry.request(request, || told(over));
    }
}

/// What metrics have no room for.
fn told(over: &Over<'_>) -> Told {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let ended = Told {
        version: over.version,
        details: over.details.clone(),
        route: text(over.route),
        cluster: text(over.cluster),
        error: text(over.failure),
        configuration: over.configuration.to_owned(),
        ..Told::default()
    };
    let Some(head) = &over.head else { return ended };
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    Told {
        method: head.method.as_str().to_owned(),
        host: head.authority.to_owned(),
        path: header(ORIGINAL_PATH).unwrap_or(head.path).to_owned(),
        request_id: text(header("x-request-id")),
        trace_id: text(header("traceparent").and_then(trace_id).or_else(|| header("x-b3-traceid"))),
        ..ended
    }
}

/// That of a `traceparent`: version, trace, span and flags.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (_version, trace) = (parts.next()?, parts.next()?);
    let is_one = trace.len() == 32 && trace.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_one.then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::trace_id;

    #[test]
    fn a_trace_is_known_by_its_id() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{id}-00f067aa0ba902b7-01")), Some(id));
        assert_eq!(trace_id("00-4bf9-00f067aa0ba902b7-01"), None);
        assert_eq!(trace_id("nonsense"), None);
    }
}
