//! What all access lines say alike, and how: as JSON and as text.
use crate::path::Path;
use culvert_model::{facts::ConnFacts, identity::Identity, workload::Workload};
use std::{
    fmt::{self, Display},
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What a line begins with.
pub(super) struct Lead {
    pub(super) failed: bool,
    pub(super) time: SystemTime,
    pub(super) message: &'static str,
}

/// A field's value: text is quoted, the rest is not.
pub(super) enum Value<'a> {
    Text(&'a str),
    /// Free of characters to escape; quoted in JSON only.
    Plain(&'a dyn Display),
    Number(u64),
}

/// Says fields one by one.
pub(super) type Fields<'a> = &'a mut dyn FnMut(&str, Value<'_>);

/// One JSON object and a line feed.
pub(super) fn json(out: &mut Vec<u8>, lead: &Lead, fields: impl FnOnce(Fields<'_>)) {
    let Lead { failed: _, time, message } = lead;
    put(out, format_args!("{{\"level\":\"{}\",\"time\":\"{}\"", lead.level(), Rfc3339(*time)));
    put(out, format_args!(",\"scope\":\"access\",\"message\":\"{message}\""));
    fields(&mut |key, value| {
        put(out, format_args!(",\"{key}\":"));
        match value {
            Value::Text(text) => quoted(out, text),
            Value::Plain(value) => put(out, format_args!("\"{value}\"")),
            Value::Number(number) => put(out, format_args!("{number}")),
        }
    });
    out.extend_from_slice(b"}\n");
}

/// Time, level, scope and message separated by tabs, then fields by blanks.
pub(super) fn text(out: &mut Vec<u8>, lead: &Lead, fields: impl FnOnce(Fields<'_>)) {
    let Lead { failed: _, time, message } = lead;
    put(out, format_args!("{}\t{}\taccess\t{message}", Rfc3339(*time), lead.level()));
    let mut separator = '\t';
    fields(&mut |key, value| {
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

impl Lead {
    const fn level(&self) -> &'static str {
        if self.failed { "error" } else { "info" }
    }
}

/// Where it came from, where it went, and who is there.
pub(super) fn ends(facts: &ConnFacts, field: Fields<'_>) {
    let ConnFacts { source, destination, path, service, hbone, .. } = facts;
    field("src.addr", Value::Plain(source));
    end(
        (facts.source_workload.as_deref(), facts.source_identity.as_ref()),
        ["src.workload", "src.namespace", "src.identity"],
        field,
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
        field,
    );
}

/// Who is at one end, as far as that is known; an identity is one that was proven.
fn end(
    (workload, identity): (Option<&Workload>, Option<&Identity>),
    [workload_key, namespace_key, identity_key]: [&str; 3],
    field: Fields<'_>,
) {
    if let Some(workload) = workload {
        field(workload_key, Value::Text(&workload.name.name));
        field(namespace_key, Value::Text(&workload.name.namespace));
    }
    if let Some(identity) = identity {
        field(identity_key, Value::Text(&identity.to_string()));
    }
}

pub(super) fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// `text` between quotes, with everything escaped that could end it or the line.
fn quoted(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string has a JSON form, and a Vec takes it");
}

fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}

/// Bytes as hexadecimal digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

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
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    }
}
