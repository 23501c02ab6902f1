//! `Namespace` of core/v1.
use super::{
    decode::decode,
    meta::{Meta, RawMeta, Scope},
    node::Node,
};
use crate::problem::{Origin, Problem, Source};
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::sync::Arc;

/// A namespace: what it is called and labelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    pub meta: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawNamespace {
    api_version: Option<Ignored>,
    kind: Option<Ignored>,
    metadata: RawMeta,
    spec: Option<RawSpec>,
    status: Option<RawStatus>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawSpec {
    finalizers: Option<Ignored>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawStatus {
    conditions: Option<Ignored>,
    phase: Option<Ignored>,
}

impl Namespace {
    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let raw: RawNamespace = decode(node, source)?;
        let mut problems = Vec::new();
        let meta = raw.metadata.check(Origin::new(source, node.at), Scope::Cluster, &mut problems);
        if problems.is_empty() { Ok(Self { meta }) } else { Err(problems) }
    }
}
