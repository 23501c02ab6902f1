//! Values of no fixed shape, and metadata: what a control plane attaches to listeners, routes,
//! clusters and endpoints, and filters to requests.
use std::{collections::BTreeMap, fmt, sync::Arc};

mod matching;

pub use matching::{DoubleMatch, MetadataMatch, ValueMatch};

/// A struct's fields, by name.
pub type Fields = BTreeMap<Arc<str>, Value>;

/// Structs by the name of the filter that they are meant for; a clone shares all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(Option<Arc<BTreeMap<Arc<str>, Value>>>);

/// A value, as in JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(Arc<str>),
    List(Arc<[Self]>),
    Struct(Arc<Fields>),
}

impl Metadata {
    pub fn new(filters: BTreeMap<Arc<str>, Value>) -> Self {
        Self((!filters.is_empty()).then(|| Arc::new(filters)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is meant for `filter`.
    pub fn filter(&self, filter: &str) -> Option<&Value> {
        self.0.as_ref()?.get(filter)
    }

    /// The value at the end of `path`, seen from what is meant for `filter`.
    pub fn find<'a>(
        &self,
        filter: &str,
        path: impl IntoIterator<Item = &'a str>,
    ) -> Option<&Value> {
        path.into_iter().try_fold(self.filter(filter)?, |value, key| value.get(key))
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Value)> {
        self.0.iter().flat_map(|filters| filters.iter())
    }
}

impl Value {
    /// The field of a struct.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Struct(fields) => fields.get(key),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::List(_) => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Struct(_) => None,
        }
    }
}

/// As JSON.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::String(value) => quote(f, value),
            Self::List(values) => {
                f.write_str("[")?;
                for (i, value) in values.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { "," })?;
                    value.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Struct(fields) => {
                f.write_str("{")?;
                for (i, (key, value)) in fields.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { "," })?;
                    quote(f, key)?;
                    f.write_str(":")?;
                    value.fmt(f)?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_by_filter_and_path_and_written_as_json() {
        let inner = Value::Struct(Arc::new(BTreeMap::from([
            ("a\"b".into(), Value::String("x\n".into())),
            ("n".into(), Value::Number(3.0)),
            ("l".into(), Value::List([Value::Null, Value::Bool(true)].into())),
        ])));
        let outer = Value::Struct(Arc::new(BTreeMap::from([("in".into(), inner)])));
        let metadata = Metadata::new(BTreeMap::from([("envoy.lb".into(), outer)]));
        assert_eq!(metadata.find("envoy.lb", ["in", "n"]), Some(&Value::Number(3.0)));
        assert_eq!(metadata.find("envoy.lb", ["in", "n", "x"]), None);
        assert_eq!(metadata.find("other", []), None);
        assert_eq!(
            metadata.filter("envoy.lb").unwrap().to_string(),
            r#"{"in":{"a\"b":"x\n","l":[null,true],"n":3}}"#
        );
    }
}
