//! Structs and metadata.
use super::{Got, Path, Wrong, basic::must};
use culvert_model::http::matcher::ValueRange;
use culvert_model::http::value::{DoubleMatch, Metadata, MetadataMatch, Value, ValueMatch};
use culvert_proto::api::{
    envoy::{
        config::core::v3 as core,
        r#type::{
            matcher::v3::{
                self as matcher, double_matcher, list_matcher, metadata_matcher::path_segment,
                value_matcher::MatchPattern,
            },
            metadata::v3::{MetadataKey, metadata_key},
        },
    },
    google::protobuf::{self as pb, value::Kind},
};
use std::{collections::BTreeMap, sync::Arc};

/// A struct as a value.
#[must_use]
pub fn structure(value: &pb::Struct) -> Value {
    let fields: BTreeMap<_, _> =
        (value.fields.iter()).map(|(key, value)| (key.as_str().into(), of(value))).collect();
    Value::Struct(Arc::new(fields))
}

pub(super) fn of(value: &pb::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => Value::Number(*number),
        Some(Kind::StringValue(text)) => Value::String(text.as_str().into()),
        Some(Kind::BoolValue(value)) => Value::Bool(*value),
        Some(Kind::StructValue(value)) => structure(value),
        Some(Kind::ListValue(list)) => Value::List(list.values.iter().map(of).collect()),
    }
}

/// Typed metadata is for extensions that we do not have.
pub(super) fn metadata(value: &Option<core::Metadata>) -> Metadata {
    let Some(value) = value else { return Metadata::default() };
    let filters = value.filter_metadata.iter();
    Metadata::new(filters.map(|(key, value)| (key.as_str().into(), structure(value))).collect())
}

/// The fields of a struct, in the order of their names.
pub(super) fn fields(value: &Option<pb::Struct>) -> Vec<(Arc<str>, Value)> {
    let mut fields: Vec<(Arc<str>, Value)> = (value.iter().flat_map(|value| &value.fields))
        .map(|(key, value)| (key.as_str().into(), of(value)))
        .collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields
}

/// Namespace and path.
pub(super) type Key = (Arc<str>, Box<[Arc<str>]>);

pub(super) fn key(value: &MetadataKey, path: &Path<'_>) -> Got<Key> {
    let keys =
        super::basic::each(&value.path, &path.field("path"), |segment, path| {
            match &segment.segment {
                Some(metadata_key::path_segment::Segment::Key(key)) => Ok(key.as_str().into()),
                Some(metadata_key::path_segment::Segment::Index(_)) => {
                    Err(Wrong::at(&path.field("index"), "only keys are supported"))
                }
                None => Err(Wrong::at(path, "not set")),
            }
        })?;
    Ok((value.key.as_str().into(), keys))
}

pub(super) fn metadata_match(
    value: &matcher::MetadataMatcher,
    path: &Path<'_>,
) -> Got<MetadataMatch> {
    let keys = super::basic::each(&value.path, &path.field("path"), |segment, path| {
        let path_segment::Segment::Key(key) = must(&segment.segment, path)?;
        Ok(key.as_str().into())
    })?;
    let at = path.field("value");
    Ok(MetadataMatch {
        filter: value.filter.as_str().into(),
        path: keys,
        value: value_match(must(&value.value, &at)?, &at)?,
        invert: value.invert,
    })
}

fn value_match(value: &matcher::ValueMatcher, path: &Path<'_>) -> Got<ValueMatch> {
    Ok(match must(&value.match_pattern, path)? {
        MatchPattern::NullMatch(_) => ValueMatch::Null,
        MatchPattern::DoubleMatch(double) => {
            ValueMatch::Double(match must(&double.match_pattern, &path.field("double_match"))? {
                double_matcher::MatchPattern::Exact(number) => DoubleMatch::Exact(*number),
                double_matcher::MatchPattern::Range(range) => {
                    DoubleMatch::Range(ValueRange { start: range.start, end: range.end })
                }
            })
        }
        MatchPattern::StringMatch(text) => {
            ValueMatch::String(super::text::string(text, &path.field("string_match"))?)
        }
        MatchPattern::BoolMatch(value) => ValueMatch::Bool(*value),
        MatchPattern::PresentMatch(value) => ValueMatch::Present(*value),
        MatchPattern::ListMatch(list) => {
            let path = path.field("list_match");
            let list_matcher::MatchPattern::OneOf(one) = must(&list.match_pattern, &path)?;
            ValueMatch::OneOf(Box::new(value_match(one, &path.field("one_of"))?))
        }
        MatchPattern::OrMatch(or) => {
            let path = path.field("or_match");
            let path = path.field("value_matchers");
            ValueMatch::Or(super::basic::each(&or.value_matchers, &path, value_match)?)
        }
    })
}
