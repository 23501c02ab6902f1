//! When a source is read that cannot be heard. Pure: time and dice are passed in.
//!
//! Whoever cannot be told of changes must look for himself: less and less often, for it costs.
use culvert_runtime::backoff::Backoff;
use std::time::{Duration, Instant};

/// After the first failure, and however often it failed.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// What comes of failures to hear.
#[derive(Debug)]
pub(super) struct Deaf {
    backoff: Backoff,
    until: Option<Instant>,
}

impl Deaf {
    pub(super) fn new() -> Self {
        Self { backoff: Backoff::new(FIRST, LONGEST), until: None }
    }

    /// Nothing can be heard; `dice` are 64 random bits.
    pub(super) fn failed(&mut self, now: Instant, dice: u64) {
        self.until = Some(now + self.backoff.next(dice));
    }

    /// When to look all the same; `None`: when something is heard.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// It will be looked now.
    pub(super) fn looked(&mut self) {
        self.until = None;
    }

    /// Something was heard.
    pub(super) fn heard(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_hear_looks_less_and_less_often_until_he_hears_again() {
        let (mut deaf, start) = (Deaf::new(), Instant::now());
        assert_eq!(deaf.until(), None);
        let mut waits = Vec::new();
        for _ in 0..20 {
            deaf.failed(start, u64::MAX);
            waits.push(deaf.until().unwrap() - start);
            deaf.looked();
            assert_eq!(deaf.until(), None, "it is listened again");
        }
        assert!(waits.is_sorted() && waits[0] <= FIRST);
        assert!(waits.iter().all(|wait| *wait <= LONGEST) && LONGEST / 2 <= waits[19]);
        deaf.heard();
        deaf.failed(start, u64::MAX);
        assert_eq!(deaf.until(), Some(start + waits[0]));
    }
}
