//! An object as written: what is the same of every kind.
use super::{
    decode::decode,
    meta::{Meta, RawMeta, Scope},
    node::Node,
};
use crate::problem::{Origin, Problem, Source};
use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny as Ignored};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct Written<S> {
    metadata: RawMeta,
    spec: S,
    api_version: Option<String>,
    kind: Option<Ignored>,
    status: Option<Ignored>,
}

/// An object whose fields fit one by one.
pub(super) struct Read<S> {
    pub(super) meta: Meta,
    pub(super) spec: S,
    /// What is wrong with its metadata; more is found where its fields are looked at together.
    pub(super) problems: Vec<Problem>,
    /// `v1` of `apiVersion: group/v1`; empty where only the list says it.
    pub(super) version: String,
}

/// Reads an object whose `spec` is an `S`; one that may be missing is an `Option`.
///
/// # Errors
///
/// Every field that is unknown, missing or of another type.
pub(super) fn read<S: DeserializeOwned>(
    node: &Node,
    source: &Arc<Source>,
    scope: Scope,
) -> Result<Read<S>, Vec<Problem>> {
    let Written { metadata, spec, api_version, .. } = decode::<Written<S>>(node, source)?;
    let mut problems = Vec::new();
    let meta = metadata.check(Origin::new(source, node.at), scope, &mut problems);
    let version = api_version.unwrap_or_default();
    let version = version.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Read { meta, spec, problems, version })
}
