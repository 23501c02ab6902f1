//! `/runtime`, `/runtime_modify`.
use super::{Admin, Answer, query::Query};
use axum::http::StatusCode;
use culvert_model::http::{runtime::RuntimeLayer, value::Value};
use culvert_xds::envoy::bootstrap::{Bootstrap, Layer};
use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

/// What operators have set.
#[derive(Debug)]
pub(super) struct Modified {
    /// The layer of the bootstrap that it goes into; `None`: there is none for it.
    layer: Option<Arc<str>>,
    values: BTreeMap<Arc<str>, Value>,
}

impl Modified {
    pub(super) fn new(bootstrap: &Bootstrap) -> Self {
        let layer = bootstrap.runtime.iter().find_map(|layer| match layer {
            Layer::Admin { name } => Some(Arc::clone(name)),
            Layer::Static(_) | Layer::Disk { .. } | Layer::Discovered { .. } => None,
        });
        Self { layer, values: BTreeMap::new() }
    }
}

/// `/runtime`: each key with the value that counts and that of each layer.
pub(super) fn answer(admin: &Admin) -> Answer {
    let runtime = admin.around.shared.runtime();
    let layers: Vec<_> = runtime.layers().iter().map(|layer| &*layer.name).collect();
    let entry = |key: &Arc<str>, value: &Value| {
        let of = |layer: &RuntimeLayer| layer.values.get(key).map(written).unwrap_or_default();
        let values: Vec<_> = runtime.layers().iter().map(of).collect();
        (key.to_string(), json!({ "layer_values": values, "final_value": written(value) }))
    };
    let entries: Map<String, Json> = runtime.iter().map(|(key, value)| entry(key, value)).collect();
    Answer::json(&json!({ "layers": layers, "entries": entries }))
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Struct(_) => {
            value.to_string()
        }
    }
}

/// `/runtime_modify`.
pub(super) fn modify(admin: &Admin, query: &Query) -> Answer {
    if query.is_empty() {
        return Answer::bad(
            "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n       or send the \
             parameters as form values\nuse an empty value to remove a previously added override",
        );
    }
    let mut modified = admin.modified.lock();
    let Some(name) = modified.layer.clone() else {
        return Answer::text(StatusCode::SERVICE_UNAVAILABLE, "No admin layer specified");
    };
    for (key, value) in query.iter() {
        match value {
            "" => drop(modified.values.remove(key)),
            value => drop(modified.values.insert(key.into(), read(value))),
        }
    }
    let values = Arc::new(modified.values.clone());
    admin.around.discovery.set_layer(&RuntimeLayer { name, values });
    Answer::ok("OK\n")
}

/// Numbers and truth are what they look like.
fn read(text: &str) -> Value {
    match (text.parse::<f64>(), text.parse::<bool>()) {
        (Ok(number), _) => Value::Number(number),
        (_, Ok(truth)) => Value::Bool(truth),
        _ => Value::String(text.into()),
    }
}
