//! A field that remembers where it was written.
use crate::problem::Mark;
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use std::{fmt, marker::PhantomData};

/// The name by which `decode` knows a [`Spanned`]; no type of a manifest is called so.
pub(super) const MARKER: &str = "\0culvert::Spanned";

/// A value and its place. Only `decode` can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub at: Mark,
}

struct SpannedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(MARKER, SpannedVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
    type Value = Spanned<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its place")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Spanned<T>, A::Error> {
        let (Some(line), Some(column), Some(value)) =
            (seq.next_element()?, seq.next_element()?, seq.next_element()?)
        else {
            return Err(A::Error::custom("the place of the value is missing"));
        };
        Ok(Spanned { value, at: Mark { line, column } })
    }
}
