//! What the fields of a route demand of each other.
use super::{HttpMatch, HttpRoute, HttpRule, PathKind, Timeouts};
use crate::{
    object::{
        gateway_api::{
            each_once,
            filter::{self, Filter, PathModifier},
            reference,
        },
        meta::Meta,
        spanned::Spanned,
    },
    problem::{Mark, Problem},
};

/// Of all rules together.
const MAX_MATCHES: usize = 128;

impl HttpRoute {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        let Self { meta, spec } = self;
        reference::parts(&spec.parent_refs, meta, problems);
        let mut matches = 0;
        for rule in self.rules() {
            matches += rule.value.matches.as_ref().map_or(1, |matches| matches.len());
            if matches > MAX_MATCHES {
                let message = format!("more than {MAX_MATCHES} matches in all rules: {matches}");
                let problem = meta.at(rule.at).error(message);
                problems.push(problem.with_fix("make two routes of it"));
                break;
            }
        }
        for rule in self.rules() {
            rule.value.check(meta, problems);
        }
    }
}

impl HttpRule {
    fn check(&self, meta: &Meta, problems: &mut Vec<Problem>) {
        for one in self.matches().unwrap_or_default() {
            one.value.check(meta, problems);
        }
        filter::check(marked(&self.filters), meta, problems);
        let redirect = self.filters.iter().find(|one| matches!(one.value, Filter::Redirect(_)));
        if let Some(redirect) = redirect
            && !self.backend_refs.is_empty()
        {
            let message = "RequestRedirect answers by itself: there can be no backendRefs";
            problems.push(meta.at(redirect.at).error(message));
        }
        let mut filters: Vec<&Spanned<Filter>> = self.filters.iter().collect();
        for backend in self.backend_refs.iter() {
            backend.value.check(backend.at, meta, problems);
            filter::check(marked(&backend.value.filters), meta, problems);
            filters.extend(backend.value.filters.iter());
        }
        if !self.has_one_prefix() {
            for filter in filters {
                if let Some(PathModifier::Prefix(_)) = filter.value.path() {
                    let message = "replacePrefixMatch needs exactly one match, by PathPrefix";
                    problems.push(meta.at(filter.at).error(message));
                }
            }
        }
        if let Some(timeouts) = &self.timeouts {
            timeouts.value.check(timeouts.at, meta, problems);
        }
        if let Some(persistence) = &self.session_persistence {
            persistence.check(meta, problems);
        }
    }

    /// Whether what matched is one prefix.
    fn has_one_prefix(&self) -> bool {
        match self.matches.as_deref() {
            None => true,
            Some([one]) => one.value.path().0 == PathKind::PathPrefix,
            Some(_) => false,
        }
    }
}

fn marked(filters: &[Spanned<Filter>]) -> impl Iterator<Item = (&Filter, Mark)> {
    filters.iter().map(|filter| (&filter.value, filter.at))
}

impl HttpMatch {
    fn check(&self, meta: &Meta, problems: &mut Vec<Problem>) {
        each_once(self.headers.iter(), |header| &header.name, meta, problems);
        each_once(self.query_params.iter(), |query| &query.name, meta, problems);
        let Some(Spanned { value: path, at }) = &self.path else { return };
        let (kind, value) = path.parts();
        if kind == PathKind::RegularExpression {
            return;
        }
        if let Some(message) = wrong_path(value) {
            problems.push(meta.at(*at).error(message));
        }
    }
}

/// Why no request can have this path, if none can.
fn wrong_path(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return Some(format!("`{path}` does not begin with /"));
    }
    for never in ["//", "/./", "/../", "%2f", "%2F", "#"] {
        if path.contains(never) {
            return Some(format!("a path never has `{never}` when it is compared"));
        }
    }
    if path.ends_with("/..") || path.ends_with("/.") {
        return Some("a path never ends in `/.` or `/..` when it is compared".to_owned());
    }
    let mut left = path.bytes();
    while let Some(byte) = left.next() {
        let is_fine = match byte {
            b'%' => (0..2).all(|_| left.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&byte),
        };
        if !is_fine {
            return Some("a path has letters, digits, -/._~!$&'()*+,;=:@ and %XX".to_owned());
        }
    }
    None
}

impl Timeouts {
    fn check(self, at: Mark, meta: &Meta, problems: &mut Vec<Problem>) {
        let (Some(request), Some(backend)) = (self.request, self.backend_request) else { return };
        if !request.0.is_zero() && backend > request {
            let message = "backendRequest is longer than request, which all tries must fit in";
            problems.push(meta.at(at).error(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::wrong_path;

    #[test]
    fn paths_are_those_that_requests_can_have() {
        for good in ["/", "/a/b", "/%20a", "/a.b/..c", "/a:b@c"] {
            assert_eq!(wrong_path(good), None, "{good}");
        }
        for bad in
            ["", "a", "//", "/a/./b", "/a/..", "/a/.", "/%2Fa", "/a#b", "/a b", "/%2", "/ä", "/a?b"]
        {
            assert!(wrong_path(bad).is_some(), "{bad}");
        }
    }
}
