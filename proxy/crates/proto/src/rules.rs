//! What the fields of Envoy's messages may hold, as its .proto files say (`validate.rules`).
//!
//! Envoy refuses a message that breaks one of them; so do we, with the same reach: every message
//! inside, and what is inside of each `Any` whose type is known.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the values that there are, all others are one case"
)]

use crate::{
    descriptors,
    json::{Problem, path::Path},
};
use envoy_types::pb::validate::{FieldRules, field_rules::Type};
use parking_lot::RwLock;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, ReflectMessage as _,
    Value,
};
use std::{collections::HashMap, sync::Arc, sync::LazyLock};

mod number;

mod text;

/// More are not listed.
const LISTED: usize = 20;

/// What is known of messages that were looked at before, by their full names.
static KNOWN: LazyLock<RwLock<HashMap<String, Arc<Rules>>>> = LazyLock::new(RwLock::default);

/// The rules of one message.
#[derive(Debug)]
struct Rules {
    fields: Vec<(FieldDescriptor, FieldRules)>,
    /// Of each, one field must be set.
    oneofs: Vec<OneofDescriptor>,
}

/// What the message that `bytes` are by `type_url` does not keep to.
///
/// Nothing is said of a type that is not known, and of bytes that cannot be read.
#[must_use]
pub fn check(type_url: &str, bytes: &[u8]) -> Vec<Problem> {
    let message = descriptors::message(type_url)
        .and_then(|descriptor| DynamicMessage::decode(descriptor, bytes).ok());
    message.map(|message| check_message(&message)).unwrap_or_default()
}

/// What `message` does not keep to.
#[must_use]
pub fn check_message(message: &DynamicMessage) -> Vec<Problem> {
    let mut checker = Checker::default();
    checker.message(message, &Path::root());
    checker.problems
}

