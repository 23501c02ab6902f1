//! `MetadataMatcher` and `ValueMatcher`.
use std::sync::Arc;

use super::{Metadata, Value};
use crate::http::matcher::{StringMatch, ValueRange};

/// The value at a path, and what it must be.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataMatch {
    /// The name of the filter that the metadata is meant for.
    pub filter: Arc<str>,
    /// Never empty.
    pub path: Box<[Arc<str>]>,
    pub value: ValueMatch,
    pub invert: bool,
}

/// What a value must be; one that is not there is none of these.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueMatch {
    Null,
    Double(DoubleMatch),
    String(StringMatch),
    Bool(bool),
    /// Whether there is a value at all; `false` is never true, as in Envoy.
    Present(bool),
    /// A list, one of whose elements matches.
    OneOf(Box<Self>),
    Or(Box<[Self]>),
}

/// What a number must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DoubleMatch {
    Exact(f64),
    Range(ValueRange<f64>),
}

impl MetadataMatch {
    #[must_use]
    pub fn matches(&self, metadata: &Metadata) -> bool {
        let found = metadata.find(&self.filter, self.path.iter().map(|key| &**key));
        found.is_some_and(|value| self.value.matches(value)) != self.invert
    }
}

impl ValueMatch {
    #[must_use]
    pub fn matches(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Double(want), Value::Number(number)) => want.matches(*number),
            (Self::String(want), Value::String(text)) => want.matches(text.as_bytes()),
            (Self::Bool(want), Value::Bool(value)) => want == value,
            (Self::Present(want), _) => *want,
            (Self::OneOf(want), Value::List(values)) => values.iter().any(|v| want.matches(v)),
            (Self::Or(any), _) => any.iter().any(|want| want.matches(value)),
            (
                Self::Null | Self::Double(_) | Self::String(_) | Self::Bool(_) | Self::OneOf(_),
                _,
            ) => false,
        }
    }
}

impl DoubleMatch {
    fn matches(self, number: f64) -> bool {
        match self {
            // Bit by bit, but for the two zeros: the configuration wrote the number that it means.
            Self::Exact(want) => want.partial_cmp(&number) == Some(std::cmp::Ordering::Equal),
            Self::Range(range) => range.contains(&number),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::{DoubleMatch, MetadataMatch, ValueMatch};
    use crate::http::{
        matcher::{StringMatch, ValueRange},
        value::{Metadata, Value},
    };

    fn metadata() -> Metadata {
        let fields = BTreeMap::from([
            ("n".into(), Value::Number(3.0)),
            ("l".into(), Value::List([Value::String("a".into()), Value::Bool(true)].into())),
        ]);
        Metadata::new(BTreeMap::from([("f".into(), Value::Struct(Arc::new(fields)))]))
    }

    fn matches(path: &str, value: ValueMatch) -> bool {
        let path = Box::from([Arc::from(path)]);
        MetadataMatch { filter: "f".into(), path, value, invert: false }.matches(&metadata())
    }

    #[test]
    fn values_are_compared_by_kind() {
        assert!(matches("n", ValueMatch::Double(DoubleMatch::Exact(3.0))));
        let range = ValueRange { start: 3.0, end: 4.0 };
        assert!(matches("n", ValueMatch::Double(DoubleMatch::Range(range))));
        assert!(!matches("n", ValueMatch::String(StringMatch::exact("3"))));
        assert!(matches("l", ValueMatch::OneOf(ValueMatch::Bool(true).into())));
        assert!(matches("l", ValueMatch::Present(true)));
        assert!(!matches("l", ValueMatch::Present(false)));
    }

    #[test]
    fn what_is_not_there_matches_only_inverted() {
        assert!(!matches("x", ValueMatch::Present(true)));
        assert!(!matches("x", ValueMatch::Null));
        let path = Box::from([Arc::from("x")]);
        let inverted =
            MetadataMatch { filter: "f".into(), path, value: ValueMatch::Null, invert: true };
        assert!(inverted.matches(&metadata()));
    }
}
