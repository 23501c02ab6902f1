//! Which field of an object a value is.
//!
//! Values are numbered as they are met: an object or a list before what is in it.
use serde_json::Value;

/// The path of the value of a number: `spec.rules[0].from`; empty: the whole.
pub(super) fn of_value(json: &str, number: u32) -> Option<String> {
    let root: Value = serde_json::from_str(json).ok()?;
    let mut left = number;
    find(&root, &mut left, &mut String::new())
}

fn find(value: &Value, left: &mut u32, path: &mut String) -> Option<String> {
    if *left == 0 {
        return Some(path.clone());
    }
    *left -= 1;
    let length = path.len();
    let mut within = |value: &Value, part: &str| {
        path.push_str(part);
        let found = find(value, left, path);
        path.truncate(length);
        found
    };
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let is_plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let part = match (is_plain, length) {
                (true, 0) => key.clone(),
                (true, _) => format!(".{key}"),
                (false, _) => format!("[{key:?}]"),
            };
            within(value, &part)
        }),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| within(item, &format!("[{index}]")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
