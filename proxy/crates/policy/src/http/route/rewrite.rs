//! What path and host become on the way upstream.
use std::borrow::Cow;

use culvert_model::http::route::{Forward, HostRewrite, PathMatch, PathRewrite, WeightedCluster};

use crate::http::facts::{Fields, Head, bare};

/// The path that the upstream sees, with its query; `None`: as it is.
#[must_use]
pub fn rewritten_path(forward: &Forward, when: &PathMatch, path: &str) -> Option<String> {
    let just_path = bare(path);
    let rest = path.get(just_path.len()..).unwrap_or_default();
    let new = match &forward.path {
        PathRewrite::Keep => return None,
        PathRewrite::Prefix(new) => replaced_prefix(when, just_path, new),
        PathRewrite::Regex(substitution) => {
            let new = substitution.apply(just_path.as_bytes());
            Cow::Owned(String::from_utf8_lossy(&new).into_owned())
        }
    };
    Some(format!("{new}{rest}"))
}

/// The host that the upstream sees; `None`: as it is. `endpoint` is the endpoint's name, if it has
/// one.
#[must_use]
pub fn rewritten_host(
    forward: &Forward,
    weighted: Option<&WeightedCluster>,
    head: &Head<'_>,
    endpoint: Option<&str>,
) -> Option<String> {
    if let Some(host) = weighted.and_then(|one| one.host.as_deref()) {
        return Some(host.to_owned());
    }
    match &forward.host {
        HostRewrite::Keep => None,
        HostRewrite::Literal(host) => Some(host.to_string()),
        HostRewrite::Auto => endpoint.filter(|name| !name.is_empty()).map(str::to_owned),
        HostRewrite::Header(name) => {
            let value = std::str::from_utf8(head.first(name)?).ok()?;
            (!value.is_empty()).then(|| value.to_owned())
        }
        HostRewrite::PathRegex(substitution) => {
            let host = substitution.apply(head.bare_path().as_bytes());
            Some(String::from_utf8_lossy(&host).into_owned())
        }
    }
}

/// A path with what the route matched replaced: a prefix, or (exact paths, regexes) all of it.
pub(super) fn replaced_prefix<'a>(when: &PathMatch, path: &'a str, new: &'a str) -> Cow<'a, str> {
    let matched = match when {
        PathMatch::Prefix(text) | PathMatch::Separated(text) => text.as_str().len(),
        PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::Connect => path.len(),
    };
    match path.get(matched..) {
        None | Some("") => Cow::Borrowed(new),
        Some(rest) => Cow::Owned(format!("{new}{rest}")),
    }
}
