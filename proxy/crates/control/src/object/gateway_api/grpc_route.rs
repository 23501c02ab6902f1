//! `GRPCRoute`: which calls go where.
use super::{
    each_once,
    few::Few,
    filter::{self, GrpcFilter},
    header::{HeaderMatch, TextMatch},
    http_route::DefaultScope,
    persistence::SessionPersistence,
    reference::{self, FilteredRef, ParentRef},
    text::{GrpcName, Hostname, SectionName},
};
use crate::{
    object::{
        meta::{Meta, Scope},
        node::Node,
        spanned::Spanned,
        written::{Read, read},
    },
    problem::{Mark, Problem, Source},
};
use serde::Deserialize;
use std::sync::Arc;

/// Of all rules together.
const MAX_MATCHES: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcRoute {
    pub meta: Meta,
    pub spec: GrpcRouteSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteSpec {
    #[serde(default)]
    pub parent_refs: Few<Spanned<ParentRef>, 0, 32>,
    /// Of the experimental channel.
    pub use_default_gateways: Option<Spanned<DefaultScope>>,
    #[serde(default)]
    pub hostnames: Few<Spanned<Hostname>, 0, 16>,
    #[serde(default)]
    pub rules: Few<Spanned<GrpcRule>, 0, 16>,
}

/// Calls that match any of `matches`, or all, go to `backend_refs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRule {
    pub name: Option<SectionName>,
    pub matches: Few<Spanned<GrpcMatch>, 0, 64>,
    pub filters: Few<Spanned<GrpcFilter>, 0, 16>,
    pub backend_refs: Few<Spanned<FilteredRef<GrpcFilter>>, 0, 16>,
    /// Of the experimental channel.
    pub session_persistence: Option<SessionPersistence>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GrpcMatch {
    pub method: Option<Spanned<MethodMatch>>,
    pub headers: Few<Spanned<HeaderMatch>, 0, 16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct MethodMatch {
    #[serde(rename = "type", default)]
    pub how: TextMatch,
    pub service: Option<GrpcName>,
    pub method: Option<GrpcName>,
}

impl GrpcRoute {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let route = Self { meta, spec };
        route.check(&mut problems);
        if problems.is_empty() { Ok(route) } else { Err(problems) }
    }

    fn check(&self, problems: &mut Vec<Problem>) {
        let Self { meta, spec } = self;
        reference::parts(&spec.parent_refs, meta, problems);
        let mut matches = 0;
        for rule in spec.rules.iter() {
            matches += rule.value.matches.len();
            if matches > MAX_MATCHES {
                let message = format!("more than {MAX_MATCHES} matches in all rules: {matches}");
                let problem = meta.at(rule.at).error(message);
                problems.push(problem.with_fix("make two routes of it"));
                break;
            }
        }
        for rule in spec.rules.iter() {
            rule.value.check(meta, problems);
        }
    }
}

impl GrpcRule {
    fn check(&self, meta: &Meta, problems: &mut Vec<Problem>) {
        for one in self.matches.iter() {
            each_once(one.value.headers.iter(), |header| &header.name, meta, problems);
            if let Some(Spanned { value: method, at }) = &one.value.method
                && let Some(message) = method.wrong()
            {
                problems.push(meta.at(*at).error(message));
            }
        }
        filter::check(marked(&self.filters), meta, problems);
        for backend in self.backend_refs.iter() {
            backend.value.check(backend.at, meta, problems);
            filter::check(marked(&backend.value.filters), meta, problems);
        }
        if let Some(persistence) = &self.session_persistence {
            persistence.check(meta, problems);
        }
    }
}

fn marked(filters: &[Spanned<GrpcFilter>]) -> impl Iterator<Item = (&filter::Filter, Mark)> {
    filters.iter().map(|filter| (&filter.value.0, filter.at))
}

impl MethodMatch {
    /// Why no call can be meant.
    fn wrong(&self) -> Option<String> {
        let Self { how, service, method } = self;
        if service.is_none() && method.is_none() {
            return Some("neither service nor method is said".to_owned());
        }
        if *how == TextMatch::RegularExpression {
            return None;
        }
        let is_word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && word.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        };
        // A dot before all of it is how descriptors write whole names.
        let is_service =
            |name: &str| name.strip_prefix('.').unwrap_or(name).split('.').all(is_word);
        if let Some(name) = service.as_deref().filter(|name| !is_service(name)) {
            return Some(format!("`{name}` is no service: want words, joined by dots"));
        }
        let name = method.as_deref().filter(|name| !is_word(name))?;
        Some(format!("`{name}` is no method: want letters, digits and _"))
    }
}
