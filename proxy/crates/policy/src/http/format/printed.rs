//! What an operator comes to.
use std::{borrow::Cow, fmt, io::Write as _};

use culvert_model::http::value::Value;

/// A value that can be printed; in JSON, numbers and structures stay what they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Printed<'a> {
    Bytes(Cow<'a, [u8]>),
    Number(i64),
    Value(Cow<'a, Value>),
}

impl<'a> Printed<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Bytes(Cow::Borrowed(text.as_bytes()))
    }

    pub(crate) fn display(value: impl fmt::Display) -> Self {
        Self::Bytes(Cow::Owned(value.to_string().into_bytes()))
    }

    /// Numbers beyond the range are as far in it as there is.
    pub(crate) fn number(value: u64) -> Self {
        Self::Number(i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// Prints at most so many bytes of it.
    pub fn write(&self, most: Option<usize>, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Number(number) => append(out, number),
            Self::Value(value) => match value.as_str() {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => append(out, &**value),
            },
        }
        if let Some(most) = most {
            out.truncate(start.saturating_add(most));
        }
    }
}

/// Writing into memory cannot fail.
pub(super) fn append(out: &mut Vec<u8>, value: &impl fmt::Display) {
    let written = write!(out, "{value}");
    debug_assert!(written.is_ok(), "memory takes what is written");
}
