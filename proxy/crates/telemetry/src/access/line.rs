//! The line of a connection.
use crate::{
    access::words::{self, Fields, Hex, Lead, Value},
    denial::Denied,
    failure::is_failure,
};
use culvert_model::{close::CloseReason, facts::ConnFacts, tunnel::Trace};
use std::time::{Duration, SystemTime};

/// The end of one connection, with all that was learnt of it.
///
/// A struct, so that a field cannot be left out at one of the places where connections end.
#[derive(Clone, Debug)]
pub struct AccessLine {
    /// When it ended.
    pub time: SystemTime,
    pub facts: ConnFacts,
    /// From the source to the destination; not swapped as Istio's metrics are.
    pub bytes_sent: u64,
    pub bytes_recv: u64,
    pub lasted: Duration,
    pub close: CloseReason,
    /// What policy said against it.
    pub denied: Option<Box<Denied>>,
    /// The error and its causes, when there was one.
    pub error: Option<Box<str>>,
    /// How many connections of the same pod were refused before this one and have no line.
    pub unwritten: u64,
}

/// What stands for the policy when none of those that could have allowed it matched.
const NO_ALLOW: &str = "no ALLOW matched";

/// One JSON object and a line feed; keys as ztunnel has them.
pub(super) fn json(out: &mut Vec<u8>, line: &AccessLine) {
    words::json(out, &lead(line), |field| fields(line, field));
}

/// As ztunnel writes it.
pub(super) fn text(out: &mut Vec<u8>, line: &AccessLine) {
    words::text(out, &lead(line), |field| fields(line, field));
}

fn lead(line: &AccessLine) -> Lead {
    let failed = line.error.is_some() || is_failure(line.close);
    Lead { failed, time: line.time, message: "connection complete" }
}

/// Every field in its order; one that is not known is left out.
fn fields(line: &AccessLine, field: Fields<'_>) {
    let AccessLine { time: _, facts, lasted, close, denied, error, .. } = line;
    let AccessLine { bytes_sent, bytes_recv, unwritten, .. } = line;
    let ConnFacts { direction, path, trace, .. } = facts;
    words::ends(facts, field);
    field("direction", Value::Text(direction.as_str()));
    field("bytes_sent", Value::Number(*bytes_sent));
    field("bytes_recv", Value::Number(*bytes_recv));
    field("duration_ms", Value::Number(words::milliseconds(*lasted)));
    field("close", Value::Text(close.as_str()));
    field("path", Value::Text(path.as_str()));
    if let Some(denied) = denied {
        policy(denied, field);
    }
    if let Some(Trace { trace_id, .. }) = trace {
        field("trace_id", Value::Plain(&Hex(trace_id)));
    }
    if let Some(error) = error {
        field("error", Value::Text(error));
    }
    if *unwritten != 0 {
        field("unwritten", Value::Number(*unwritten));
    }
}

