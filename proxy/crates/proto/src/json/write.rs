//! From messages to JSON.
use crate::descriptors;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value as Proto,
};
use serde_json::{Map, Number, Value as Json, json};

/// What stands in place of a secret, as Envoy writes it.
const REDACTED: &str = "[redacted]";

/// Writes `message`; fields that are not set are left out.
#[must_use]
pub fn message(message: &DynamicMessage) -> Json {
    Written { redact: false }.message(message)
}

/// How messages are written.
#[derive(Clone, Copy)]
struct Written {
    /// Inside of something that is secret.
    redact: bool,
}

impl Written {
    fn message(self, message: &DynamicMessage) -> Json {
        let descriptor = message.descriptor();
        if descriptor.package_name() != "google.protobuf" || descriptor.name() == "Empty" {
            return Json::Object(self.fields(message));
        }
        let get = |name: &str| message.get_field_by_name(name).map(|value| value.into_owned());
        match descriptor.name() {
            "Any" => self.any(message),
            "Struct" | "ListValue" => {
                let only = descriptor.fields().next();
                only.map_or(Json::Null, |field| self.field(&field, &message.get_field(&field)))
            }
            "Value" => message
                .fields()
                .next()
                .map_or(Json::Null, |(field, value)| self.field(&field, value)),
            "Duration" | "Timestamp" => match (get("seconds"), get("nanos")) {
                (Some(Proto::I64(seconds)), Some(Proto::I32(nanos))) => {
                    let text = match descriptor.name() {
                        "Duration" => prost_duration(seconds, nanos),
                        _ => prost_types::Timestamp { seconds, nanos }.to_string(),
                    };
                    Json::String(text)
                }
                _ => Json::Null,
            },
            "FieldMask" => match get("paths") {
                Some(Proto::List(paths)) => {
                    let paths: Vec<_> = paths.iter().filter_map(Proto::as_str).collect();
                    Json::String(paths.join(","))
                }
                _ => Json::Null,
            },
            _ => descriptor
                .get_field_by_name("value")
                .map_or(Json::Null, |field| self.field(&field, &message.get_field(&field))),
        }
    }

    fn fields(self, message: &DynamicMessage) -> Map<String, Json> {
        let fields = message.fields().map(|(field, value)| {
            let inner = Self { redact: self.redact || is_sensitive(&field) };
            (field.name().to_owned(), inner.field(&field, value))
        });
        fields.collect()
    }

    fn field(self, field: &FieldDescriptor, value: &Proto) -> Json {
        match value {
            Proto::List(items) => {
                Json::Array(items.iter().map(|item| self.value(&field.kind(), item)).collect())
            }
            Proto::Map(entries) => {
                let Kind::Message(entry) = field.kind() else { return Json::Null };
                let kind = entry.map_entry_value_field().kind();
                let mut written: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| (key_text(key), self.value(&kind, value)))
                    .collect();
                written.sort_by(|(a, _), (b, _)| a.cmp(b));
                Json::Object(written.into_iter().collect())
            }
            value => self.value(&field.kind(), value),
        }
    }

    fn value(self, kind: &Kind, value: &Proto) -> Json {
        match value {
            Proto::Message(inner) => self.message(inner),
            Proto::String(_) | Proto::Bytes(_) if self.redact => REDACTED.into(),
            Proto::Bool(value) => (*value).into(),
            Proto::I32(value) => (*value).into(),
            Proto::U32(value) => (*value).into(),
            Proto::I64(value) => value.to_string().into(),
            Proto::U64(value) => value.to_string().into(),
            Proto::F32(value) => number(f64::from(*value)),
            Proto::F64(value) => number(*value),
            Proto::String(text) => text.clone().into(),
            Proto::Bytes(bytes) => STANDARD.encode(bytes).into(),
            Proto::EnumNumber(number) => {
                let Kind::Enum(descriptor) = kind else { return (*number).into() };
                if descriptor.full_name() == "google.protobuf.NullValue" {
                    return Json::Null;
                }
                let known = descriptor.get_value(*number);
                known.map_or_else(|| (*number).into(), |value| value.name().into())
            }
            Proto::List(_) | Proto::Map(_) => Json::Null,
        }
    }

    fn any(self, message: &DynamicMessage) -> Json {
        let (Some(type_url), Some(bytes)) =
            (message.get_field_by_name("type_url"), message.get_field_by_name("value"))
        else {
            return Json::Null;
        };
        let (Some(type_url), Some(bytes)) = (type_url.as_str(), bytes.as_bytes()) else {
            return Json::Null;
        };
        let inner = descriptors::message(type_url)
            .and_then(|inner| DynamicMessage::decode(inner, bytes.clone()).ok());
        match inner.map(|inner| self.message(&inner)) {
            Some(Json::Object(fields)) => {
                let kind = ("@type".to_owned(), Json::from(type_url));
                Json::Object(std::iter::once(kind).chain(fields).collect())
            }
            Some(value) => json!({ "@type": type_url, "value": value }),
            None if self.redact => json!({ "@type": type_url, "value": REDACTED }),
            None => json!({ "@type": type_url, "value": STANDARD.encode(bytes) }),
        }
    }
}

/// Is it marked as secret?
fn is_sensitive(field: &FieldDescriptor) -> bool {
    let Some(mark) = descriptors::pool().get_extension_by_name("udpa.annotations.sensitive") else {
        return true;
    };
    field.options().get_extension(&mark).as_bool().unwrap_or(false)
}

fn number(value: f64) -> Json {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and of a size that fits")]
        return (value as i64).into();
    }
    Number::from_f64(value).map_or_else(|| value.to_string().into(), Json::Number)
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// `0.250s`, as protobuf writes it.
fn prost_duration(seconds: i64, nanos: i32) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    match nanos {
        0 => format!("{sign}{seconds}s"),
        _ if nanos % 1_000_000 == 0 => format!("{sign}{seconds}.{:03}s", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => format!("{sign}{seconds}.{:06}s", nanos / 1_000),
        _ => format!("{sign}{seconds}.{nanos:09}s"),
    }
}
