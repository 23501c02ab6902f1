//! Matchers of strings, regular expressions, templates.
use super::{Got, Path, Wrong, basic::must};
use culvert_model::http::{
    format::Template,
    matcher::{Regex, StringMatch, StringPattern, Substitution},
};
use culvert_proto::api::{
    envoy::r#type::matcher::v3::{self as matcher, string_matcher::MatchPattern},
    xds::r#type::matcher::v3 as xds,
};

pub(super) fn string(value: &matcher::StringMatcher, path: &Path<'_>) -> Got<StringMatch> {
    let pattern = match must(&value.match_pattern, path)? {
        MatchPattern::Exact(text) => StringPattern::Exact(text.as_str().into()),
        MatchPattern::Prefix(text) => StringPattern::Prefix(text.as_str().into()),
        MatchPattern::Suffix(text) => StringPattern::Suffix(text.as_str().into()),
        MatchPattern::Contains(text) => StringPattern::Contains(text.as_str().into()),
        MatchPattern::SafeRegex(pattern) => {
            StringPattern::Regex(regex(pattern, &path.field("safe_regex"))?)
        }
        MatchPattern::Custom(_) => {
            return Err(Wrong::at(&path.field("custom"), "custom matchers are not supported"));
        }
    };
    made(pattern, value.ignore_case, path)
}

/// The same of another package.
pub(super) fn xds_string(value: &xds::StringMatcher, path: &Path<'_>) -> Got<StringMatch> {
    use xds::string_matcher::MatchPattern;
    let pattern = match must(&value.match_pattern, path)? {
        MatchPattern::Exact(text) => StringPattern::Exact(text.as_str().into()),
        MatchPattern::Prefix(text) => StringPattern::Prefix(text.as_str().into()),
        MatchPattern::Suffix(text) => StringPattern::Suffix(text.as_str().into()),
        MatchPattern::Contains(text) => StringPattern::Contains(text.as_str().into()),
        MatchPattern::SafeRegex(pattern) => {
            StringPattern::Regex(compile(&pattern.regex, &path.field("safe_regex"))?)
        }
        MatchPattern::Custom(_) => {
            return Err(Wrong::at(&path.field("custom"), "custom matchers are not supported"));
        }
    };
    made(pattern, value.ignore_case, path)
}

fn made(pattern: StringPattern, ignore_case: bool, path: &Path<'_>) -> Got<StringMatch> {
    if ignore_case && matches!(pattern, StringPattern::Regex(_)) {
        let what = "has no effect for safe_regex; write (?i) into it";
        return Err(Wrong::at(&path.field("ignore_case"), what));
    }
    Ok(StringMatch::new(pattern, ignore_case))
}

pub(super) fn regex(value: &matcher::RegexMatcher, path: &Path<'_>) -> Got<Regex> {
    compile(&value.regex, path)
}

fn compile(pattern: &str, path: &Path<'_>) -> Got<Regex> {
    Regex::new(pattern).map_err(|error| Wrong::at(&path.field("regex"), error.to_string()))
}

pub(super) fn substitution(
    value: &matcher::RegexMatchAndSubstitute,
    path: &Path<'_>,
) -> Got<Substitution> {
    let pattern = must(&value.pattern, &path.field("pattern"))?;
    Substitution::new(&pattern.regex, &value.substitution)
        .map_err(|error| Wrong::at(path, error.to_string()))
}

/// A template as access logs have it.
pub(super) fn template(text: &str, path: &Path<'_>) -> Got<Template> {
    text.parse().map_err(|error| Wrong::at(path, format!("{error}")))
}

/// A template as headers have it.
pub(super) fn header_template(text: &str, path: &Path<'_>) -> Got<Template> {
    Template::header(text).map_err(|error| Wrong::at(path, format!("{error}")))
}
