//! What stopped a decode, and at which node.
use super::node::Node;
use crate::problem::{Code, Mark};
use std::{fmt, ptr};

/// Stands between what is wrong and the way out, in the errors of types that serde makes.
const WAY_OUT: char = '\u{1f}';

/// What is wrong, and the way out, for types that serde makes by `try_from`.
pub(super) fn advice(message: impl fmt::Display, fix: impl fmt::Display) -> String {
    format!("{message}{WAY_OUT}{fix}")
}

/// The first thing that did not fit.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) fix: Option<String>,
    pub(super) code: Code,
    pub(super) place: Option<Place>,
    /// The field that a structure needs and did not get.
    pub(super) missing: Option<&'static str>,
    /// Follows from a fault that was reported already.
    pub(super) consequence: bool,
}

/// A node, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Compared, never followed.
    pub(super) node: *const Node,
    pub(super) at: Mark,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        let (message, code) = (message.into(), Code::BadValue);
        Self { message, fix: None, code, place: None, missing: None, consequence: false }
    }

    pub(super) fn coded(self, code: Code) -> Self {
        Self { code, ..self }
    }

    pub(super) fn with_fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    /// Places it at `node`, unless something further in has placed it.
    pub(super) fn at(self, node: &Node) -> Self {
        let here = Place { node: ptr::from_ref(node), at: node.at };
        Self { place: self.place.or(Some(here)), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let told = message.to_string();
        match told.split_once(WAY_OUT) {
            Some((message, fix)) => Self::new(message).with_fix(fix),
            None => Self::new(told),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        let missing = Self::new(format!("`{field}` is missing")).coded(Code::MissingField);
        Self { missing: Some(field), ..missing }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let expected = expected.join(", ");
        Self::new(format!("`{variant}` is not one of {expected}"))
    }
}
