//! Where a person wrote a resource: it travels beside the resource and is no part of its version.
use culvert_model::authz::Origin;
use culvert_proto::{ListValue, Struct, Value, envoy::config::core::v3::Metadata, value::Kind};

/// The key of ours in the metadata.
const KEY: &str = "culvert.dev/origin";

/// The field in it: `file:line`.
const FIELD: &str = "source";

/// The field in it of the lines of rules.
const RULES: &str = "rules";

pub(crate) fn read(metadata: Option<&Metadata>) -> Option<Origin> {
    let fields = &metadata?.filter_metadata.get(KEY)?.fields;
    let Kind::StringValue(at) = fields.get(FIELD)?.kind.as_ref()? else { return None };
    let rules = match fields.get(RULES).and_then(|rules| rules.kind.as_ref()) {
        Some(Kind::ListValue(ListValue { values })) => values.iter().map_while(line).collect(),
        Some(_) | None => Default::default(),
    };
    Some(Origin { at: (**at).into(), rules })
}

pub(crate) fn write(Origin { at, rules }: &Origin) -> Metadata {
    let value = |kind| Value { kind: Some(kind) };
    let mut fields = vec![(FIELD.to_owned(), value(Kind::StringValue((**at).to_owned())))];
    if !rules.is_empty() {
        let values = rules.iter().map(|line| value(Kind::NumberValue(f64::from(*line)))).collect();
        fields.push((RULES.to_owned(), value(Kind::ListValue(ListValue { values }))));
    }
    let ours = Struct { fields: fields.into_iter().collect() };
    Metadata { filter_metadata: [(KEY.to_owned(), ours)].into() }
}

/// A number that can be a line: written without a point and not too large.
fn line(value: &Value) -> Option<u32> {
    match value.kind.as_ref()? {
        Kind::NumberValue(line) => format!("{line}").parse().ok(),
        Kind::NullValue(_)
        | Kind::StringValue(_)
        | Kind::BoolValue(_)
        | Kind::StructValue(_)
        | Kind::ListValue(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_arrives() {
        let origins =
            [Origin::from("a.yaml:1"), Origin { at: "b:2".into(), rules: [7, u32::MAX].into() }];
        for origin in origins {
            assert_eq!(read(Some(&write(&origin))), Some(origin));
        }
        assert_eq!(read(None), None);
    }

    #[test]
    fn lines_that_are_none_end_the_list() {
        let mut metadata = write(&Origin { at: "b:2".into(), rules: [7, 8].into() });
        let ours = metadata.filter_metadata.get_mut(KEY).unwrap();
        let number = |number| Value { kind: Some(Kind::NumberValue(number)) };
        let values = [7.0, 1.5, -1.0, f64::NAN, 1e300].map(number).into();
        ours.fields
            .insert(RULES.to_owned(), Value { kind: Some(Kind::ListValue(ListValue { values })) });
        assert_eq!(read(Some(&metadata)).map(|origin| origin.rules), Some([7].into()));
    }
}
