//! Where a person wrote a resource: it travels beside the resource and is no part of its version.
use culvert_proto::{Struct, Value, envoy::config::core::v3::Metadata, value::Kind};
use std::sync::Arc;

/// The key of ours in the metadata.
const KEY: &str = "culvert.dev/origin";

/// The field in it: `file:line`.
const FIELD: &str = "source";

pub(crate) fn read(metadata: Option<&Metadata>) -> Option<Arc<str>> {
    match metadata?.filter_metadata.get(KEY)?.fields.get(FIELD)?.kind.as_ref()? {
        Kind::StringValue(origin) => Some((**origin).into()),
        Kind::NullValue(_)
        | Kind::NumberValue(_)
        | Kind::BoolValue(_)
        | Kind::StructValue(_)
        | Kind::ListValue(_) => None,
    }
}

pub(crate) fn write(origin: &str) -> Metadata {
    let value = Value { kind: Some(Kind::StringValue(origin.to_owned())) };
    let ours = Struct { fields: [(FIELD.to_owned(), value)].into() };
    Metadata { filter_metadata: [(KEY.to_owned(), ours)].into() }
}
