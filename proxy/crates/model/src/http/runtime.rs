//! Values that operators change while the process runs.
use super::value::Value;
use std::{collections::BTreeMap, sync::Arc};

/// The layers of the runtime, flattened; later ones count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuntimeValues {
    layers: Arc<[RuntimeLayer]>,
    /// By key: the value that counts.
    values: Arc<BTreeMap<Arc<str>, Value>>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeLayer {
    pub name: Arc<str>,
    /// By dotted key.
    pub values: Arc<BTreeMap<Arc<str>, Value>>,
}

impl RuntimeValues {
    /// The later a layer, the more it counts.
    pub fn new(layers: Vec<RuntimeLayer>) -> Self {
        let mut values = BTreeMap::new();
        for layer in &layers {
            let entries = layer.values.iter();
            values.extend(entries.map(|(key, value)| (Arc::clone(key), value.clone())));
        }
        Self { layers: layers.into(), values: Arc::new(values) }
    }

    pub fn layers(&self) -> &[RuntimeLayer] {
        &self.layers
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// In the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Value)> {
        self.values.iter()
    }

    /// `None` also when the value is no boolean.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(value) => Some(*value),
            Value::String(value) => value.parse().ok(),
            Value::Null | Value::Number(_) | Value::List(_) | Value::Struct(_) => None,
        }
    }

    /// `None` also when the value is no number.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.get(key)? {
            Value::Number(value) => Some(*value),
            Value::String(value) => value.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Struct(_) => None,
        }
    }
}

impl RuntimeLayer {
    /// A layer of the fields of `value`; nested fields make dotted keys, a fractional percent
    /// (`numerator`, `denominator`) stays whole.
    pub fn new(name: Arc<str>, value: &Value) -> Self {
        let mut values = BTreeMap::new();
        flatten("", value, &mut values);
        Self { name, values: Arc::new(values) }
    }
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<Arc<str>, Value>) {
    let leaf = |into: &mut BTreeMap<_, _>| {
        if !prefix.is_empty() {
            into.insert(prefix.into(), value.clone());
        }
    };
    let Value::Struct(fields) = value else { return leaf(into) };
    if !fields.is_empty() && fields.keys().all(|key| matches!(&**key, "numerator" | "denominator"))
    {
        return leaf(into);
    }
    for (key, value) in fields.iter() {
        match prefix {
            "" => flatten(key, value, into),
            prefix => flatten(&format!("{prefix}.{key}"), value, into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
        Value::Struct(Arc::new(
            fields.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        ))
    }

    #[test]
    fn later_layers_count_and_nested_fields_are_dotted_keys() {
        let percent = fields([
            ("numerator", Value::Number(5.0)),
            ("denominator", Value::String("HUNDRED".into())),
        ]);
        let first = fields([
            ("fault", fields([("abort", Value::Number(1.0)), ("delay", percent.clone())])),
            ("on", Value::Bool(true)),
        ]);
        let second = fields([("fault.abort", Value::String("7".into()))]);
        let values = RuntimeValues::new(vec![
            RuntimeLayer::new("static".into(), &first),
            RuntimeLayer::new("admin".into(), &second),
        ]);
        assert_eq!(values.number("fault.abort"), Some(7.0));
        assert_eq!(values.get("fault.delay"), Some(&percent));
        assert_eq!(values.bool("on"), Some(true));
        assert_eq!(values.number("on"), None);
        assert_eq!(values.bool("absent"), None);
    }
}