#[derive(Default)]
struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    fn message(&mut self, message: &DynamicMessage, path: &Path<'_>) {
        if message.descriptor().full_name() == "google.protobuf.Any" {
            return self.any(message, path);
        }
        let rules = rules(&message.descriptor());
        for (field, rules) in &rules.fields {
            self.field(message, field, rules, path);
        }
        for oneof in &rules.oneofs {
            if !oneof.fields().any(|field| message.has_field(&field)) {
                let names: Vec<_> = oneof.fields().map(|field| field.name().to_owned()).collect();
                let what = match names.as_slice() {
                    [one] => format!("{one} is not set"),
                    names => format!("one of {} must be set", names.join(", ")),
                };
                self.problem(path, what);
            }
        }
        for (field, value) in message.fields() {
            let path = path.field(field.name());
            self.enumerated(&field, value, &path);
            self.inside(value, &path);
        }
    }

    /// Whether each value of an enum is one: nothing is known of others.
    fn enumerated(&mut self, field: &FieldDescriptor, value: &Value, path: &Path<'_>) {
        let Kind::Enum(kind) = field.kind() else { return };
        let check = |value: &Value| {
            let number = value.as_enum_number()?;
            kind.get_value(number)
                .is_none()
                .then(|| format!("{number} is no value of {}", kind.name()))
        };
        match value {
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    if let Some(what) = check(item) {
                        self.problem(&path.index(i), what);
                    }
                }
            }
            value => {
                if let Some(what) = check(value) {
                    self.problem(path, what);
                }
            }
        }
    }

    /// Looks into messages.
    fn inside(&mut self, value: &Value, path: &Path<'_>) {
        match value {
            Value::Message(message) => self.message(message, path),
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.inside(item, &path.index(i));
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.inside(value, &path.key(key.as_str().unwrap_or_default()));
                }
            }
            _ => {}
        }
    }

    fn any(&mut self, message: &DynamicMessage, path: &Path<'_>) {
        let get = |name: &str| message.get_field_by_name(name);
        let (Some(type_url), Some(bytes)) = (get("type_url"), get("value")) else { return };
        let inner = type_url.as_str().and_then(descriptors::message);
        if let (Some(inner), Some(bytes)) = (inner, bytes.as_bytes()) {
            match DynamicMessage::decode(inner, bytes.clone()) {
                Ok(inner) => self.message(&inner, path),
                Err(error) => self.problem(path, format!("cannot be read: {error}")),
            }
        }
    }

    fn field(
        &mut self,
        message: &DynamicMessage,
        field: &FieldDescriptor,
        rules: &FieldRules,
        path: &Path<'_>,
    ) {
        let is_set = message.has_field(field);
        let is_required = rules.message.as_ref().is_some_and(|rules| rules.required());
        let path = path.field(field.name());
        let is_choice = field.containing_oneof().is_some();
        if is_required && !is_set && !is_choice {
            return self.problem(&path, "not set");
        }
        // What is in a oneof, or is a message, counts only where it is set.
        if !is_set && field.supports_presence() && !needs_duration(rules) {
            return;
        }
        if let Some(kind) = &rules.r#type {
            self.rules(&message.get_field(field), kind, is_set, &path);
        }
    }

    fn rules(&mut self, value: &Value, rules: &Type, is_set: bool, path: &Path<'_>) {
        let found = match (rules, value) {
            (Type::String(rules), Value::String(value)) => text::check(value, rules),
            (Type::String(rules), Value::Message(value)) => {
                let inner = value.get_field_by_name("value");
                inner.and_then(|inner| text::check(inner.as_str()?, rules))
            }
            (Type::Bytes(rules), Value::Bytes(value)) => text::check_bytes(value, rules),
            (Type::Bool(rules), Value::Bool(value)) => {
                rules.r#const.filter(|only| only != value).map(|only| format!("must be {only}"))
            }
            (Type::Enum(rules), Value::EnumNumber(value)) => number::check_enum(*value, rules),
            (Type::Duration(rules), Value::Message(value)) if is_set => {
                number::check_duration(value, rules)
            }
            (Type::Duration(rules), Value::Message(_)) => {
                rules.required().then(|| "not set".to_owned())
            }
            (Type::Repeated(rules), Value::List(items)) => {
                if let Some(kind) = rules.items.as_ref().and_then(|rules| rules.r#type.as_ref()) {
                    for (i, item) in items.iter().enumerate() {
                        self.rules(item, kind, true, &path.index(i));
                    }
                }
                number::check_count(items, rules)
            }
            (Type::Map(rules), Value::Map(entries)) => {
                let keys = rules.keys.as_ref().and_then(|rules| rules.r#type.as_ref());
                for key in entries.keys() {
                    if let (Some(Type::String(rules)), Some(key)) = (keys, key.as_str())
                        && let Some(what) = text::check(key, rules)
                    {
                        self.problem(&path.key(key), what);
                    }
                }
                let least = usize::try_from(rules.min_pairs()).unwrap_or(usize::MAX);
                (entries.len() < least).then(|| format!("needs at least {least}"))
            }
            (Type::Any(rules), Value::Message(_)) => {
                (rules.required() && !is_set).then(|| "not set".to_owned())
            }
            (rules, value) => number::check(value, rules),
        };
        if let Some(what) = found {
            self.problem(path, what);
        }
    }

    fn problem(&mut self, path: &Path<'_>, what: impl Into<String>) {
        if self.problems.len() < LISTED {
            self.problems.push(Problem { path: path.to_string(), what: what.into() });
        }
    }
}

/// The one rule that says itself that something must be set.
fn needs_duration(rules: &FieldRules) -> bool {
    match &rules.r#type {
        Some(Type::Duration(rules)) => rules.required(),
        Some(Type::Any(rules)) => rules.required(),
        _ => false,
    }
}

fn rules(descriptor: &MessageDescriptor) -> Arc<Rules> {
    if let Some(known) = KNOWN.read().get(descriptor.full_name()) {
        return Arc::clone(known);
    }
    let rules = Arc::new(read(descriptor));
    KNOWN.write().insert(descriptor.full_name().to_owned(), Arc::clone(&rules));
    rules
}

fn read(descriptor: &MessageDescriptor) -> Rules {
    let none = Rules { fields: Vec::new(), oneofs: Vec::new() };
    let pool = descriptors::pool();
    let (Some(of_field), Some(of_oneof)) = (
        pool.get_extension_by_name("validate.rules"),
        pool.get_extension_by_name("validate.required"),
    ) else {
        return none;
    };
    let fields = descriptor.fields().filter_map(|field| {
        let options = field.options();
        if !options.has_extension(&of_field) {
            return None;
        }
        let rules = options.get_extension(&of_field);
        Some((field, rules.as_message()?.transcode_to().ok()?))
    });
    let is_required = |oneof: &OneofDescriptor| {
        oneof.options().get_extension(&of_oneof).as_bool().unwrap_or(false)
    };
    Rules { fields: fields.collect(), oneofs: descriptor.oneofs().filter(is_required).collect() }
}
