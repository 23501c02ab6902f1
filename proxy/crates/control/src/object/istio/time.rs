//! Lengths of time as Istio's manifests write them.
use crate::object::fault::advice;
use serde::Deserialize;
use std::time::Duration;

/// As Go writes it (`1h30m`, `2.5s`), and at least a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Duration);

/// As [`Time`], and may be none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct AnyTime(pub Duration);

/// Units, and how many nanoseconds they are; the longer of two that begin alike first.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The longest that Go can say.
const MAX_NANOS: u128 = 0x7fff_ffff_ffff_ffff;

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let AnyTime(time) = AnyTime::try_from(written)?;
        if time < Duration::from_millis(1) {
            return Err("a time of at least 1ms is needed".into());
        }
        Ok(Self(time))
    }
}

impl TryFrom<String> for AnyTime {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        if let Some(time) = parse(&written) {
            return Ok(Self(time));
        }
        let message = format!("`{written}` is no length of time");
        let is_number = !written.is_empty() && written.bytes().all(|b| b.is_ascii_digit());
        let example = if is_number { format!("{written}s") } else { "1m30s, 2.5s or 300ms".into() };
        Err(advice(message, format_args!("write it with its unit: {example}")))
    }
}

fn parse(written: &str) -> Option<Duration> {
    let mut left = written.strip_prefix('+').unwrap_or(written);
    if left == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos: u128 = 0;
    while !left.is_empty() {
        let (part, rest) = part(left)?;
        nanos = nanos.checked_add(part).filter(|nanos| *nanos <= MAX_NANOS)?;
        left = rest;
    }
    let nanos = u64::try_from(nanos).ok().filter(|_| !written.is_empty())?;
    Some(Duration::from_nanos(nanos))
}

/// The nanoseconds of the first number with its unit, and what is left.
fn part(text: &str) -> Option<(u128, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    // More digits than nanoseconds have say nothing.
    let fraction = fraction.get(..fraction.len().min(15))?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse().ok() };
    let (unit, length) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
    let whole: u128 = number(whole)?;
    let places = u32::try_from(fraction.len()).ok()?;
    let fraction: u128 = number(fraction)?;
    let parts = whole.checked_mul(*length)?.checked_add(fraction * length / 10_u128.pow(places))?;
    Some((parts, rest.get(unit.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (written, nanos) in [
            ("1h30m", 5_400_000_000_000_u64),
            ("2.5s", 2_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("300ms", 300_000_000),
            ("+1m1ms", 60_001_000_000),
            ("0", 0),
            ("0s", 0),
            ("7\u{b5}s", 7_000),
            ("0.000000001s", 1),
        ] {
            let read = AnyTime::try_from(written.to_owned());
            assert_eq!(read, Ok(AnyTime(Duration::from_nanos(nanos))), "{written}");
        }
        for bad in
            ["", "5", "-1s", "s", "1", ".s", "1x", "1s ", "1e3s", "9999999999h", "1s2", "apple"]
        {
            assert!(AnyTime::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(Time::try_from("999us".to_owned()).is_err());
        assert!(Time::try_from("1ms".to_owned()).is_ok());
    }
}
