//! `ServiceAccount` of core/v1: who workloads run as.
use super::{
    decode::decode,
    meta::{Meta, RawMeta, Scope},
    node::Node,
};
use crate::problem::{Origin, Problem, Source};
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    pub meta: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawServiceAccount {
    metadata: RawMeta,
    api_version: Option<Ignored>,
    automount_service_account_token: Option<bool>,
    image_pull_secrets: Option<Ignored>,
    kind: Option<Ignored>,
    secrets: Option<Ignored>,
}

impl ServiceAccount {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let raw: RawServiceAccount = decode(node, source)?;
        let mut problems = Vec::new();
        let origin = Origin::new(source, node.at);
        let meta = raw.metadata.check(origin, Scope::Namespaced, &mut problems);
        if problems.is_empty() { Ok(Self { meta }) } else { Err(problems) }
    }
}
