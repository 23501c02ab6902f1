//! Lists whose length is bounded.
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use std::{fmt, marker::PhantomData, ops::Deref};

/// A list of at least `MIN` and at most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<T, const MIN: usize, const MAX: usize>(Vec<T>);

struct FewVisitor<T, const MIN: usize, const MAX: usize>(PhantomData<T>);

impl<T, const MIN: usize, const MAX: usize> Default for Few<T, MIN, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MIN: usize, const MAX: usize> Deref for Few<T, MIN, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>, const MIN: usize, const MAX: usize> Deserialize<'de>
    for Few<T, MIN, MAX>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FewVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>, const MIN: usize, const MAX: usize> Visitor<'de>
    for FewVisitor<T, MIN, MAX>
{
    type Value = Few<T, MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {MIN} to {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        // As written: items that do not fit are told of, and left out of what comes.
        let written = seq.size_hint().unwrap_or(MIN);
        if written < MIN {
            let items = if MIN == 1 { "item is" } else { "items are" };
            return Err(A::Error::custom(format!("at least {MIN} {items} needed")));
        }
        if written > MAX {
            return Err(A::Error::custom(format!(
                "{written} items are too many: at most {MAX} fit"
            )));
        }
        let mut items = Vec::with_capacity(written);
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Few(items))
    }
}
