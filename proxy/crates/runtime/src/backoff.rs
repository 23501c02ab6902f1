//! How long to wait before the next try.
//!
//! Pure: whoever waits throws the dice.
use std::time::Duration;

/// Waits that double from `first` up to `max`, each shortened by up to half at random, so that
/// many who failed together do not come back together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// A `first` longer than `max` counts as `max`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        let first = first.min(max);
        Self { first, max, next: first }
    }

    /// How long to wait after one more failure; `dice` are 64 random bits.
    pub fn next(&mut self, dice: u64) -> Duration {
        let longest = self.next;
        self.next = longest.saturating_mul(2).min(self.max);
        let half = longest / 2;
        let extra = longest.saturating_sub(half).as_nanos().saturating_mul(u128::from(dice)) >> 64;
        // Cannot be cut: `extra` is less than `longest`, whose nanoseconds are 94 bits, so the
        // product above saturates only for waits of more than five centuries.
        let extra = u64::try_from(extra).unwrap_or(u64::MAX);
        half.saturating_add(Duration::from_nanos(extra)).min(longest)
    }

    /// The next failure is the first again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_up_to_the_maximum_and_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(35));
        let waits: Vec<_> = (0..4).map(|_| backoff.next(0).as_micros()).collect();
        assert_eq!(waits, [5000, 10_000, 17_500, 17_500]);
        backoff.reset();
        assert_eq!(backoff.next(0), Duration::from_millis(5));
    }

    proptest! {
        #[test]
        fn stays_between_half_the_wait_and_the_wait(
            first in 0..1_u64 << 40,
            max in 0..1_u64 << 50,
            dice in prop::collection::vec(any::<u64>(), 1..80),
        ) {
            let (first, max) = (Duration::from_nanos(first), Duration::from_nanos(max));
            let mut backoff = Backoff::new(first, max);
            let mut longest = first.min(max);
            for dice in dice {
                let wait = backoff.next(dice);
                prop_assert!(longest / 2 <= wait && wait <= longest, "{wait:?} for {longest:?}");
                longest = (longest * 2).min(max);
            }
        }

        #[test]
        fn never_overflows(first: u64, max: u64, dice: u64) {
            let mut backoff = Backoff::new(Duration::from_secs(first), Duration::from_secs(max));
            for _ in 0..100 {
                prop_assert!(backoff.next(dice) <= Duration::from_secs(max));
            }
        }

        #[test]
        fn a_higher_throw_waits_no_shorter(ms in 1..1_000_000_u64, a: u64, b: u64) {
            let throw = |dice| Backoff::new(Duration::from_millis(ms), Duration::MAX).next(dice);
            prop_assert!(throw(a.min(b)) <= throw(a.max(b)));
        }
    }
}
