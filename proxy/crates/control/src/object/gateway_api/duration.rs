//! Lengths of time as the Gateway API writes them: a part of what Go does.
use serde::Deserialize;
use std::time::Duration as Time;

/// `1h30m`, `10s`, `500ms`; zero is allowed, and what it means depends on the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Duration(pub Time);

/// Units, longer ones before those that they begin with.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// More numbers with units than this are one too many.
const MAX_PARTS: usize = 4;

/// And longer numbers.
const MAX_DIGITS: usize = 5;

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        parse(&written).map(Self).ok_or_else(|| {
            format!("`{written}` is no length of time: want numbers of up to {MAX_DIGITS} digits with h, m, s or ms, such as 1m30s")
        })
    }
}

fn parse(written: &str) -> Option<Time> {
    let (mut left, mut millis) = (written, 0_u64);
    for _ in 0..MAX_PARTS {
        let digits = left.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = left.split_at(digits);
        let (unit, size) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        if digits > MAX_DIGITS {
            return None;
        }
        // Five digits of hours are far from the end of the type.
        millis += number.parse::<u64>().ok()? * size;
        left = rest.get(unit.len()..)?;
        if left.is_empty() {
            return Some(Time::from_millis(millis));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_pattern_takes() {
        for (written, millis) in
            [("1h30m", 5_400_000), ("10s", 10_000), ("500ms", 500), ("0s", 0), ("1s1s1s1ms", 3_001)]
        {
            assert_eq!(parse(written), Some(Time::from_millis(millis)), "{written}");
        }
        for bad in ["", "1", "s", "1.5s", "123456s", "1s1s1s1s1s", "1d", "-1s", "1 s"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
