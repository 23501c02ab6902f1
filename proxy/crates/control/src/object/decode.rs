//! Trees to types, by serde, with every problem at once.
//!
//! serde stops at the first thing that does not fit. So the decode is repeated, each time without
//! the values that did not fit, until it comes through; unknown fields are collected on the way.
//! `null` is the absence of a field, as in Kubernetes.
use super::{
    fault::Fault,
    node::{Node, Value},
    spanned::MARKER,
};
use crate::problem::{Code, Origin, Problem, Source};
use access::{Elements, Entries, Spot};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer as _, Visitor};
use std::{cell::RefCell, collections::HashSet, ptr, sync::Arc};

mod access;

/// More wrong values than this in one object are not worth a person's reading.
const MAX_FAULTS: usize = 50;

/// What one decode shares between its nodes.
pub(super) struct Context<'a> {
    source: &'a Arc<Source>,
    problems: RefCell<Vec<Problem>>,
    /// Values that did not fit. Addresses only: the tree outlives the decode and does not move.
    skipped: RefCell<HashSet<*const Node>>,
}

/// serde's view of one node.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'de, 'c> {
    node: &'de Node,
    context: &'c Context<'c>,
}

/// Reads `root` as a `T`.
///
/// # Errors
///
/// Everything in it that is not a `T`.
pub(crate) fn decode<T: DeserializeOwned>(
    root: &Node,
    source: &Arc<Source>,
) -> Result<T, Vec<Problem>> {
    let context = Context { source, problems: RefCell::default(), skipped: RefCell::default() };
    for _ in 0..MAX_FAULTS {
        match T::deserialize(Decoder { node: root, context: &context }) {
            Ok(read) if context.problems.borrow().is_empty() => return Ok(read),
            Ok(_) => break,
            Err(fault) => {
                let fault = fault.at(root);
                let node = fault.place.map_or(ptr::from_ref(root), |place| place.node);
                context.report(fault);
                context.skipped.borrow_mut().insert(node);
                if ptr::eq(node, root) {
                    break;
                }
            }
        }
    }
    Err(context.problems.into_inner())
}

impl Context<'_> {
    fn report(&self, fault: Fault) {
        let Fault { message, fix, code, place, missing: _, consequence } = fault;
        let (Some(place), false) = (place, consequence) else { return };
        let problem = Origin::new(self.source, place.at).error(message);
        self.add(Problem { fix, code, ..problem });
    }

    /// Repeated decodes meet the same problem again.
    fn add(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    fn is_skipped(&self, node: &Node) -> bool {
        self.skipped.borrow().contains(&ptr::from_ref(node))
    }
}

impl<'de, 'c> Decoder<'de, 'c> {
    fn child(self, node: &'de Node) -> Self {
        Self { node, ..self }
    }

    fn unfit(self, want: &str) -> Fault {
        let fault = Fault::new(format!("want {want}, not {}", self.node.value.describe()));
        fault.coded(Code::WrongType).at(self.node)
    }

    fn str(self) -> Result<&'de str, Fault> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            Value::Bool { raw, .. } | Value::Int { raw, .. } | Value::Float { raw, .. } => {
                Err(self.unfit("text").with_fix(format!("quote it: \"{raw}\"")))
            }
            Value::Null | Value::Seq(_) | Value::Map(_) => Err(self.unfit("text")),
        }
    }

    fn bool(self) -> Result<bool, Fault> {
        match &self.node.value {
            Value::Bool { value, raw } if raw.eq_ignore_ascii_case(&value.to_string()) => {
                Ok(*value)
            }
            Value::Bool { value, raw } => {
                let fault = Fault::new(format!("want true or false, not {raw}"));
                let fault = fault.coded(Code::WrongType).at(self.node);
                Err(fault.with_fix(format!("write {value}")))
            }
            Value::Null
            | Value::Int { .. }
            | Value::Float { .. }
            | Value::Text(_)
            | Value::Seq(_)
            | Value::Map(_) => Err(self.unfit("true or false")),
        }
    }

    fn int<T: TryFrom<i128>>(self, range: impl FnOnce() -> String) -> Result<T, Fault> {
        let Value::Int { value, .. } = &self.node.value else {
            return Err(self.unfit("a whole number"));
        };
        T::try_from(*value)
            .ok()
            .ok_or_else(|| self.unfit(&format!("a number {}", range())).coded(Code::BadValue))
    }

    /// Reads a mapping; `fields` is what it may have, `None` anything.
    fn mapping<V: Visitor<'de>>(
        self,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::Map(entries) = &self.node.value else {
            return Err(self.unfit("a mapping"));
        };
        visitor.visit_map(Entries::new(self, entries, fields)).map_err(|fault| {
            let written = fault.missing.and_then(|field| self.node.get(field));
            // What is missing was there, did not fit, and has been reported.
            let consequence =
                fault.place.is_none() && written.is_some_and(|node| self.context.is_skipped(node));
            Fault { consequence: fault.consequence || consequence, ..fault }.at(self.node)
        })
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $t:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let range = || format!("from {} to {}", <$t>::MIN, <$t>::MAX);
            let value = self.int::<$t>(range)?;
            visitor.$visit(value).map_err(|fault: Fault| fault.at(self.node))
        }
    )*};
}

impl<'de> Deserializer<'de> for Decoder<'de, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool { value, .. } => visitor.visit_bool(*value),
            Value::Int { value, .. } => visitor.visit_i128(*value),
            Value::Float { value, .. } => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Seq(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.mapping(None, visitor),
        }
        .map_err(|fault: Fault| fault.at(self.node))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_bool(self.bool()?).map_err(|fault: Fault| fault.at(self.node))
    }

    whole_numbers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Float { value, .. } => visitor.visit_f64(*value),
            Value::Int { .. } => visitor.visit_i64(self.int(|| "that fits".into())?),
            Value::Null | Value::Bool { .. } | Value::Text(_) | Value::Seq(_) | Value::Map(_) => {
                Err(self.unfit("a number"))
            }
        }
        .map_err(|fault: Fault| fault.at(self.node))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.str()?).map_err(|fault: Fault| fault.at(self.node))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            Value::Bool { .. }
            | Value::Int { .. }
            | Value::Float { .. }
            | Value::Text(_)
            | Value::Seq(_)
            | Value::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if matches!(self.node.value, Value::Null) {
            visitor.visit_unit()
        } else {
            Err(self.unfit("nothing"))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == MARKER {
            return visitor.visit_seq(Spot::new(self));
        }
        visitor.visit_newtype_struct(self).map_err(|fault: Fault| fault.at(self.node))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Value::Seq(items) = &self.node.value else { return Err(self.unfit("a list")) };
        visitor.visit_seq(Elements::new(self, items)).map_err(|fault| fault.at(self.node))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.mapping(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.mapping(Some(fields), visitor)
    }

    /// Only variants without content: manifests write alternatives as optional fields.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let text = self.str()?;
        visitor.visit_enum(text.into_deserializer()).map_err(|fault: Fault| fault.at(self.node))
    }
}
