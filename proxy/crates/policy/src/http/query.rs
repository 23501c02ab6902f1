//! Query parameters.
use std::borrow::Cow;

use culvert_model::http::matcher::{QueryCondition, QueryMatch};

/// The parameters of a path's query, in order, as they are written.
pub fn parameters(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// The first value of a parameter, as it is written.
#[must_use]
pub fn parameter<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    parameters(path).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Whether all conditions hold.
#[must_use]
pub fn all_match(conditions: &[QueryMatch], path: &str) -> bool {
    conditions.iter().all(|condition| matches(condition, path))
}

/// Whether a condition on a parameter holds; the first of a name counts.
#[must_use]
pub fn matches(condition: &QueryMatch, path: &str) -> bool {
    let value = parameter(path, &condition.name);
    match &condition.condition {
        QueryCondition::Present(wanted) => value.is_some() == *wanted,
        QueryCondition::Value(wanted) => {
            value.is_some_and(|value| wanted.matches(value.as_bytes()))
        }
    }
}

/// Text with its per cent escapes undone; what is no escape stays.
#[must_use]
pub fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%').then(|| octet(bytes.get(at + 1..at + 3)?)).flatten();
        out.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    Cow::Owned(out)
}

/// The byte that two hexadecimal digits stand for.
pub(super) fn octet(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let &[high, low] = digits else { return None };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use culvert_model::http::matcher::{QueryCondition, QueryMatch, StringMatch};

    use super::{decode, matches, parameters};

    #[test]
    fn parameters_come_in_order_and_as_written() {
        let all: Vec<_> = parameters("/p?a=1&b&a=2=3&&c=%20#f&d=1").collect();
        assert_eq!(all, [("a", "1"), ("b", ""), ("a", "2=3"), ("c", "%20")]);
        assert_eq!(parameters("/p").count(), 0);
    }

    #[test]
    fn the_first_of_a_name_counts() {
        let wanted = |value: &str| QueryMatch {
            name: "a".into(),
            condition: QueryCondition::Value(StringMatch::exact(value)),
        };
        assert!(matches(&wanted("1"), "/?a=1&a=2"));
        assert!(!matches(&wanted("2"), "/?a=1&a=2"));
        assert!(matches(&wanted(""), "/?a"));
        let absent = QueryMatch { name: "a".into(), condition: QueryCondition::Present(false) };
        assert!(matches(&absent, "/?b"));
        assert!(!matches(&absent, "/?a"));
    }

    #[test]
    fn only_whole_escapes_are_undone() {
        assert_eq!(&*decode("a%20b%2"), b"a b%2");
        assert_eq!(&*decode("%zz%41"), b"%zzA");
    }
}
