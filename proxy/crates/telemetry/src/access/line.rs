//! What an access line says, and how.
use crate::{denial::Denied, failure::is_failure, path::Path};
use culvert_model::{
    close::CloseReason, facts::ConnFacts, identity::Identity, tunnel::Trace, workload::Workload,
};
use std::{
    fmt::{self, Display},
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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

/// A field's value: text is quoted, the rest is not.
enum Value<'a> {
    Text(&'a str),
    /// Free of characters to escape; quoted in JSON only.
    Plain(&'a dyn Display),
    Number(u64),
}

/// One JSON object and a line feed; keys as ztunnel has them.
pub(super) fn json(out: &mut Vec<u8>, line: &AccessLine) {
    out.extend_from_slice(b"{");
    put(out, format_args!("\"level\":\"{}\",\"time\":\"{}\"", level(line), Rfc3339(line.time)));
    out.extend_from_slice(b",\"scope\":\"access\",\"message\":\"connection complete\"");
    fields(line, |key, value| {
        put(out, format_args!(",\"{key}\":"));
        match value {
            Value::Text(text) => quoted(out, text),
            Value::Plain(value) => put(out, format_args!("\"{value}\"")),
            Value::Number(number) => put(out, format_args!("{number}")),
        }
    });
    out.extend_from_slice(b"}\n");
}

/// Time, level, scope and message separated by tabs, then fields by blanks; as ztunnel writes it.
pub(super) fn text(out: &mut Vec<u8>, line: &AccessLine) {
    let head = format_args!("{}\t{}\taccess\tconnection complete", Rfc3339(line.time), level(line));
    put(out, head);
    let mut separator = '\t';
    fields(line, |key, value| {
        put(out, format_args!("{separator}{key}="));
        separator = ' ';
        match value {
            Value::Text(text) => quoted(out, text),
            Value::Plain(value) => put(out, format_args!("{value}")),
            Value::Number(number) => put(out, format_args!("{number}")),
        }
    });
    out.extend_from_slice(b"\n");
}

/// Every field in its order; one that is not known is left out.
fn fields(line: &AccessLine, mut field: impl FnMut(&str, Value<'_>)) {
    let AccessLine { time: _, facts, lasted, close, denied, error, .. } = line;
    let AccessLine { bytes_sent, bytes_recv, unwritten, .. } = line;
    let ConnFacts { direction, source, destination, path, service, trace, hbone, .. } = facts;
    field("src.addr", Value::Plain(source));
    end(
        (facts.source_workload.as_deref(), facts.source_identity.as_ref()),
        ["src.workload", "src.namespace", "src.identity"],
        &mut field,
    );
    match (path, hbone) {
        // As ztunnel has it: first what was dialled, then what was asked for there.
        (Path::Tunnel, Some(hop)) => {
            field("dst.addr", Value::Plain(hop));
            field("dst.hbone_addr", Value::Plain(destination));
        }
        (Path::Tunnel | Path::Plain | Path::Local | Path::Direct | Path::L7, _) => {
            field("dst.addr", Value::Plain(destination));
        }
    }
    if let Some(service) = service {
        field("dst.service", Value::Text(&service.host.hostname));
    }
    end(
        (facts.destination_workload.as_deref(), facts.destination_identity.as_ref()),
        ["dst.workload", "dst.namespace", "dst.identity"],
        &mut field,
    );
    field("direction", Value::Text(direction.as_str()));
    field("bytes_sent", Value::Number(*bytes_sent));
    field("bytes_recv", Value::Number(*bytes_recv));
    let lasted = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
    field("duration_ms", Value::Number(lasted));
    field("close", Value::Text(close.as_str()));
    field("path", Value::Text(path.as_str()));
    if let Some(denied) = denied {
        policy(denied, &mut field);
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

/// Who is at one end, as far as that is known; an identity is one that was proven.
fn end(
    (workload, identity): (Option<&Workload>, Option<&Identity>),
    [workload_key, namespace_key, identity_key]: [&str; 3],
    field: &mut impl FnMut(&str, Value<'_>),
) {
    if let Some(workload) = workload {
        field(workload_key, Value::Text(&workload.name.name));
        field(namespace_key, Value::Text(&workload.name.namespace));
    }
    if let Some(identity) = identity {
        field(identity_key, Value::Text(&identity.to_string()));
    }
}

/// Which policy was against it; one on trial only would have been.
fn policy(denied: &Denied, field: &mut impl FnMut(&str, Value<'_>)) {
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

fn level(line: &AccessLine) -> &'static str {
    if line.error.is_some() || is_failure(line.close) { "error" } else { "info" }
}

/// `text` between quotes, with everything escaped that could end it or the line.
fn quoted(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string has a JSON form, and a Vec takes it");
}

fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `2026-01-31T23:59:59.042Z`; before 1970 is written as 1970.
struct Rfc3339(SystemTime);

impl Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, millis) = (since.as_secs(), since.subsec_millis());
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March here, so that the leap day is the last of its year.
fn date(day: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 400 * 365 + 97;
    const FROM_0000_03_01: u64 = 719_468;
    let day = day + FROM_0000_03_01;
    let (cycle, day) = (day / DAYS_IN_400_YEARS, day % DAYS_IN_400_YEARS);
    // Without the leap days before it: one in 4 years, none in 100, one in 400.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March, and again from August, have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, month, day)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sample;
    use culvert_model::facts::Direction;
    use insta::assert_snapshot;
    use proptest::prelude::*;

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

    #[test]
    fn writes_time_as_everybody_does() {
        let at = |seconds| Rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
        assert_eq!(Rfc3339(UNIX_EPOCH - Duration::from_secs(1)).to_string(), at(0));
    }

    proptest! {
        #[test]
        fn the_next_day_is_the_next_date(day in 0_u64..1_000_000) {
            let ((y, m, d), next) = (date(day), date(day + 1));
            prop_assert!((1..=12).contains(&m) && (1..=31).contains(&d));
            prop_assert!(
                [(y, m, d + 1), (y, m + 1, 1), (y + 1, 1, 1)].contains(&next),
                "{next:?} after {:?}", (y, m, d)
            );
        }

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
