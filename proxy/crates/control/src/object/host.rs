//! `Node` of core/v1: where it is.
use super::{
    decode::decode,
    meta::{Meta, RawMeta, Scope},
    node::Node as Tree,
};
use crate::problem::{Origin, Problem, Source};
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::sync::Arc;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub meta: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawHost {
    metadata: RawMeta,
    api_version: Option<Ignored>,
    kind: Option<Ignored>,
    spec: Option<Ignored>,
    status: Option<Ignored>,
}

impl Host {
    pub(super) fn read(node: &Tree, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let raw: RawHost = decode(node, source)?;
        let mut problems = Vec::new();
        let meta = raw.metadata.check(Origin::new(source, node.at), Scope::Machine, &mut problems);
        if problems.is_empty() { Ok(Self { meta }) } else { Err(problems) }
    }
}
