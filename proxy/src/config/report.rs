//! What `--print-config` and the admin door show: every setting, its value, where it came from.
use super::{
    raw::Piece,
    settings::{Kind, Preset, Setting},
};
use serde::Serialize;
use serde_json::Value;

/// Every setting in the table's order.
#[derive(Clone, Debug)]
pub(crate) struct Report(pub(crate) Vec<Entry>);

/// One setting as it is in force.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// Null when unset.
    pub(crate) value: Value,
    pub(crate) from: String,
}

impl Entry {
    pub(super) fn new(setting: &Setting, pieces: &[Piece]) -> Self {
        let mut values = pieces.iter().map(|piece| shape(setting.kind, piece.text.trim()));
        let value = match setting.kind {
            Kind::List => values.collect(),
            Kind::Text | Kind::Count | Kind::Switch => values.next_back().unwrap_or(Value::Null),
        };
        let from = match (pieces.first(), setting.preset) {
            (None, preset @ Preset::Unset(_)) => format!("default: {preset}"),
            (Some(piece), preset @ Preset::Found(..)) if piece.origin == super::Origin::Default => {
                format!("default: {preset}")
            }
            (Some(piece), _) => piece.origin.to_string(),
            (None, Preset::Is(_) | Preset::Found(..) | Preset::Either(..) | Preset::Door(..)) => {
                "default".to_owned()
            }
        };
        Self { name: setting.name, value, from }
    }

    /// The value as people read it.
    pub(crate) fn text(&self) -> String {
        shown(&self.value)
    }
}

/// A value without JSON's quotes; a list as words.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Numbers and switches keep their kind in JSON.
fn shape(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Count => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        Kind::Switch => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        Kind::Text | Kind::List => text.into(),
    }
}
