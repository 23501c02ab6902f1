//! Token buckets that fill all the time.
use std::time::Duration;

use culvert_model::http::ratelimit::Bucket;

/// A bucket's state: since when it would have filled from nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tokens {
    /// Seconds; before the clock's zero for one that is full at it.
    empty_at: f64,
}

impl Tokens {
    /// A full one.
    #[must_use]
    pub fn full(bucket: &Bucket, now: Duration) -> Self {
        Self { empty_at: now.as_secs_f64() - f64::from(bucket.max) / rate(bucket) }
    }

    /// Takes so many tokens, all or none.
    pub fn take(&mut self, bucket: &Bucket, now: Duration, count: u32) -> bool {
        let there = self.there(bucket, now);
        // What rounding lost of a token does not keep it back.
        let left = there - f64::from(count);
        if left < -1e-9 {
            return false;
        }
        self.empty_at = now.as_secs_f64() - left.max(0.0) / rate(bucket);
        true
    }

    /// How many there are, whole ones only.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `max`")]
    pub fn remaining(&self, bucket: &Bucket, now: Duration) -> u32 {
        (self.there(bucket, now) + 1e-9) as u32
    }

    /// How long until there is one.
    #[must_use]
    pub fn next(&self, bucket: &Bucket, now: Duration) -> Duration {
        let missing = 1.0 - self.there(bucket, now);
        Duration::try_from_secs_f64(missing / rate(bucket)).unwrap_or_default()
    }

    fn there(&self, bucket: &Bucket, now: Duration) -> f64 {
        let filled = (now.as_secs_f64() - self.empty_at) * rate(bucket);
        filled.clamp(0.0, f64::from(bucket.max))
    }
}

/// Tokens a second.
fn rate(bucket: &Bucket) -> f64 {
    f64::from(bucket.per_fill.max(1)) / bucket.interval.as_secs_f64().max(1e-3)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use culvert_model::http::ratelimit::Bucket;
    use proptest::prelude::*;

    use super::Tokens;

    const BUCKET: Bucket = Bucket { max: 4, per_fill: 2, interval: Duration::from_secs(1) };

    #[test]
    fn a_bucket_is_full_at_first_and_fills_all_the_time() {
        let at = Duration::from_millis;
        let mut tokens = Tokens::full(&BUCKET, at(0));
        assert_eq!(tokens.remaining(&BUCKET, at(0)), 4);
        assert!((0..4).all(|_| tokens.take(&BUCKET, at(0), 1)));
        assert!(!tokens.take(&BUCKET, at(0), 1));
        assert_eq!(tokens.next(&BUCKET, at(100)), at(400));
        assert!(!tokens.take(&BUCKET, at(499), 1));
        assert!(tokens.take(&BUCKET, at(500), 1));
        assert!(!tokens.take(&BUCKET, at(1400), 2));
        assert!(tokens.take(&BUCKET, at(1500), 2));
        assert_eq!(tokens.remaining(&BUCKET, at(900_000)), 4);
    }

    proptest! {
        #[test]
        fn no_more_passes_than_was_filled(waits in prop::collection::vec(0_u64..700, 1..200)) {
            let mut now = Duration::ZERO;
            let mut tokens = Tokens::full(&BUCKET, now);
            let mut passed = 0.0;
            for wait in waits {
                now += Duration::from_millis(wait);
                passed += f64::from(u8::from(tokens.take(&BUCKET, now, 1)));
            }
            prop_assert!(passed <= 4.0 + 2.0 * now.as_secs_f64() + 1e-6);
        }
    }
}
