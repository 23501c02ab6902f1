//! An object of an API as a tree: the same as of text, without lines.
use super::node::{Entry, Node, Value};
use crate::problem::{Mark, Origin, Problem, Source};
use serde_json::Value as Json;
use std::sync::Arc;

/// The tree of `source`, of which each value knows its number.
pub(super) fn parse(source: &Arc<Source>) -> Result<Node, Box<Problem>> {
    let origin = || Origin::new(source, Mark::value(0));
    let read: Json = serde_json::from_str(source.text())
        .map_err(|error| Box::new(origin().error(error.to_string())))?;
    Ok(node(read, &mut 0))
}

/// Numbers values as `problem/field.rs` finds them.
fn node(json: Json, number: &mut u32) -> Node {
    let at = Mark::value(*number);
    *number = number.saturating_add(1);
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool { value, raw: value.to_string().into() },
        Json::Number(written) => {
            let raw = written.to_string().into();
            let whole = written.as_i64().map(i128::from).or(written.as_u64().map(i128::from));
            match whole {
                Some(value) => Value::Int { value, raw },
                None => Value::Float { value: written.as_f64().unwrap_or(f64::NAN), raw },
            }
        }
        Json::String(text) => Value::Text(text.into()),
        Json::Array(items) => {
            Value::Seq(items.into_iter().map(|item| node(item, number)).collect())
        }
        Json::Object(fields) => {
            let entry = |(key, value): (String, Json), number: &mut u32| Entry {
                key_at: Mark::value(*number),
                key: key.into(),
                node: node(value, number),
            };
            Value::Map(fields.into_iter().map(|field| entry(field, number)).collect())
        }
    };
    Node { at, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value is found again by its number.
    #[test]
    fn a_value_knows_its_field() {
        let json = r#"{"a":[1,{"b.c":null,"d":[true]}],"e":"x","metadata":{"name":"y"}}"#;
        let source = Source::object("Thing x in the Kubernetes API", json.into());
        let tree = parse(&source).unwrap();
        let said = |node: &Node| Origin::new(&source, node.at).error("is wrong").to_string();
        let field = |node: &Node| {
            let said = said(node);
            let said = said.strip_prefix("Thing x in the Kubernetes API").unwrap();
            said.strip_suffix(": is wrong").unwrap().to_owned()
        };
        let Value::Seq(list) = &tree.get("a").unwrap().value else { panic!("no list") };
        let Value::Seq(inner) = &list[1].get("d").unwrap().value else { panic!("no list") };
        assert_eq!(field(&tree), "");
        assert_eq!(field(&list[0]), ", a[0]");
        assert_eq!(field(list[1].get("b.c").unwrap()), r#", a[1]["b.c"]"#);
        assert_eq!(field(&inner[0]), ", a[1].d[0]");
        assert_eq!(field(tree.get("e").unwrap()), ", e");
        assert_eq!(field(tree.get("metadata").unwrap().get("name").unwrap()), "");
    }
}
