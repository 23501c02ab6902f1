//! Headers compared with what they must be.
use culvert_model::http::matcher::{HeaderCondition, HeaderMatch};

use super::facts::Fields;

/// Whether a condition on a header holds: for any of the headers of that name (one that comes twice
/// must not slip past a rule by being joined); inverted, for none.
///
/// A header that is not there meets no condition on its value, inverted or not, unless it is to be
/// taken as empty.
#[must_use]
pub fn matches(condition: &HeaderMatch, of: &impl Fields) -> bool {
    if let HeaderCondition::Present(wanted) = condition.condition {
        // A missing one that counts as empty counts as there.
        let is_there = condition.missing_is_empty || of.first(&condition.name).is_some();
        return (is_there == wanted) != condition.invert;
    }
    let found = match of.any(&condition.name, |value| holds(&condition.condition, value)) {
        Some(found) => found,
        None if condition.missing_is_empty => holds(&condition.condition, b""),
        None => return false,
    };
    found != condition.invert
}

/// Whether all conditions hold.
#[must_use]
pub fn all_match(conditions: &[HeaderMatch], of: &impl Fields) -> bool {
    conditions.iter().all(|condition| matches(condition, of))
}

fn holds(condition: &HeaderCondition, value: &[u8]) -> bool {
    match condition {
        HeaderCondition::Present(wanted) => *wanted,
        HeaderCondition::Value(wanted) => wanted.matches(value),
        HeaderCondition::Range(range) => number(value).is_some_and(|n| range.contains(&n)),
    }
}

/// A decimal number with white space around it.
fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim_matches(|c: char| c.is_ascii_whitespace()).parse().ok()
}

#[cfg(test)]
mod tests {
    use culvert_model::http::{
        field::Field,
        matcher::{HeaderCondition, HeaderMatch, StringMatch, StringPattern, ValueRange},
    };
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::matches;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append("x-a", value.parse().unwrap());
        }
        map
    }

    fn check(condition: &HeaderCondition, values: &[&str]) -> [bool; 4] {
        let name: Field = "x-a".parse().unwrap();
        [(false, false), (true, false), (false, true), (true, true)].map(|(invert, missing)| {
            let wanted = HeaderMatch {
                invert,
                missing_is_empty: missing,
                ..HeaderMatch::new(name.clone(), condition.clone())
            };
            matches(&wanted, &headers(values))
        })
    }

    /// What an Envoy 1.40 makes of them, in routes and in RBAC.
    #[test]
    fn each_value_counts_by_itself() {
        let wanted = HeaderCondition::Value(StringMatch::exact("a"));
        for values in [&["a"][..], &["a", "b"], &["b", "a"]] {
            assert_eq!(check(&wanted, values), [true, false, true, false], "{values:?}");
        }
        assert_eq!(check(&wanted, &["b", "c"]), [false, true, false, true]);
        let joined = StringMatch::new(StringPattern::Contains("a,b".into()), false);
        assert!(!check(&HeaderCondition::Value(joined), &["a", "b"])[0]);
        let range = HeaderCondition::Range(ValueRange { start: 1, end: 5 });
        assert_eq!(check(&range, &["9", "3"]), [true, false, true, false]);
    }

    #[test]
    fn a_missing_header_meets_nothing_inverted_or_not() {
        let wanted = HeaderCondition::Value(StringMatch::exact("a"));
        assert_eq!(check(&wanted, &[]), [false, false, false, true]);
        let empty = HeaderCondition::Value(StringMatch::new(StringPattern::Exact("".into()), true));
        assert_eq!(check(&empty, &[]), [false, false, true, false]);
    }

    #[test]
    fn presence_can_be_asked_for_both_ways() {
        assert_eq!(check(&HeaderCondition::Present(true), &["a"]), [true, false, true, false]);
        assert_eq!(check(&HeaderCondition::Present(true), &[]), [false, true, true, false]);
        assert_eq!(check(&HeaderCondition::Present(false), &[]), [true, false, false, true]);
    }

    #[test]
    fn ranges_are_half_open_and_of_whole_numbers() {
        let range = HeaderCondition::Range(ValueRange { start: -10, end: 0 });
        assert!(check(&range, &["-10"])[0]);
        assert!(check(&range, &[" -1 "])[0]);
        assert!(!check(&range, &["0"])[0]);
        assert!(!check(&range, &["-1.5"])[0]);
        assert!(check(&range, &["one"])[1]);
    }

    proptest! {
        #[test]
        fn inverting_turns_the_answer_round_where_the_header_is(value in "[a-c]{0,3}", want in "[a-c]{0,3}") {
            let wanted = HeaderCondition::Value(StringMatch::prefix(&want));
            let [plain, inverted, ..] = check(&wanted, &[&value]);
            prop_assert_eq!(plain, value.starts_with(&want));
            prop_assert_ne!(plain, inverted);
        }
    }
}
