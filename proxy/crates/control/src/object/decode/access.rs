//! The parts of a mapping, of a list, and of a value with its place, one after the other.
use super::Decoder;
use crate::{
    object::{
        fault::Fault,
        guess::closest,
        node::{Entry, Node, Value},
    },
    problem::{Code, Origin},
};
use serde::de::{
    DeserializeSeed, IntoDeserializer as _, MapAccess, SeqAccess, value::BorrowedStrDeserializer,
};
use std::slice;

/// What is often written beside `metadata`, for want of two spaces.
const OF_METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// The fields of a mapping.
pub(super) struct Entries<'de, 'c> {
    mapping: Decoder<'de, 'c>,
    left: slice::Iter<'de, Entry>,
    /// The fields the mapping may have; `None`: any.
    fields: Option<&'static [&'static str]>,
    /// The value of the key that was given last.
    value: Option<&'de Node>,
}

/// The items of a list.
pub(super) struct Elements<'de, 'c> {
    list: Decoder<'de, 'c>,
    left: slice::Iter<'de, Node>,
}

/// Line, column, value.
pub(super) struct Spot<'de, 'c> {
    value: Decoder<'de, 'c>,
    given: u8,
}

impl<'de, 'c> Entries<'de, 'c> {
    pub(super) fn new(
        mapping: Decoder<'de, 'c>,
        entries: &'de [Entry],
        fields: Option<&'static [&'static str]>,
    ) -> Self {
        Self { mapping, left: entries.iter(), fields, value: None }
    }

    /// Whether serde gets to see the entry.
    fn is_wanted(&self, entry: &Entry) -> bool {
        if self.mapping.context.is_skipped(&entry.node) {
            return false;
        }
        let Some(fields) = self.fields else { return true };
        if !fields.contains(&&*entry.key) {
            self.report_unknown(entry, fields);
            return false;
        }
        !matches!(entry.node.value, Value::Null)
    }

    fn report_unknown(&self, entry: &Entry, fields: &[&'static str]) {
        let origin = Origin::new(self.mapping.context.source, entry.key_at);
        let problem = origin.error(format!("unknown field `{}`", entry.key));
        let problem = problem.coded(Code::UnknownField);
        let is_of_metadata = fields.contains(&"metadata") && OF_METADATA.contains(&&*entry.key);
        self.mapping.context.add(match closest(&entry.key, fields) {
            _ if is_of_metadata => problem.with_fix("write it below `metadata`, indented"),
            Some(meant) => problem.with_fix(format!("did you mean `{meant}`?")),
            None => problem,
        });
    }
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        while let Some(entry) = self.left.next() {
            if self.is_wanted(entry) {
                self.value = Some(&entry.node);
                return seed.deserialize(BorrowedStrDeserializer::new(&entry.key)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let node = self.value.take().ok_or_else(|| Fault::new("a value was asked for twice"))?;
        seed.deserialize(self.mapping.child(node)).map_err(|fault| fault.at(node))
    }
}

impl<'de, 'c> Elements<'de, 'c> {
    pub(super) fn new(list: Decoder<'de, 'c>, items: &'de [Node]) -> Self {
        Self { list, left: items.iter() }
    }
}

impl<'de> SeqAccess<'de> for Elements<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let context = self.list.context;
        let Some(node) = self.left.find(|node| !context.is_skipped(node)) else { return Ok(None) };
        seed.deserialize(self.list.child(node)).map(Some).map_err(|fault| fault.at(node))
    }

    /// As many as were written: what does not fit is among them.
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

impl<'de, 'c> Spot<'de, 'c> {
    pub(super) fn new(value: Decoder<'de, 'c>) -> Self {
        Self { value, given: 0 }
    }
}

impl<'de> SeqAccess<'de> for Spot<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let at = self.value.node.at;
        self.given += 1;
        match self.given {
            1 => seed.deserialize(at.line.into_deserializer()).map(Some),
            2 => seed.deserialize(at.column.into_deserializer()).map(Some),
            3 => seed.deserialize(self.value).map(Some),
            _ => Ok(None),
        }
    }
}
