//! Headers compared with what they must be.
use culvert_model::http::matcher::{HeaderCondition, HeaderMatch};

use super::facts::Fields;

/// Whether a condition on a header holds; several headers of a name are one, joined by commas.
///
/// A header that is not there meets no condition on its value, inverted or not, unless it is to be
/// taken as empty.
#[must_use]
pub fn matches(condition: &HeaderMatch, of: &impl Fields) -> bool {
    if let HeaderCondition::Present(wanted) = condition.condition {
        return (of.first(&condition.name).is_some() == wanted) != condition.invert;
    }
    let value = match of.joined(&condition.name) {
        Some(value) => value,
        None if condition.missing_is_empty => Default::default(),
        None => return false,
    };
    holds(&condition.condition, &value) != condition.invert
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

    #[test]
    fn several_values_are_one() {
        let wanted = HeaderCondition::Value(StringMatch::exact("a,b"));
        assert_eq!(check(&wanted, &["a", "b"]), [true, false, true, false]);
        assert_eq!(check(&wanted, &["a"]), [false, true, false, true]);
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
        assert_eq!(check(&HeaderCondition::Present(true), &[]), [false, true, false, true]);
        assert_eq!(check(&HeaderCondition::Present(false), &[]), [true, false, true, false]);
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
