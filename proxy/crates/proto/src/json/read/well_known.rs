//! Messages of protobuf itself, which have forms of their own in JSON.
use super::{
    super::path::Path,
    Reader,
    scalar::{self, want},
};
use crate::descriptors;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, MapKey, MessageDescriptor, ReflectMessage as _, Value as Proto,
};
use serde_json::Value as Json;
use std::collections::HashMap;

/// Ten thousand years, as protobuf has it.
const LONGEST: i64 = 315_576_000_000;

/// Is it written otherwise than by its fields?
pub(super) fn is(descriptor: &MessageDescriptor) -> bool {
    descriptor.package_name() == "google.protobuf"
        && !matches!(descriptor.name(), "Empty" | "Method" | "Option")
}

impl Reader {
    /// Reads into `message`, which is one of these.
    pub(super) fn well_known(
        &mut self,
        message: &mut DynamicMessage,
        json: &Json,
        path: &Path<'_>,
    ) {
        let descriptor = message.descriptor();
        match descriptor.name() {
            "Any" => self.any(message, json, path),
            "Struct" => self.structure(message, json, path),
            "Value" => self.any_value(message, json, path),
            "ListValue" => {
                if let Json::Array(items) = json {
                    let values = self.list(message, items, path);
                    message.set_field_by_name("values", values);
                } else {
                    self.wrong(path, "a list", json);
                }
            }
            "Duration" | "Timestamp" => {
                let read = match descriptor.name() {
                    "Duration" => duration(json),
                    _ => timestamp(json),
                };
                if let Some((seconds, nanos)) = self.read(path, read) {
                    message.set_field_by_name("seconds", Proto::I64(seconds));
                    message.set_field_by_name("nanos", Proto::I32(nanos));
                }
            }
            "FieldMask" => match json {
                Json::String(paths) => {
                    let paths = paths.split(',').map(|path| Proto::String(path.trim().to_owned()));
                    message.set_field_by_name("paths", Proto::List(paths.collect()));
                }
                other => self.wrong(path, "paths with commas between them", other),
            },
            // The wrappers.
            _ => self.wrapped(message, json, path),
        }
    }

    fn wrapped(&mut self, message: &mut DynamicMessage, json: &Json, path: &Path<'_>) {
        let Some(field) = message.descriptor().get_field_by_name("value") else { return };
        // Somebody may know the wrapper and write its field.
        let json = json.as_object().and_then(|fields| fields.get("value")).unwrap_or(json);
        if let Some(value) = self.read(path, scalar::scalar(&field.kind(), json)) {
            message.set_field(&field, value);
        }
    }

    fn any(&mut self, message: &mut DynamicMessage, json: &Json, path: &Path<'_>) {
        let Json::Object(fields) = json else { return self.wrong(path, "fields", json) };
        let Some(type_url) = fields.get("@type") else {
            if !fields.is_empty() {
                self.problem(path, "no @type; it says what the other fields mean");
            }
            return;
        };
        let Json::String(type_url) = type_url else {
            return self.wrong(&path.field("@type"), "the name of a type", type_url);
        };
        message.set_field_by_name("type_url", Proto::String(type_url.clone()));
        // Whether a type that is not known matters is for the reader of the message to say.
        let Some(descriptor) = descriptors::message(type_url) else { return };
        let inner = if is(&descriptor) {
            let value = fields.get("value").unwrap_or(&Json::Null);
            self.message(&descriptor, value, &path.field("value"))
        } else {
            self.message(&descriptor, json, path)
        };
        message.set_field_by_name("value", Proto::Bytes(inner.encode_to_vec().into()));
    }

    fn structure(&mut self, message: &mut DynamicMessage, json: &Json, path: &Path<'_>) {
        let Json::Object(json) = json else { return self.wrong(path, "fields", json) };
        let Some(value) = descriptors::pool().get_message_by_name("google.protobuf.Value") else {
            return;
        };
        let entries: HashMap<_, _> = json
            .iter()
            .map(|(key, json)| {
                let value = self.message(&value, json, &path.field(key));
                (MapKey::String(key.clone()), Proto::Message(value))
            })
            .collect();
        message.set_field_by_name("fields", Proto::Map(entries));
    }

    fn any_value(&mut self, message: &mut DynamicMessage, json: &Json, path: &Path<'_>) {
        let nested = |reader: &mut Self, name: &str| {
            let full_name = format!("google.protobuf.{name}");
            let descriptor = descriptors::pool().get_message_by_name(&full_name)?;
            Some(Proto::Message(reader.message(&descriptor, json, path)))
        };
        let (field, value) = match json {
            Json::Null => ("null_value", Some(Proto::EnumNumber(0))),
            Json::Bool(value) => ("bool_value", Some(Proto::Bool(*value))),
            Json::Number(value) => ("number_value", value.as_f64().map(Proto::F64)),
            Json::String(value) => ("string_value", Some(Proto::String(value.clone()))),
            Json::Array(_) => ("list_value", nested(self, "ListValue")),
            Json::Object(_) => ("struct_value", nested(self, "Struct")),
        };
        if let Some(value) = value {
            message.set_field_by_name(field, value);
        }
    }

    fn list(&mut self, message: &DynamicMessage, items: &[Json], path: &Path<'_>) -> Proto {
        let pool = message.descriptor().parent_pool().clone();
        let Some(value) = pool.get_message_by_name("google.protobuf.Value") else {
            return Proto::List(Vec::new());
        };
        let items = items.iter().enumerate();
        Proto::List(
            items
                .map(|(i, json)| Proto::Message(self.message(&value, json, &path.index(i))))
                .collect(),
        )
    }
}

/// `1.5s`: seconds and nanoseconds.
fn duration(json: &Json) -> Result<(i64, i32), String> {
    let bad = || want("a duration such as 0.25s", json);
    let Json::String(text) = json else { return Err(bad()) };
    let number = text.strip_suffix('s').ok_or_else(bad)?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 || number.is_empty() {
        return Err(bad());
    }
    let seconds: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_long| bad())? };
    if seconds > LONGEST {
        return Err(format!("{text} is longer than ten thousand years"));
    }
    let nanos: i32 = format!("{fraction:0<9}").parse().map_err(|_long| bad())?;
    Ok(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

/// RFC 3339: seconds since 1970 and nanoseconds.
fn timestamp(json: &Json) -> Result<(i64, i32), String> {
    let parsed = json.as_str().and_then(|text| text.parse::<prost_types::Timestamp>().ok());
    let parsed = parsed.ok_or_else(|| want("a time such as 2030-01-31T12:00:00Z", json))?;
    Ok((parsed.seconds, parsed.nanos))
}
