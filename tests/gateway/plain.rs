//! What differs from run to run is written so that it does not.
use crate::case::{Case, Log, Seen};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, path::Path, sync::LazyLock};

/// Headers whose values nobody can foresee.
const ANY: &[&str] = &["date", "x-request-id", "x-envoy-upstream-service-time"];

static PORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d+").unwrap());

/// A line of Envoy's own format: the time, and how long it took.
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    let time = r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]";
    Regex::new(&format!(r#"{time}( "[^"]*" \d+ \S+ \d+ \d+) \d+ (\d*)"#)).unwrap()
});

static ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap()
});

/// Bytes as text; long runs of one byte are counted.
pub(crate) fn text(bytes: &[u8]) -> String {
    let is_run = bytes.len() > 200 && bytes.iter().all(|byte| *byte == bytes[0]);
    if is_run {
        return format!("{} times {:?}", bytes.len(), char::from(bytes[0]));
    }
    if let Some(words) = proxied(bytes) {
        return words;
    }
    String::from_utf8(bytes.to_vec())
        .unwrap_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect())
}

/// Bytes with a PROXY header of version 2 for IPv4, whose ports are written as others are.
fn proxied(bytes: &[u8]) -> Option<String> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let at = bytes.windows(signature.len()).position(|found| found == signature)?;
    let (before, header) = bytes.split_at(at);
    let (header, rest) = header.split_at_checked(28).filter(|(header, _)| header[13] == 0x11)?;
    let ip = |at: usize| header[at..at + 4].iter().map(u8::to_string).collect::<Vec<_>>().join(".");
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    Some(format!(
        "{}(PROXY {:x} {:?} {}:{} {}:{}){}",
        text(before),
        header[12],
        &header[14..16],
        ip(16),
        port(24),
        ip(20),
        port(26),
        text(rest),
    ))
}

/// What runs are compared by.
pub(crate) struct Plain<'a> {
    pub(crate) case: &'a Case,
    pub(crate) ports: &'a BTreeMap<String, u16>,
    pub(crate) dir: &'a Path,
}

impl Plain<'_> {
    /// One request's answer and what servers saw.
    pub(crate) fn exchange(&self, answer: Value, seen: Vec<Value>) -> Value {
        let mut seen: Vec<Value> = seen.into_iter().map(|one| self.value(one)).collect();
        let mut whole = json!({"answer": self.value(answer)});
        match self.case.compare.seen {
            Seen::Full => (),
            Seen::Unordered => seen.sort_by_key(ToString::to_string),
            Seen::Counts | Seen::Total | Seen::No => return whole,
        }
        whole["seen"] = Value::Array(seen);
        whole
    }

    /// Lines of the log.
    pub(crate) fn log(&self, text: &str) -> Value {
        let mut lines: Vec<Value> = text
            .lines()
            .map(|line| {
                let value = serde_json::from_str(line).unwrap_or_else(|_| json!(line));
                self.value(value)
            })
            .collect();
        match self.case.compare.log {
            Log::Ordered => (),
            Log::Unordered => lines.sort_by_key(ToString::to_string),
            Log::No => lines.clear(),
        }
        Value::Array(lines)
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.into_iter().filter_map(|(name, value)| self.field(name, value));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Value::Array(all) => all.into_iter().map(|one| self.value(one)).collect(),
            Value::String(text) => Value::String(self.text(&text)),
            Value::Number(number) if number.to_string().len() == 5 => {
                Value::String(self.text(&number.to_string()))
            }
            other => other,
        }
    }

    fn field(&self, name: String, value: Value) -> Option<(String, Value)> {
        let is_empty = value.as_array().is_some_and(Vec::is_empty) || value == json!(false);
        if is_empty || name == "body" && (!self.case.compare.body || value == json!("")) {
            return None;
        }
        if matches!(name.as_str(), "headers" | "trailers") && value.is_array() {
            return Some((name, self.headers(value)));
        }
        Some((name, self.value(value)))
    }

    /// Sorted by name; several of one name keep their order.
    fn headers(&self, value: Value) -> Value {
        let mut pairs: Vec<(String, String)> = serde_json::from_value(value).unwrap();
        pairs.retain(|(name, _)| !self.case.compare.ignore.iter().any(|ignored| ignored == name));
        pairs.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        let pair = |(name, value): (String, String)| {
            let is_any = ANY.iter().any(|any| name.eq_ignore_ascii_case(any));
            let is_kept =
                value.len() < 30 && !value.ends_with("GMT") && value.parse::<u64>().is_err();
            let value = if is_any && !is_kept { "<any>".to_owned() } else { self.text(&value) };
            json!(format!("{name}: {value}"))
        };
        pairs.into_iter().map(pair).collect()
    }

    /// Names for ports and folders.
    pub(crate) fn text(&self, text: &str) -> String {
        let text = text.replace(&*self.dir.to_string_lossy(), "${dir}");
        let text = LINE.replace(&text, |found: &regex::Captures<'_>| {
            let upstream = if found[2].is_empty() { "" } else { "<ms>" };
            format!("[<time>]{} <ms> {upstream}", &found[1])
        });
        // Before ports, which its digits may look like.
        let text = ID.replace_all(&text, "<id>");
        PORT.replace_all(&text, |found: &regex::Captures<'_>| {
            let Some(port) = found[0].parse::<u32>().ok().filter(|_| found[0].len() == 5) else {
                return found[0].to_owned();
            };
            let named = self.ports.iter().find(|(_, own)| u32::from(**own) == port);
            match named {
                Some((name, _)) => format!("${{{name}}}"),
                None if (32_768..61_000).contains(&port) => "${any}".to_owned(),
                None => found[0].to_owned(),
            }
        })
        .into_owned()
    }
}
