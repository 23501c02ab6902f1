//! Which rule is asked first.
//!
//! The specification's order: the longer host name, then how exactly the path is said, whether a
//! method is, how many headers and query parameters; then the older route, its name, and the order
//! in which it was written.
use crate::{
    compile::http::plan::{
        matching::{HttpMatch, PathMatch},
        rule::HttpRule,
    },
    object::{
        gateway_api::{
            grpc_route::{GrpcMatch, MethodMatch},
            header::TextMatch,
        },
        meta::Meta,
    },
};
use std::{cmp::Reverse, sync::Arc};

/// How specific a match is; what is greater is first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Specific([usize; 6]);

/// A rule with one match, and what it is ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranked {
    pub(super) rule: HttpRule,
    pub(super) specific: Specific,
    /// Age and name of the route.
    pub(super) seniority: (Option<Arc<str>>, Arc<str>),
    /// Which rule and which match of it.
    pub(super) position: (usize, usize),
}

impl Specific {
    pub(super) fn of_http(one: &HttpMatch) -> Self {
        // Expressions come behind what can be compared, for there is no telling how much they
        // match; but before what is for every path.
        let (exact, prefix, regex) = match &one.path {
            PathMatch::Exact(path) => (path.len(), 0, 0),
            PathMatch::Segments(path) | PathMatch::Prefix(path) => (0, path.len(), 0),
            PathMatch::Regex(path) => (0, 0, path.len()),
            PathMatch::Any => (0, 0, 0),
        };
        let method = usize::from(one.method.is_some());
        Self([exact, prefix, regex, method, one.headers.len(), one.query.len()])
    }

    pub(super) fn of_grpc(one: &GrpcMatch) -> Self {
        let method = one.method.as_ref().map(|method| &method.value);
        let exact = method.filter(|method| method.how == TextMatch::Exact);
        let long = |text: Option<&str>| text.map_or(0, str::len);
        let of = |method: Option<&MethodMatch>| {
            let service = long(method.and_then(|method| method.service.as_deref()));
            (service, long(method.and_then(|method| method.method.as_deref())))
        };
        let ((service, name), (any_service, any_name)) = (of(exact), of(method));
        Self([service, name, any_service, any_name, one.headers.len(), 0])
    }
}

impl Ranked {
    fn key(&self) -> (Reverse<Specific>, bool, Option<&str>, &str, (usize, usize)) {
        let (age, name) = &self.seniority;
        // What has no age was there before what has one.
        (Reverse(self.specific), age.is_some(), age.as_deref(), name, self.position)
    }
}

/// What a route is older than others by.
pub(super) fn seniority(meta: &Meta) -> (Option<Arc<str>>, Arc<str>) {
    (meta.created.as_deref().map(Arc::from), meta.name.to_string().into())
}

/// The rules, the first that is asked first.
pub(super) fn in_order(mut rules: Vec<Ranked>) -> Vec<HttpRule> {
    rules.sort_by(|one, other| one.key().cmp(&other.key()));
    rules.into_iter().map(|ranked| ranked.rule).collect()
}
