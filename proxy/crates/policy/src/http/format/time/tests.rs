use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::{civil, days_from_civil, write};

fn at(seconds: u64, nanoseconds: u32, form: &str) -> String {
    let mut out = String::new();
    write(form, UNIX_EPOCH + Duration::new(seconds, nanoseconds), 0, &mut out);
    out
}

#[test]
fn known_times_are_written_as_everybody_writes_them() {
    // 2016-04-15T20:17:00.310Z, a Friday, the 106th day.
    let time = |form| at(1_460_751_420, 310_000_000, form);
    assert_eq!(time("%Y-%m-%dT%H:%M:%E3SZ"), "2016-04-15T20:17:00.310Z");
    assert_eq!(time("%Y/%m/%dT%H:%M:%S%z %s"), "2016/04/15T20:17:00+0000 1460751420");
    assert_eq!(time("%s.%3f %f %6f"), "1460751420.310 310000000 310000");
    assert_eq!(time("%a %A %b %B %e %j %I %p %u %w"), "Fri Friday Apr April 15 106 08 PM 5 5");
    assert_eq!(
        time("%E*S|%E*f|%E0S|%Ez|%F %T %D %R"),
        "00.31|31|00|+00:00|2016-04-15 20:17:00 04/15/16 20:17"
    );
    assert_eq!(time("%c|%y %C"), "Fri Apr 15 20:17:00 2016|16 20");
    assert_eq!(time("100%% %Q %"), "100% %Q %");
}

#[test]
fn leap_days_are_days() {
    assert_eq!(at(951_782_400, 0, "%F %j"), "2000-02-29 060");
    assert_eq!(at(4_107_542_400, 0, "%F"), "2100-03-01");
}

#[test]
fn zones_move_the_clock() {
    let mut out = String::new();
    write("%F %T %z", UNIX_EPOCH, -9000, &mut out);
    assert_eq!(out, "1969-12-31 21:30:00 -0230");
}

proptest! {
    #[test]
    fn days_and_dates_lead_to_each_other(days in -800_000_i64..3_000_000) {
        let (year, month, day) = civil(days);
        prop_assert_eq!(days_from_civil(year, month, day), days);
        prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
    }

    #[test]
    fn anything_can_be_a_form(form in ".{0,30}", seconds in 0_u64..4_000_000_000) {
        at(seconds, 7, &form);
    }
}
