//! When to ask again. Pure: the time and the dice are passed in.
use crate::certificate::{Validity, until};
use culvert_runtime::backoff::Backoff;
use rustls_pki_types::UnixTime;
use std::time::Duration;

/// Failures of one identity: from half a second doubling to two and a half minutes.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(150);

/// When a certificate that came `now` is to be replaced: at half of what is left of its life,
/// give or take a twentieth of that life, so that many who came together do not go together.
#[must_use]
pub fn due(validity: Validity, now: UnixTime, dice: u64) -> UnixTime {
    let left = until(now, validity.not_after);
    let earliest = left.saturating_mul(9) / 20;
    let spread = left / 10;
    let jitter = spread.as_millis().saturating_mul(u128::from(dice)) >> 64;
    // Cannot be cut: it is less than `spread`, whose seconds are a u64.
    let jitter = Duration::from_millis(u64::try_from(jitter).unwrap_or(u64::MAX));
    later(now, earliest + jitter)
}

/// How to wait after failures.
#[must_use]
pub fn backoff() -> Backoff {
    Backoff::new(FIRST_WAIT, LONGEST_WAIT)
}

fn later(time: UnixTime, by: Duration) -> UnixTime {
    let seconds = time.as_secs().saturating_add(by.as_secs());
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn check(validity: (u64, u64), now: u64, dice: u64, expect: u64) {
        let validity = Validity { not_before: at(validity.0), not_after: at(validity.1) };
        assert_eq!(due(validity, at(now), dice), at(expect));
    }

    #[test]
    fn renews_around_the_half_of_what_is_left() {
        check((0, 1000), 0, 0, 450);
        check((0, 1000), 0, u64::MAX, 549);
        check((0, 1000), 200, 0, 560);
    }

    #[test]
    fn a_certificate_without_a_future_is_due_at_once() {
        check((0, 1000), 1000, 0, 1000);
        check((0, 1000), 5000, u64::MAX, 5000);
    }

    proptest! {
        #[test]
        fn falls_between_nine_and_eleven_twentieths(
            now in 0..1_u64 << 40, life in 0..1_u64 << 32, dice: u64,
        ) {
            let validity = Validity { not_before: at(now), not_after: at(now + life) };
            let due = due(validity, at(now), dice).as_secs() - now;
            prop_assert!(life * 9 / 20 <= due && due <= life * 11 / 20, "{due} of {life}");
        }
    }
}