/// Which policy was against it; one on trial only would have been.
fn policy(denied: &Denied, field: Fields<'_>) {
    let Denied { policy, rule, condition, dry_run, .. } = denied;
    let name = policy.as_ref().map_or_else(|| NO_ALLOW.to_owned(), ToString::to_string);
    field(if *dry_run { "policy.dry_run" } else { "policy" }, Value::Text(&name));
    if let Some(rule) = rule {
        field("policy.rule", Value::Number(u64::try_from(*rule).unwrap_or(u64::MAX)));
    }
    if let Some(condition) = condition {
        field("policy.condition", Value::Text(condition));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sample;
    use culvert_model::facts::Direction;
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    pub(in crate::access) fn line() -> AccessLine {
        AccessLine {
            time: UNIX_EPOCH + Duration::from_millis(1_767_225_599_042),
            facts: sample::facts(Direction::Outbound),
            bytes_sent: 84,
            bytes_recv: 1617,
            lasted: Duration::from_micros(4999),
            close: CloseReason::Done,
            denied: None,
            error: None,
            unwritten: 0,
        }
    }

    fn written(by: fn(&mut Vec<u8>, &AccessLine), line: &AccessLine) -> String {
        let mut out = Vec::new();
        by(&mut out, line);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn says_all_that_is_known() {
        assert_snapshot!(written(json, &line()), @r#"{"level":"info","time":"2025-12-31T23:59:59.042Z","scope":"access","message":"connection complete","src.addr":"10.0.0.1:40000","src.workload":"cart-1","src.namespace":"shop","dst.addr":"10.0.1.2:80","dst.workload":"stock-1","dst.namespace":"shop","direction":"outbound","bytes_sent":84,"bytes_recv":1617,"duration_ms":4,"close":"done","path":"plain"}"#);
        assert_snapshot!(written(text, &line()).replace('\t', " | "), @r#"2025-12-31T23:59:59.042Z | info | access | connection complete | src.addr=10.0.0.1:40000 src.workload="cart-1" src.namespace="shop" dst.addr=10.0.1.2:80 dst.workload="stock-1" dst.namespace="shop" direction="outbound" bytes_sent=84 bytes_recv=1617 duration_ms=4 close="done" path="plain""#);
    }

    #[test]
    fn leaves_out_what_is_not_known() {
        let mut line = line();
        line.facts.direction = Direction::Inbound;
        line.facts.source_workload = None;
        line.facts.destination = "[fd00::2]:443".parse().unwrap();
        line.facts.destination_workload = None;
        line.close = CloseReason::UpstreamRefused;
        line.error = Some("cannot reach [fd00::2]:443: Connection refused (os error 111)".into());
        assert_snapshot!(written(json, &line), @r#"{"level":"error","time":"2025-12-31T23:59:59.042Z","scope":"access","message":"connection complete","src.addr":"10.0.0.1:40000","dst.addr":"[fd00::2]:443","direction":"inbound","bytes_sent":84,"bytes_recv":1617,"duration_ms":4,"close":"upstream_refused","path":"plain","error":"cannot reach [fd00::2]:443: Connection refused (os error 111)"}"#);
        assert_snapshot!(written(text, &line).replace('\t', " | "), @r#"2025-12-31T23:59:59.042Z | error | access | connection complete | src.addr=10.0.0.1:40000 dst.addr=[fd00::2]:443 direction="inbound" bytes_sent=84 bytes_recv=1617 duration_ms=4 close="upstream_refused" path="plain" error="cannot reach [fd00::2]:443: Connection refused (os error 111)""#);
    }

    #[test]
    fn says_who_was_proven_what_was_dialled_and_which_policy_was_against_it() {
        let mut line = line();
        line.facts = sample::tunnelled(Direction::Inbound);
        line.close = CloseReason::PolicyDenied;
        line.denied = Some(Box::new(sample::denied()));
        assert_snapshot!(written(json, &line), @r#"{"level":"error","time":"2025-12-31T23:59:59.042Z","scope":"access","message":"connection complete","src.addr":"10.0.0.1:40000","src.workload":"cart-1","src.namespace":"shop","src.identity":"spiffe://cluster.local/ns/shop/sa/cart","dst.addr":"10.0.1.2:15008","dst.hbone_addr":"10.0.1.2:80","dst.service":"stock.shop.svc.cluster.local","dst.workload":"stock-1","dst.namespace":"shop","dst.identity":"spiffe://cluster.local/ns/shop/sa/stock","direction":"inbound","bytes_sent":84,"bytes_recv":1617,"duration_ms":4,"close":"policy_denied","path":"tunnel","policy":"shop/deny-web","policy.rule":1,"policy.condition":"destination.port 80 is one of 80","trace_id":"abababababababababababababababab"}"#);
        line.denied = Some(Box::new(Denied { policy: None, rule: None, ..sample::denied() }));
        assert!(written(text, &line).contains(" policy=\"no ALLOW matched\" policy.condition="));
        line.denied = Some(Box::new(Denied { dry_run: true, ..sample::denied() }));
        assert!(written(text, &line).contains(" policy.dry_run=\"shop/deny-web\" policy.rule=1 "));
    }

    #[test]
    fn says_how_many_had_no_line() {
        let line = AccessLine { close: CloseReason::PodLimit, unwritten: 979, ..line() };
        assert!(written(json, &line).ends_with("\"path\":\"plain\",\"unwritten\":979}\n"));
        assert!(written(text, &line).ends_with(" path=\"plain\" unwritten=979\n"));
    }

    proptest! {
        #[test]
        fn whatever_an_error_says_it_is_one_line_and_readable(error: String) {
            let line = AccessLine { error: Some(error.clone().into()), ..line() };
            let json = written(json, &line);
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&parsed["error"], &serde_json::Value::from(error));
            prop_assert_eq!(json.find('\n'), Some(json.len() - 1));
            let text = written(text, &line);
            prop_assert_eq!(text.find('\n'), Some(text.len() - 1));
        }
    }
}
