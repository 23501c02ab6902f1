//! Envoy's messages as people write and read them: JSON, and YAML that means JSON.
//!
//! Reading is as generous as Envoy's own (names of fields either way, names of enums in any case, a
//! single value where a list is expected), refuses fields that do not exist, and says of everything
//! that is wrong where it is. Writing keeps the names of the .proto files and shows no secrets.
//!
//! Reading order: [`yaml`], [`path`], [`mod@read`], [`mod@write`].
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the values that there are, all others are one case"
)]

use prost::{Message, Name};
use prost_reflect::DynamicMessage;
use serde_json::Value;
use std::fmt;

pub mod yaml;

pub mod path;

pub mod read;

pub mod write;

use crate::descriptors;
use path::Path;

/// Everything that is wrong with a document; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Empty: the document as a whole.
    pub path: String,
    pub what: String,
}

/// Reads one message.
///
/// # Errors
///
/// All that is wrong with it, the first fifty.
pub fn read<M: Message + Name + Default>(value: &Value) -> Result<M, Problems> {
    let bytes = read_dynamic(&M::full_name(), value)?.encode_to_vec();
    M::decode(&*bytes).map_err(|error| Problems::whole(format!("cannot be read: {error}")))
}

/// Reads a message of the type that `type_url` names.
///
/// # Errors
///
/// All that is wrong with it, or that there is no such type.
pub fn read_dynamic(type_url: &str, value: &Value) -> Result<DynamicMessage, Problems> {
    let Some(descriptor) = descriptors::message(type_url) else {
        let name = descriptors::full_name(type_url);
        return Err(Problems::whole(format!("no type {name} is known")));
    };
    let mut reader = read::Reader::default();
    let message = reader.message(&descriptor, value, &Path::root());
    if reader.problems.is_empty() { Ok(message) } else { Err(Problems(reader.problems)) }
}

/// Writes a message, with what is inside of each `Any`.
pub fn write<M: Message + Name>(message: &M) -> Value {
    write_any(&M::full_name(), &message.encode_to_vec())
}

/// Writes the message that `bytes` are by `type_url`; without its `@type`.
#[must_use]
pub fn write_any(type_url: &str, bytes: &[u8]) -> Value {
    let message = descriptors::message(type_url)
        .and_then(|descriptor| DynamicMessage::decode(descriptor, bytes).ok());
    message.map_or(Value::Null, |message| write::message(&message))
}

impl Problems {
    /// One, with the document as a whole.
    #[must_use]
    pub fn whole(what: impl Into<String>) -> Self {
        Self(vec![Problem { path: String::new(), what: what.into() }])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => f.write_str(&self.what),
            path => write!(f, "{path}: {}", self.what),
        }
    }
}

/// One per line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "\n" })?;
            problem.fmt(f)?;
        }
        Ok(())
    }
}
