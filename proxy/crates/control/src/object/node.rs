//! A document as a tree whose every node knows its place.
use crate::problem::Mark;
use std::collections::HashSet;

/// A value, and where it was written.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Mark,
    pub(crate) value: Value,
}

/// What YAML and JSON can say.
///
/// What was written plain and could be read as more than text keeps its spelling, so that nobody
/// downstream takes `1.10` for text or `yes` for a boolean by accident.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Bool { value: bool, raw: Box<str> },
    Int { value: i128, raw: Box<str> },
    Float { value: f64, raw: Box<str> },
    Text(Box<str>),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

/// One field of a mapping.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key_at: Mark,
    pub(crate) key: Box<str>,
    pub(crate) node: Node,
}

impl Node {
    /// The field `key` of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|e| &*e.key == key).map(|e| &e.node)
    }

    /// The text of the field `key` of a mapping.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Text(text) => Some(text),
            Value::Null
            | Value::Bool { .. }
            | Value::Int { .. }
            | Value::Float { .. }
            | Value::Seq(_)
            | Value::Map(_) => None,
        }
    }
}

impl Node {
    /// Leaves each mapping the first of several entries of one key; `twice` is told of the others.
    pub(crate) fn keep_first(&mut self, twice: &mut impl FnMut(&str, Mark)) {
        match &mut self.value {
            Value::Map(entries) => {
                let mut keys = HashSet::new();
                entries.retain(|entry| {
                    let is_first = keys.insert(entry.key.clone());
                    if !is_first {
                        twice(&entry.key, entry.key_at);
                    }
                    is_first
                });
                entries.iter_mut().for_each(|entry| entry.node.keep_first(twice));
            }
            Value::Seq(items) => items.iter_mut().for_each(|item| item.keep_first(twice)),
            Value::Null
            | Value::Bool { .. }
            | Value::Int { .. }
            | Value::Float { .. }
            | Value::Text(_) => {}
        }
    }
}

impl Value {
    /// What it is, for a message that says what was expected instead.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Bool { raw, .. } => format!("the boolean {raw}"),
            Self::Int { raw, .. } | Self::Float { raw, .. } => format!("the number {raw}"),
            Self::Text(_) => "text".into(),
            Self::Seq(_) => "a list".into(),
            Self::Map(_) => "a mapping".into(),
        }
    }
}
