//! Parts of a document: `name,cluster.name`.
use serde_json::{Map, Value};

/// Only the fields that `mask` names; lists are gone through, `@type` stays.
pub(super) fn keep(value: &Value, mask: &str) -> Value {
    let paths: Vec<Vec<&str>> =
        mask.split(',').map(|path| path.trim().split('.').collect()).collect();
    let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    only(value, &paths)
}

fn only(value: &Value, paths: &[&[&str]]) -> Value {
    if paths.iter().any(|path| path.is_empty()) {
        return value.clone();
    }
    match value {
        Value::Array(items) => items.iter().map(|item| only(item, paths)).collect(),
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (name, value) in fields {
                let below: Vec<&[&str]> = paths
                    .iter()
                    .filter_map(|path| path.split_first())
                    .filter(|(first, _)| *first == name)
                    .map(|(_, rest)| rest)
                    .collect();
                if name == "@type" {
                    kept.insert(name.clone(), value.clone());
                } else if !below.is_empty() {
                    kept.insert(name.clone(), only(value, &below));
                }
            }
            Value::Object(kept)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_named_goes() {
        let value = json!({"@type": "t", "a": {"b": 1, "c": 2}, "d": [{"e": 1, "f": 2}], "g": 3});
        assert_eq!(keep(&value, "a.b,d.e"), json!({"@type": "t", "a": {"b": 1}, "d": [{"e": 1}]}));
        assert_eq!(keep(&value, "g"), json!({"@type": "t", "g": 3}));
        assert_eq!(keep(&value, "nothing"), json!({"@type": "t"}));
    }
}
