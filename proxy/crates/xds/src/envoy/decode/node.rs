//! Who we say we are.
use super::value::structure;
use culvert_model::{
    http::{
        source::Node,
        value::{Metadata, Value},
    },
    locality::Locality,
};
use culvert_proto::api::envoy::config::core::v3 as core;
use std::sync::Arc;

/// Decodes a node; its metadata is one struct, kept below the empty name.
#[must_use]
pub fn node(value: &core::Node) -> Node {
    let of = value.locality.as_ref();
    let part =
        |part: fn(&core::Locality) -> &String| Arc::from(of.map_or("", |of| part(of).as_str()));
    let metadata = match &value.metadata {
        Some(value) => Metadata::new([("".into(), structure(value))].into()),
        None => Metadata::new([("".into(), Value::Struct(Arc::default()))].into()),
    };
    Node {
        id: value.id.as_str().into(),
        cluster: value.cluster.as_str().into(),
        locality: Locality {
            region: part(|of| &of.region),
            zone: part(|of| &of.zone),
            subzone: part(|of| &of.sub_zone),
        },
        metadata,
    }
}
