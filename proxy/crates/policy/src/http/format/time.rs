//! Times, by the letters of `strftime`.
use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A time, taken apart.
struct Moment {
    /// Of the epoch, in UTC.
    seconds: i64,
    nanoseconds: u32,
    offset: i32,
    year: i64,
    /// From 1.
    month: usize,
    day: i64,
    /// From 0.
    year_day: i64,
    /// From Sunday, 0.
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
}

/// Writes a time, so many seconds east of UTC; letters that mean nothing stand for themselves.
pub(super) fn write(form: &str, time: SystemTime, offset: i32, out: &mut String) {
    let moment = Moment::new(time, offset);
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        rest = moment.directive(after, out);
    }
    out.push_str(rest);
}

impl Moment {
    fn new(time: SystemTime, offset: i32) -> Self {
        let (seconds, nanoseconds) = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => (signed(after), after.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                match before.subsec_nanos() {
                    0 => (-signed(before), 0),
                    some => (-signed(before) - 1, 1_000_000_000 - some),
                }
            }
        };
        let local = seconds + i64::from(offset);
        let days = local.div_euclid(86_400);
        let of_day = local.rem_euclid(86_400);
        let (year, month, day) = civil(days);
        let year_day = days - days_from_civil(year, 1, 1);
        Self {
            seconds,
            nanoseconds,
            offset,
            year,
            month: usize::try_from(month).unwrap_or(1),
            day,
            year_day,
            // The epoch was a Thursday.
            weekday: usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0),
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    /// Writes what the letters after a per cent sign mean; returns what is left.
    fn directive<'a>(&self, form: &'a str, out: &mut String) -> &'a str {
        let mut chars = form.chars();
        match chars.next() {
            Some('E') => self.extended(form, chars.as_str(), out),
            Some(digit @ '1'..='9') if chars.as_str().starts_with('f') => {
                self.fraction(digit.to_digit(10).unwrap_or(9), out);
                chars.as_str().get(1..).unwrap_or_default()
            }
            Some(letter) => {
                if !self.letter(letter, out) {
                    out.push('%');
                    out.push(letter);
                }
                chars.as_str()
            }
            None => {
                out.push('%');
                form
            }
        }
    }

    /// `%E3S`, `%E*S`, `%E3f`, `%E*f`, `%Ez`, `%E4Y`.
    fn extended<'a>(&self, form: &'a str, after: &'a str, out: &mut String) -> &'a str {
        let mut chars = after.chars();
        let (first, second) = (chars.next(), chars.next());
        match (first, second) {
            (Some('z'), _) => {
                self.zone(":", out);
                return after.get(1..).unwrap_or_default();
            }
            (Some('4'), Some('Y')) => put(out, format_args!("{:04}", self.year)),
            (Some(digits), Some(kind @ ('S' | 'f')))
                if digits == '*' || digits.is_ascii_digit() =>
            {
                if kind == 'S' {
                    put(out, format_args!("{:02}", self.second));
                }
                let places = digits.to_digit(10).unwrap_or_else(|| self.places());
                if places > 0 {
                    if kind == 'S' {
                        out.push('.');
                    }
                    self.fraction(places, out);
                }
            }
            _ => {
                out.push('%');
                return form;
            }
        }
        chars.as_str()
    }

    fn letter(&self, letter: char, out: &mut String) -> bool {
        let hour12 = (self.hour + 11) % 12 + 1;
        let day = DAYS.get(self.weekday).copied().unwrap_or_default();
        let month = MONTHS.get(self.month.wrapping_sub(1)).copied().unwrap_or_default();
        let short = |name: &'static str| name.get(..3).unwrap_or(name);
        let sunday = signed_index(self.weekday);
        match letter {
            'Y' => put(out, format_args!("{}", self.year)),
            'C' => put(out, format_args!("{:02}", self.year.div_euclid(100))),
            'y' => put(out, format_args!("{:02}", self.year.rem_euclid(100))),
            'm' => put(out, format_args!("{:02}", self.month)),
            'd' => put(out, format_args!("{:02}", self.day)),
            'e' => put(out, format_args!("{:2}", self.day)),
            'j' => put(out, format_args!("{:03}", self.year_day + 1)),
            'H' => put(out, format_args!("{:02}", self.hour)),
            'k' => put(out, format_args!("{:2}", self.hour)),
            'I' => put(out, format_args!("{hour12:02}")),
            'l' => put(out, format_args!("{hour12:2}")),
            'M' => put(out, format_args!("{:02}", self.minute)),
            'S' => put(out, format_args!("{:02}", self.second)),
            'f' => self.fraction(9, out),
            's' => put(out, format_args!("{}", self.seconds)),
            'p' => out.push_str(if self.hour < 12 { "AM" } else { "PM" }),
            'a' => out.push_str(short(day)),
            'A' => out.push_str(day),
            'b' | 'h' => out.push_str(short(month)),
            'B' => out.push_str(month),
            'w' => put(out, format_args!("{sunday}")),
            'u' => put(out, format_args!("{}", (sunday + 6) % 7 + 1)),
            'U' => put(out, format_args!("{:02}", (self.year_day + 7 - sunday) / 7)),
            'W' => put(out, format_args!("{:02}", (self.year_day + 7 - (sunday + 6) % 7) / 7)),
            'z' => self.zone("", out),
            'Z' if self.offset == 0 => out.push_str("UTC"),
            'Z' => self.zone("", out),
            'D' | 'x' => self.several(&["m", "/", "d", "/", "y"], out),
            'F' => self.several(&["Y", "-", "m", "-", "d"], out),
            'T' | 'X' => self.several(&["H", ":", "M", ":", "S"], out),
            'R' => self.several(&["H", ":", "M"], out),
            'r' => self.several(&["I", ":", "M", ":", "S", " ", "p"], out),
            'c' => self.several(&["a", " ", "b", " ", "e", " ", "T", " ", "Y"], out),
            't' => out.push('\t'),
            '%' => out.push('%'),
            _ => return false,
        }
        true
    }

    fn several(&self, parts: &[&str], out: &mut String) {
        for part in parts {
            match part.chars().next() {
                Some(letter) if letter.is_ascii_alphabetic() => {
                    self.letter(letter, out);
                }
                _ => out.push_str(part),
            }
        }
    }

    fn fraction(&self, places: u32, out: &mut String) {
        let digits = self.nanoseconds / 10_u32.pow(9_u32.saturating_sub(places));
        let width = usize::try_from(places.min(9)).unwrap_or(9);
        put(out, format_args!("{digits:0width$}"));
    }

    /// As many places as the fraction needs.
    fn places(&self) -> u32 {
        (0..9).find(|places| self.nanoseconds.is_multiple_of(10_u32.pow(9 - places))).unwrap_or(9)
    }

    fn zone(&self, between: &str, out: &mut String) {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.unsigned_abs() / 60;
        put(out, format_args!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60));
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(arguments);
    debug_assert!(written.is_ok(), "memory takes what is written");
}

fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 2)
}

fn signed_index(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(0)
}

/// Year, month and day of a day of the epoch, in the Gregorian calendar extended both ways.
///
/// Years are taken to begin in March, so that the leap day is the last of a year; 400 of them have
/// 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day of the epoch of a date; the inverse of [`civil`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests;
