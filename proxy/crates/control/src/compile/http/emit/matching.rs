//! Which requests: matches of the plan as Envoy has them.
use super::{
    super::plan::matching::{HeaderMatch, HttpMatch, PathMatch, QueryMatch, Text, Wanted},
    words::{flag, is_name, is_regex, regex, text},
};
use culvert_proto::api::envoy::config::route::v3::{
    HeaderMatcher, QueryParameterMatcher, RouteMatch, header_matcher::HeaderMatchSpecifier,
    query_parameter_matcher::QueryParameterMatchSpecifier, route_match::PathSpecifier,
};

/// Envoy's limit of the name of a query parameter.
const LONGEST_PARAMETER: usize = 1024;

/// Every request.
pub(super) fn everything() -> RouteMatch {
    RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".into())), ..RouteMatch::default() }
}

/// `None`: no request is like that.
pub(super) fn http(of: &HttpMatch) -> Option<RouteMatch> {
    let HttpMatch {
        name: _,
        path,
        ignore_path_case,
        method,
        scheme,
        authority,
        headers,
        query,
        port: _,
        clients: _,
        counted: _,
    } = of;
    let pseudo = [(":method", method), (":scheme", scheme), (":authority", authority)];
    let pseudo = pseudo
        .into_iter()
        .filter_map(|(name, wanted)| wanted.as_ref().map(|wanted| value(name, wanted, false)));
    let headers = pseudo.chain(headers.iter().map(header)).collect::<Option<Vec<_>>>()?;
    Some(RouteMatch {
        path_specifier: Some(self::path(path)?),
        case_sensitive: ignore_path_case.then(|| flag(false)),
        headers: headers.into_iter().flatten().collect(),
        query_parameters: query.iter().map(self::query).collect::<Option<_>>()?,
        ..RouteMatch::default()
    })
}

fn path(path: &PathMatch) -> Option<PathSpecifier> {
    Some(match path {
        PathMatch::Any => PathSpecifier::Prefix("/".into()),
        PathMatch::Exact(path) => PathSpecifier::Path(path.to_string()),
        PathMatch::Prefix(prefix) => PathSpecifier::Prefix(prefix.to_string()),
        PathMatch::Segments(prefix) => match segments(prefix) {
            "" => PathSpecifier::Prefix("/".into()),
            prefix if is_separable(prefix) => PathSpecifier::PathSeparatedPrefix(prefix.into()),
            // No path has them.
            _ => return None,
        },
        PathMatch::Regex(pattern) if is_regex(pattern) => PathSpecifier::SafeRegex(regex(pattern)),
        PathMatch::Regex(_) => return None,
    })
}

/// Without slashes at its end.
pub(super) fn segments(prefix: &str) -> &str {
    prefix.trim_end_matches('/')
}

/// Whether Envoy takes it for segments.
fn is_separable(prefix: &str) -> bool {
    prefix.starts_with('/') && !prefix.contains(['?', '#'])
}

/// `Some(None)`: nothing is asked; `None`: nothing is like that.
pub(super) fn header(of: &HeaderMatch) -> Option<Option<HeaderMatcher>> {
    let HeaderMatch { name, wanted, not } = of;
    if !is_name(name) {
        // Nobody has such a header.
        return not.then_some(None);
    }
    match wanted {
        Wanted::Present => Some(Some(HeaderMatcher {
            name: name.to_string(),
            invert_match: *not,
            header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
            ..HeaderMatcher::default()
        })),
        Wanted::Text(wanted) => value(name, wanted, *not),
    }
}

fn value(name: &str, wanted: &Text, not: bool) -> Option<Option<HeaderMatcher>> {
    let Some(matcher) = text(wanted) else { return not.then_some(None) };
    Some(Some(HeaderMatcher {
        name: name.to_owned(),
        invert_match: not,
        // A header that is not there does not have the value.
        treat_missing_header_as_empty: not,
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher)),
    }))
}

fn query(QueryMatch { name, wanted }: &QueryMatch) -> Option<QueryParameterMatcher> {
    if name.is_empty() || name.len() > LONGEST_PARAMETER {
        return None;
    }
    let specifier = match wanted {
        Wanted::Present => QueryParameterMatchSpecifier::PresentMatch(true),
        Wanted::Text(wanted) => QueryParameterMatchSpecifier::StringMatch(text(wanted)?),
    };
    Some(QueryParameterMatcher {
        name: name.to_string(),
        query_parameter_match_specifier: Some(specifier),
    })
}
