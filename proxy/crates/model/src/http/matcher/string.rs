//! `StringMatcher`.
use std::sync::Arc;

use super::Regex;

/// A pattern, and whether case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringMatch {
    /// In lower case if case does not count.
    pattern: StringPattern,
    ignore_case: bool,
}

/// How a string is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringPattern {
    Exact(Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    Contains(Arc<str>),
    /// The whole string must match; `ignore_case` says nothing about it.
    Regex(Regex),
}

impl StringMatch {
    #[must_use]
    pub fn new(pattern: StringPattern, ignore_case: bool) -> Self {
        let pattern = if ignore_case { pattern.lower() } else { pattern };
        Self { pattern, ignore_case }
    }

    #[must_use]
    pub fn exact(text: &str) -> Self {
        Self::new(StringPattern::Exact(text.into()), false)
    }

    #[must_use]
    pub fn prefix(text: &str) -> Self {
        Self::new(StringPattern::Prefix(text.into()), false)
    }

    #[must_use]
    pub fn pattern(&self) -> &StringPattern {
        &self.pattern
    }

    #[must_use]
    pub fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    /// Whether a string, not necessarily UTF-8, is meant.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        match (&self.pattern, self.ignore_case) {
            (StringPattern::Exact(want), false) => text == want.as_bytes(),
            (StringPattern::Exact(want), true) => text.eq_ignore_ascii_case(want.as_bytes()),
            (StringPattern::Prefix(want), false) => text.starts_with(want.as_bytes()),
            (StringPattern::Prefix(want), true) => {
                text.get(..want.len()).is_some_and(|s| s.eq_ignore_ascii_case(want.as_bytes()))
            }
            (StringPattern::Suffix(want), false) => text.ends_with(want.as_bytes()),
            (StringPattern::Suffix(want), true) => text
                .len()
                .checked_sub(want.len())
                .and_then(|from| text.get(from..))
                .is_some_and(|s| s.eq_ignore_ascii_case(want.as_bytes())),
            (StringPattern::Contains(want), ignore) => contains(text, want.as_bytes(), ignore),
            (StringPattern::Regex(regex), _) => regex.matches(text),
        }
    }
}

impl StringPattern {
    fn lower(self) -> Self {
        let lower = |text: Arc<str>| Arc::from(text.to_ascii_lowercase());
        match self {
            Self::Exact(text) => Self::Exact(lower(text)),
            Self::Prefix(text) => Self::Prefix(lower(text)),
            Self::Suffix(text) => Self::Suffix(lower(text)),
            Self::Contains(text) => Self::Contains(lower(text)),
            Self::Regex(regex) => Self::Regex(regex),
        }
    }
}

fn contains(text: &[u8], want: &[u8], ignore_case: bool) -> bool {
    if want.is_empty() {
        return true;
    }
    text.windows(want.len())
        .any(|window| if ignore_case { window.eq_ignore_ascii_case(want) } else { window == want })
}

#[cfg(test)]
mod tests {
    use super::{StringMatch, StringPattern};

    fn check(
        pattern: fn(std::sync::Arc<str>) -> StringPattern,
        want: &str,
        text: &str,
    ) -> [bool; 2] {
        [false, true]
            .map(|ignore| StringMatch::new(pattern(want.into()), ignore).matches(text.as_bytes()))
    }

    #[test]
    fn case_counts_unless_told_otherwise() {
        for (pattern, want, text) in [
            (StringPattern::Exact as fn(_) -> _, "aB", "Ab"),
            (StringPattern::Prefix, "aB", "Abc"),
            (StringPattern::Suffix, "Bc", "abC"),
            (StringPattern::Contains, "bC", "aBcd"),
        ] {
            assert_eq!(check(pattern, want, text), [false, true], "{want} in {text}");
            assert_eq!(check(pattern, text, text), [true, true], "{text} in itself");
            assert_eq!(check(pattern, "zz", text), [false, false], "zz in {text}");
        }
    }

    #[test]
    fn a_pattern_longer_than_the_text_matches_nothing() {
        assert_eq!(check(StringPattern::Suffix, "abcd", "bcd"), [false, false]);
        assert_eq!(check(StringPattern::Prefix, "abcd", "abc"), [false, false]);
        assert_eq!(check(StringPattern::Contains, "abcd", "abc"), [false, false]);
    }
}
