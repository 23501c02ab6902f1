//! Texts and bytes.
use envoy_types::pb::validate::{BytesRules, KnownRegex, StringRules, string_rules::WellKnown};
use regex::Regex;

pub(super) fn check(text: &str, rules: &StringRules) -> Option<String> {
    if rules.ignore_empty() && text.is_empty() {
        return None;
    }
    let letters = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if rules.min_len.is_some_and(|least| letters < least)
        || rules.min_bytes.is_some_and(|least| bytes < least)
    {
        return Some(if text.is_empty() { "empty" } else { "too short" }.to_owned());
    }
    if rules.max_len.is_some_and(|most| letters > most)
        || rules.max_bytes.is_some_and(|most| bytes > most)
    {
        return Some(format!("{letters} letters are too many"));
    }
    if let Some(prefix) = rules.prefix.as_ref().filter(|prefix| !text.starts_with(&***prefix)) {
        return Some(format!("{text:?} must begin with {prefix:?}"));
    }
    if let Some(suffix) = rules.suffix.as_ref().filter(|suffix| !text.ends_with(&***suffix)) {
        return Some(format!("{text:?} must end with {suffix:?}"));
    }
    if !rules.r#in.is_empty() && !rules.r#in.iter().any(|one| one == text) {
        return Some(format!("{text:?} is none of {}", rules.r#in.join(", ")));
    }
    if rules.not_in.iter().any(|one| one == text) {
        return Some(format!("must not be {text:?}"));
    }
    if let Some(pattern) = &rules.pattern
        && Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
    {
        return Some(format!("{text:?} is not of the form {pattern}"));
    }
    rules.well_known.as_ref().and_then(|kind| well_known(text, kind, rules.strict()))
}

pub(super) fn check_bytes(bytes: &[u8], rules: &BytesRules) -> Option<String> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if rules.ignore_empty() && bytes.is_empty() {
        return None;
    }
    if rules.min_len.is_some_and(|least| length < least) {
        return Some(if bytes.is_empty() { "empty" } else { "too short" }.to_owned());
    }
    rules.max_len.is_some_and(|most| length > most).then(|| "too long".to_owned())
}

fn well_known(text: &str, kind: &WellKnown, strict: bool) -> Option<String> {
    let WellKnown::WellKnownRegex(kind) = kind else { return None };
    let kind = KnownRegex::try_from(*kind).unwrap_or(KnownRegex::Unknown);
    let bytes = || text.bytes();
    let fits = match (kind, strict) {
        (KnownRegex::Unknown, _) => true,
        (_, false) => bytes().all(|byte| !matches!(byte, 0 | b'\r' | b'\n')),
        (KnownRegex::HttpHeaderName, true) => {
            let name = text.strip_prefix(':').unwrap_or(text);
            let is_token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_|~`".contains(&byte);
            !name.is_empty() && name.bytes().all(is_token)
        }
        (KnownRegex::HttpHeaderValue, true) => {
            bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
        }
    };
    let what = match kind {
        KnownRegex::HttpHeaderName => "the name of a header",
        KnownRegex::HttpHeaderValue | KnownRegex::Unknown => "the value of a header",
    };
    (!fits).then(|| format!("{text:?} cannot be {what}"))
}
