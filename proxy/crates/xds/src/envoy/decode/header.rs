//! Matchers of headers and query parameters.
use super::{
    Got, Path, Wrong,
    basic::must,
    text::{regex, string},
};
use culvert_model::http::{
    field::Field,
    matcher::{
        HeaderCondition, HeaderMatch, QueryCondition, QueryMatch, StringMatch, StringPattern,
        ValueRange,
    },
};
use culvert_proto::api::envoy::config::route::v3::{
    self as route, header_matcher::HeaderMatchSpecifier as Specifier,
    query_parameter_matcher::QueryParameterMatchSpecifier,
};
use http::HeaderName;

pub(super) fn field(name: &str, path: &Path<'_>) -> Got<Field> {
    name.parse().map_err(|error| Wrong::at(path, format!("{error}")))
}

/// A header that is no pseudo-header.
pub(super) fn name(text: &str, path: &Path<'_>) -> Got<HeaderName> {
    HeaderName::try_from(text)
        .map_err(|_malformed| Wrong::at(path, format!("{text:?} cannot be the name of a header")))
}

pub(super) fn header(value: &route::HeaderMatcher, path: &Path<'_>) -> Got<HeaderMatch> {
    let plain = |pattern| HeaderCondition::Value(StringMatch::new(pattern, false));
    let condition = match &value.header_match_specifier {
        // As Envoy has it: nothing asked is to be there.
        None => HeaderCondition::Present(true),
        Some(Specifier::PresentMatch(present)) => HeaderCondition::Present(*present),
        Some(Specifier::StringMatch(text)) => {
            HeaderCondition::Value(string(text, &path.field("string_match"))?)
        }
        Some(Specifier::ExactMatch(text)) => plain(StringPattern::Exact(text.as_str().into())),
        Some(Specifier::PrefixMatch(text)) => plain(StringPattern::Prefix(text.as_str().into())),
        Some(Specifier::SuffixMatch(text)) => plain(StringPattern::Suffix(text.as_str().into())),
        Some(Specifier::ContainsMatch(text)) => {
            plain(StringPattern::Contains(text.as_str().into()))
        }
        Some(Specifier::SafeRegexMatch(pattern)) => {
            plain(StringPattern::Regex(regex(pattern, &path.field("safe_regex_match"))?))
        }
        Some(Specifier::RangeMatch(range)) => {
            HeaderCondition::Range(ValueRange { start: range.start, end: range.end })
        }
    };
    Ok(HeaderMatch {
        name: field(&value.name, &path.field("name"))?,
        condition,
        invert: value.invert_match,
        missing_is_empty: value.treat_missing_header_as_empty,
    })
}

pub(super) fn query(value: &route::QueryParameterMatcher, path: &Path<'_>) -> Got<QueryMatch> {
    let condition = match &value.query_parameter_match_specifier {
        None => QueryCondition::Present(true),
        Some(QueryParameterMatchSpecifier::PresentMatch(present)) => {
            QueryCondition::Present(*present)
        }
        Some(QueryParameterMatchSpecifier::StringMatch(text)) => {
            QueryCondition::Value(string(text, &path.field("string_match"))?)
        }
    };
    Ok(QueryMatch { name: value.name.as_str().into(), condition })
}

/// The path matcher of RBAC.
pub(super) fn url_path(
    value: &culvert_proto::api::envoy::r#type::matcher::v3::PathMatcher,
    path: &Path<'_>,
) -> Got<StringMatch> {
    use culvert_proto::api::envoy::r#type::matcher::v3::path_matcher::Rule;
    let Rule::Path(text) = must(&value.rule, path)?;
    string(text, &path.field("path"))
}
