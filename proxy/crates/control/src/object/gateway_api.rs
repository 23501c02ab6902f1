//! The Gateway API: routes, and what they are attached to.
//!
//! Types have the shape that is written; what their schema demands of single fields they show by
//! being there, and what it demands of several together is checked when an object is read.
//! Fields of the experimental channel are read, too.
//!
//! Reading order: [`text`], [`few`], [`duration`] (words), [`reference`], [`header`], [`filter`]
//! (parts), then one module for each kind.
use super::{
    decode::decode,
    meta::{Meta, RawMeta, Scope},
    node::Node,
    spanned::Spanned,
};
use crate::problem::{Origin, Problem, Source};
use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny as Ignored};
use std::{collections::BTreeSet, sync::Arc};

pub mod text;

pub mod few;

pub mod duration;

pub mod reference;

pub mod selector;

pub mod header;

pub mod filter;

pub mod persistence;

pub mod gateway_class;

pub mod gateway;

pub mod http_route;

pub mod grpc_route;

pub mod stream_route;

pub mod reference_grant;

pub mod backend_tls_policy;

#[cfg(test)]
mod tests;

/// The group of all of these kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// An object as written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct Written<S> {
    metadata: RawMeta,
    spec: S,
    api_version: String,
    kind: Option<Ignored>,
    status: Option<Ignored>,
}

/// An object whose fields fit one by one.
struct Read<S> {
    meta: Meta,
    spec: S,
    problems: Vec<Problem>,
    version: String,
}

fn read<S: DeserializeOwned>(
    node: &Node,
    source: &Arc<Source>,
    scope: Scope,
) -> Result<Read<S>, Vec<Problem>> {
    let Written { metadata, spec, api_version, .. } = decode::<Written<S>>(node, source)?;
    let mut problems = Vec::new();
    let meta = metadata.check(Origin::new(source, node.at), scope, &mut problems);
    let version = api_version.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Read { meta, spec, problems, version })
}

/// What only one item of a list may be called.
fn each_once<'a, T: 'a>(
    items: impl IntoIterator<Item = &'a Spanned<T>>,
    name: impl Fn(&'a T) -> &'a str,
    meta: &Meta,
    problems: &mut Vec<Problem>,
) {
    let mut names = BTreeSet::new();
    for item in items {
        let name = name(&item.value);
        if !names.insert(name) {
            problems.push(meta.at(item.at).error(format!("`{name}` is there already")));
        }
    }
}
