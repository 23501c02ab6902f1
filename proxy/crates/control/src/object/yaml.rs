//! Text to trees: the one place that knows the YAML library.
//!
//! JSON is read as the YAML it is.
use super::node::{Entry, Node, Value};
use crate::problem::{Code, Mark, Origin, Problem, Source};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    Error, Location, MessageFormatter as _, Options, Spanned, UserMessageFormatter,
    options::{DuplicateKeyPolicy, NonFiniteFloatPolicy},
};
use std::{fmt, sync::Arc};

/// Deeper than any manifest; shallow enough for the stack of a small thread.
const MAX_DEPTH: usize = 64;

/// Enough for a List of fifty thousand pods.
const MAX_EVENTS: usize = 32_000_000;

/// What aliases may multiply a document to: manifests repeat a block a few times, not a million.
const MAX_REPLAYED: usize = 100_000;

/// A part of a text between two `---`.
struct Part<'a> {
    text: &'a str,
    /// Lines of the text before it.
    before: u32,
}

/// A node as the library gives it: plain scalars still without their spelling.
struct Loose {
    at: Location,
    value: LooseValue,
}

enum LooseValue {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Box<str>),
    Seq(Vec<Loose>),
    Map(Vec<(Spanned<Box<str>>, Loose)>),
}

struct LooseVisitor;

/// Every document of `source` that can be read, and what is wrong with the others.
pub(crate) fn parse(source: &Arc<Source>) -> (Vec<Node>, Vec<Problem>) {
    let (mut nodes, mut problems) = (Vec::new(), Vec::new());
    for part in split(source.text()) {
        match part.parse(DuplicateKeyPolicy::Error) {
            Ok(read) => nodes.extend(read),
            Err(error) => {
                problems.push(part.problem(source, &error));
                // What else is wrong with the document is worth saying at the same time.
                if matches!(error.without_snippet(), Error::DuplicateMappingKey { .. }) {
                    nodes.extend(part.parse_with_all_keys(source, &mut problems));
                }
            }
        }
    }
    (nodes, problems)
}

/// Cuts a text before every line that starts a document, so that one that cannot be read does not
/// hide the ones after it.
fn split(text: &str) -> Vec<Part<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parts = Vec::new();
    let (mut start, mut at, mut before, mut line_no) = (0, 0, 0, 0_u32);
    // Directives (`%YAML 1.2`) belong to the document behind the `---` that ends them.
    let mut only_directives = true;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        let begins = bare == "---" || bare.starts_with("--- ") || bare.starts_with("---\t");
        if begins && !only_directives {
            parts.extend(text.get(start..at).map(|text| Part { text, before }));
            (start, before) = (at, line_no);
        }
        only_directives &= bare.is_empty() || bare.starts_with(['%', '#']);
        at += line.len();
        line_no = line_no.saturating_add(1);
    }
    parts.extend(text.get(start..).map(|text| Part { text, before }));
    parts
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_events: MAX_EVENTS,
            max_nodes: MAX_EVENTS,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
        },
        duplicate_keys: duplicate_keys,
        // As Kubernetes reads it: 0644 is octal, and `yes` is no text. What a field accepts is
        // decided where it is decoded.
        legacy_octal_numbers: true,
        strict_booleans: false,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

/// Whether a text is not wrong, only beyond what any manifest is.
fn is_about_bounds(error: &Error) -> bool {
    matches!(
        error,
        Error::Budget { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. }
    )
}

