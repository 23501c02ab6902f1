//! From JSON to messages.
use super::{Problem, path::Path};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _,
    Value as Proto,
};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

mod scalar;

mod similar;

mod well_known;

/// More problems than this are not listed.
const LISTED: usize = 50;

/// Deeper is nothing that anybody writes; prost gives up there as well.
const DEEPEST: usize = 200;

/// Reads, and remembers what was wrong.
#[derive(Debug, Default)]
pub struct Reader {
    pub problems: Vec<Problem>,
}

impl Reader {
    /// Reads a message; what cannot be read of it is left out, and said in
    /// [`problems`](Self::problems).
    pub fn message(
        &mut self,
        descriptor: &MessageDescriptor,
        json: &Json,
        path: &Path<'_>,
    ) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        if path.depth() > DEEPEST {
            self.problem(path, "nested too deep");
        } else if well_known::is(descriptor) {
            self.well_known(&mut message, json, path);
        } else if let Json::Object(fields) = json {
            self.fields(&mut message, fields, path);
        } else {
            self.wrong(path, "fields", json);
        }
        message
    }

    /// Reads the fields of an ordinary message; `@type` is none of them.
    fn fields(&mut self, message: &mut DynamicMessage, json: &Map<String, Json>, path: &Path<'_>) {
        let descriptor = message.descriptor();
        let mut chosen: HashMap<String, String> = HashMap::new();
        for (key, json) in json {
            if key == "@type" {
                continue;
            }
            let path = path.field(key);
            let field = (descriptor.get_field_by_name(key))
                .or_else(|| descriptor.get_field_by_json_name(key));
            let Some(field) = field else {
                self.unknown_field(&descriptor, key, &path);
                continue;
            };
            if json.is_null() && !takes_null(&field) {
                continue;
            }
            if let Some(oneof) = field.containing_oneof()
                && let Some(other) = chosen.insert(oneof.name().to_owned(), key.clone())
            {
                self.problem(&path, &format!("cannot be given beside {other}"));
                continue;
            }
            if message.has_field(&field) {
                self.problem(&path, "given twice, under both of its names");
                continue;
            }
            if let Some(value) = self.field(&field, json, &path) {
                message.set_field(&field, value);
            }
        }
    }

    fn field(&mut self, field: &FieldDescriptor, json: &Json, path: &Path<'_>) -> Option<Proto> {
        if field.is_map() {
            return Some(self.map(field, json, path));
        }
        if !field.is_list() {
            return self.value(&field.kind(), json, path);
        }
        let items = match json {
            Json::Array(items) => items.as_slice(),
            // As Envoy has it: one is a list of one.
            one => std::slice::from_ref(one),
        };
        let is_one = !json.is_array();
        let read = items.iter().enumerate().filter_map(|(i, json)| {
            let item = path.index(i);
            self.value(&field.kind(), json, if is_one { path } else { &item })
        });
        Some(Proto::List(read.collect()))
    }

    fn map(&mut self, field: &FieldDescriptor, json: &Json, path: &Path<'_>) -> Proto {
        let mut entries = HashMap::new();
        let Kind::Message(entry) = field.kind() else { return Proto::Map(entries) };
        let Json::Object(json) = json else {
            self.wrong(path, "a mapping", json);
            return Proto::Map(entries);
        };
        let (keys, values) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        for (key, json) in json {
            let path = path.key(key);
            let Some(map_key) = map_key(&keys.kind(), key) else {
                self.problem(&path, "this cannot be a key here");
                continue;
            };
            if let Some(value) = self.value(&values.kind(), json, &path) {
                entries.insert(map_key, value);
            }
        }
        Proto::Map(entries)
    }

    fn value(&mut self, kind: &Kind, json: &Json, path: &Path<'_>) -> Option<Proto> {
        match kind {
            Kind::Message(descriptor) => Some(Proto::Message(self.message(descriptor, json, path))),
            Kind::Enum(descriptor) => self.read(path, scalar::enumerated(descriptor, json)),
            scalar => self.read(path, scalar::scalar(scalar, json)),
        }
    }

    fn read<T>(&mut self, path: &Path<'_>, read: Result<T, String>) -> Option<T> {
        read.map_err(|what| self.problem(path, &what)).ok()
    }

    fn unknown_field(&mut self, message: &MessageDescriptor, key: &str, path: &Path<'_>) {
        let names: Vec<_> = message.fields().map(|field| field.name().to_owned()).collect();
        let what = match similar::similar(key, names.iter().map(|name| &**name)) {
            Some(name) => format!("no such field in {}; is {name} meant?", message.full_name()),
            None => format!("no such field in {}", message.full_name()),
        };
        self.problem(path, &what);
    }

    fn wrong(&mut self, path: &Path<'_>, want: &str, json: &Json) {
        self.problem(path, &format!("want {want}, got {}", scalar::found(json)));
    }

    fn problem(&mut self, path: &Path<'_>, what: &str) {
        if self.problems.len() < LISTED {
            self.problems.push(Problem { path: path.to_string(), what: what.to_owned() });
        }
    }
}

/// Where null is a value of its own.
fn takes_null(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(descriptor) => descriptor.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn map_key(kind: &Kind, key: &str) -> Option<MapKey> {
    match scalar::scalar(kind, &Json::String(key.to_owned())) {
        Ok(Proto::String(key)) => Some(MapKey::String(key)),
        Ok(Proto::I32(key)) => Some(MapKey::I32(key)),
        Ok(Proto::I64(key)) => Some(MapKey::I64(key)),
        Ok(Proto::U32(key)) => Some(MapKey::U32(key)),
        Ok(Proto::U64(key)) => Some(MapKey::U64(key)),
        Ok(_) | Err(_) => key.parse().ok().map(MapKey::Bool),
    }
}
