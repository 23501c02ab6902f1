//! `HTTPRoute`: which requests go where.
use super::{
    duration::Duration,
    few::Few,
    filter::Filter,
    header::{HeaderMatch, TextMatch},
    persistence::SessionPersistence,
    reference::{FilteredRef, ParentRef},
    text::{HeaderName, Hostname, QueryValue, SectionName},
};
use crate::{
    object::{
        meta::{Meta, Scope},
        node::Node,
        spanned::Spanned,
        written::{Read, read},
    },
    problem::{Problem, Source},
};
use serde::Deserialize;
use std::sync::Arc;

mod check;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRoute {
    pub meta: Meta,
    pub spec: HttpRouteSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    #[serde(default)]
    pub parent_refs: Few<Spanned<ParentRef>, 0, 32>,
    /// Of the experimental channel.
    pub use_default_gateways: Option<Spanned<DefaultScope>>,
    #[serde(default)]
    pub hostnames: Few<Spanned<Hostname>, 0, 16>,
    /// `None`: one that matches everything, and goes nowhere.
    rules: Option<Few<Spanned<HttpRule>, 1, 16>>,
}

/// Whether routes that name no gateway are of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DefaultScope {
    All,
    None,
}

/// Requests that match any of `matches` go to `backend_refs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRule {
    pub name: Option<SectionName>,
    /// `None`: one that matches everything.
    matches: Option<Few<Spanned<HttpMatch>, 0, 64>>,
    pub filters: Few<Spanned<Filter>, 0, 16>,
    pub backend_refs: Few<Spanned<FilteredRef<Filter>>, 0, 16>,
    pub timeouts: Option<Spanned<Timeouts>>,
    /// Of the experimental channel.
    pub retry: Option<Retry>,
    /// Of the experimental channel.
    pub session_persistence: Option<SessionPersistence>,
}

/// All of it must be so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatch {
    path: Option<Spanned<RawPath>>,
    pub headers: Few<Spanned<HeaderMatch>, 0, 16>,
    pub query_params: Few<Spanned<QueryMatch>, 0, 16>,
    pub method: Option<Method>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct RawPath {
    #[serde(rename = "type", default)]
    how: PathKind,
    value: Option<PathValue>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum PathKind {
    Exact,
    /// Whole segments: `/a` matches `/a/b`, and not `/ab`.
    #[default]
    PathPrefix,
    RegularExpression,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct PathValue(String);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct QueryMatch {
    pub name: HeaderName,
    #[serde(rename = "type", default)]
    pub how: TextMatch,
    pub value: QueryValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

/// How long is waited; zero: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    pub request: Option<Duration>,
    pub backend_request: Option<Duration>,
}

/// What is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retry {
    pub codes: Vec<RetryCode>,
    pub attempts: Option<u32>,
    pub backoff: Option<Duration>,
}

/// A status of an answer that is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u16")]
pub struct RetryCode(pub u16);

impl TryFrom<String> for PathValue {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        match written.chars().count() {
            0..=1024 => Ok(Self(written)),
            long => Err(format!("{long} characters are too many: at most 1024 fit")),
        }
    }
}

impl TryFrom<u16> for RetryCode {
    type Error = String;

    fn try_from(code: u16) -> Result<Self, String> {
        match code {
            400..=599 => Ok(Self(code)),
            _ => Err(format!("{code} is no status of a failure: want one from 400 to 599")),
        }
    }
}

impl HttpRoute {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let route = Self { meta, spec };
        route.check(&mut problems);
        if problems.is_empty() { Ok(route) } else { Err(problems) }
    }

    /// Where each begins, too.
    #[must_use]
    pub fn rules(&self) -> &[Spanned<HttpRule>] {
        self.spec.rules.as_deref().unwrap_or_default()
    }
}

impl HttpRule {
    /// Requests that match one of them are meant; `None`: all.
    #[must_use]
    pub fn matches(&self) -> Option<&[Spanned<HttpMatch>]> {
        self.matches.as_deref().filter(|matches| !matches.is_empty())
    }
}

impl HttpMatch {
    /// How the path is compared, and with what.
    #[must_use]
    pub fn path(&self) -> (PathKind, &str) {
        match &self.path {
            None => (PathKind::PathPrefix, "/"),
            Some(path) => path.value.parts(),
        }
    }
}

impl RawPath {
    fn parts(&self) -> (PathKind, &str) {
        (self.how, self.value.as_ref().map_or("/", |value| value.0.as_str()))
    }
}