impl Part<'_> {
    fn parse(&self, duplicate_keys: DuplicateKeyPolicy) -> Result<Vec<Node>, Error> {
        serde_saphyr::from_multiple_with_options::<Loose>(self.text, options(duplicate_keys))
            .map(|nodes| nodes.into_iter().map(|node| self.spelled(node)).collect())
    }

    /// What there is in spite of keys that are set twice; those that were not told of are.
    fn parse_with_all_keys(&self, source: &Arc<Source>, problems: &mut Vec<Problem>) -> Vec<Node> {
        let mut nodes = self.parse(DuplicateKeyPolicy::LastWins).unwrap_or_default();
        let mut twice = |key: &str, at| {
            let problem = self.set_twice(source, key, at);
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        };
        nodes.iter_mut().for_each(|node| node.keep_first(&mut twice));
        nodes
    }

    fn problem(&self, source: &Arc<Source>, error: &Error) -> Problem {
        let error = error.without_snippet();
        let mark = error.location().map_or(Mark::START, |at| self.mark(at));
        let mark = Mark { line: mark.line.max(1), column: mark.column.max(1) };
        let origin = Origin::new(source, mark);
        let words = UserMessageFormatter.format_message(error);
        let problem = if let Error::DuplicateMappingKey { key, .. } = error {
            return self.set_twice(source, key.as_deref().unwrap_or("?"), mark);
        } else if words.contains("total_replayed_events") {
            let message = format!("aliases multiply this document beyond {MAX_REPLAYED} parts");
            origin.error(message).coded(Code::TooMuch)
        } else if words.contains("recursion limit") {
            origin.error(format!("nested more than {MAX_DEPTH} deep")).coded(Code::TooMuch)
        } else if is_about_bounds(error) {
            origin.error(words).coded(Code::TooMuch)
        } else {
            let problem = origin.error(words).coded(Code::Syntax);
            match origin.line_text() {
                Some(line) if line.trim_start_matches(' ').starts_with('\t') => {
                    problem.with_fix("YAML is indented by spaces: replace the tab")
                }
                Some(_) | None => problem,
            }
        };
        self.shown(problem)
    }

    fn set_twice(&self, source: &Arc<Source>, key: &str, at: Mark) -> Problem {
        let problem = Origin::new(source, at).error(format!("`{key}` is set twice"));
        self.shown(problem.coded(Code::DuplicateField).with_fix("keep one of the two"))
    }

    /// A line of a Secret that cannot be read may be the secret itself.
    fn shown(&self, problem: Problem) -> Problem {
        if self.text.contains("Secret") { problem.without_snippet() } else { problem }
    }

    fn mark(&self, at: Location) -> Mark {
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Mark { line: narrow(at.line()).saturating_add(self.before), column: narrow(at.column()) }
    }

    /// Gives plain scalars their spelling back.
    fn spelled(&self, node: Loose) -> Node {
        let raw =
            |or: &dyn fmt::Display| self.raw(node.at).unwrap_or_else(|| or.to_string().into());
        let value = match node.value {
            LooseValue::Null => Value::Null,
            LooseValue::Bool(value) => Value::Bool { value, raw: raw(&value) },
            LooseValue::Int(value) => Value::Int { value, raw: raw(&value) },
            LooseValue::Float(value) => Value::Float { value, raw: raw(&value) },
            LooseValue::Text(text) => Value::Text(text),
            LooseValue::Seq(items) => {
                Value::Seq(items.into_iter().map(|item| self.spelled(item)).collect())
            }
            LooseValue::Map(entries) if let Some(text) = self.ends_in_colon(&entries) => {
                Value::Text(text)
            }
            LooseValue::Map(entries) => {
                Value::Map(entries.into_iter().map(|entry| self.entry(entry)).collect())
            }
        };
        Node { at: self.mark(node.at), value }
    }

    /// The text that `[fd00::]` holds: to Kubernetes a colon before a bracket is part of a word.
    fn ends_in_colon(&self, entries: &[(Spanned<Box<str>>, Loose)]) -> Option<Box<str>> {
        let [(key, Loose { value: LooseValue::Null, .. })] = entries else { return None };
        let start = usize::try_from(key.defined.span().byte_offset()?).ok()?;
        let len = usize::try_from(key.defined.span().byte_len()?).ok()?;
        let rest = self.text.get(start.checked_add(len)?..)?;
        let is_word = rest.starts_with(":]") || rest.starts_with(":,");
        is_word.then(|| format!("{}:", key.value).into())
    }

    fn entry(&self, (key, value): (Spanned<Box<str>>, Loose)) -> Entry {
        Entry { key_at: self.mark(key.defined), key: key.value, node: self.spelled(value) }
    }

    fn raw(&self, at: Location) -> Option<Box<str>> {
        let start = usize::try_from(at.span().byte_offset()?).ok()?;
        let len = usize::try_from(at.span().byte_len()?).ok()?;
        let raw = self.text.get(start..start.checked_add(len)?)?.trim();
        (!raw.is_empty()).then(|| raw.into())
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not `referenced`: what an alias stands for is mended where it was defined.
        let Spanned { value, defined, referenced: _ } = Spanned::deserialize(deserializer)?;
        Ok(Self { at: defined, value })
    }
}

impl<'de> Deserialize<'de> for LooseValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = LooseValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<LooseValue, E> {
        Ok(LooseValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<LooseValue, E> {
        Ok(LooseValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<LooseValue, E> {
        Ok(LooseValue::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<LooseValue, E> {
        Ok(LooseValue::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<LooseValue, E> {
        Ok(LooseValue::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<LooseValue, E> {
        Ok(LooseValue::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<LooseValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(LooseValue::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LooseValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(LooseValue::Map(entries))
    }
}
