//! What a route asks of a request.
use super::super::{
    Got, Path, Wrong,
    basic::{each, flag, must, runtime_fraction},
    header::{header, query},
    text::{regex, string},
    value::metadata_match,
};
use culvert_model::http::route::{FilterStateMatch, PathMatch, PathText, RouteMatch, TlsMatch};
use culvert_proto::api::envoy::{
    config::route::v3::{self as pb, route_match::PathSpecifier},
    r#type::matcher::v3::filter_state_matcher::Matcher,
};

pub(super) fn decode(value: &pb::RouteMatch, path: &Path<'_>) -> Got<RouteMatch> {
    if !value.cookies.is_empty() {
        let what = "not supported; match the header cookie";
        return Err(Wrong::at(&path.field("cookies"), what));
    }
    let filter_state =
        each(&value.filter_state, &path.field("filter_state"), |of, path| {
            match must(&of.matcher, path)? {
                Matcher::StringMatch(text) => Ok(FilterStateMatch {
                    key: of.key.as_str().into(),
                    value: string(text, &path.field("string_match"))?,
                }),
                Matcher::AddressMatch(_) => {
                    let what = "only string_match is supported";
                    Err(Wrong::at(&path.field("address_match"), what))
                }
            }
        })?;
    Ok(RouteMatch {
        path: path_match(value, path)?,
        headers: each(&value.headers, &path.field("headers"), header)?,
        query: each(&value.query_parameters, &path.field("query_parameters"), query)?,
        fraction: match &value.runtime_fraction {
            Some(value) => Some(runtime_fraction(value, &path.field("runtime_fraction"))?),
            None => None,
        },
        grpc: value.grpc.is_some(),
        tls: value.tls_context.as_ref().map(|tls| TlsMatch {
            presented: tls.presented.as_ref().map(|value| value.value),
            validated: tls.validated.as_ref().map(|value| value.value),
        }),
        metadata: each(&value.dynamic_metadata, &path.field("dynamic_metadata"), metadata_match)?,
        filter_state,
    })
}

fn path_match(value: &pb::RouteMatch, path: &Path<'_>) -> Got<PathMatch> {
    let ignore_case = !flag(&value.case_sensitive, true);
    let text = |text: &str| PathText::new(text, ignore_case);
    Ok(match must(&value.path_specifier, path)? {
        PathSpecifier::Prefix(prefix) => PathMatch::Prefix(text(prefix)),
        PathSpecifier::Path(exact) => PathMatch::Exact(text(exact)),
        PathSpecifier::PathSeparatedPrefix(prefix) => PathMatch::Separated(text(prefix)),
        PathSpecifier::SafeRegex(pattern) => {
            PathMatch::Regex(regex(pattern, &path.field("safe_regex"))?)
        }
        PathSpecifier::ConnectMatcher(_) => PathMatch::Connect,
        PathSpecifier::PathMatchPolicy(_) => {
            let what = "URI templates are not supported; give prefix, path or safe_regex";
            return Err(Wrong::at(&path.field("path_match_policy"), what));
        }
    })
}
