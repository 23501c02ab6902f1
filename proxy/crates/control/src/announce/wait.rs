//! Waiting for those who must know something, and not for ever.
use super::LIMIT;
use std::time::{Duration, Instant};

/// Something was shown, and others are to accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// The world in which it stands; `None`: not published yet, or whoever accepted it is unknown.
    sequence: Option<u64>,
    /// When it was published.
    since: Option<Instant>,
}

impl Wait {
    /// For what is to be published next.
    pub(super) fn new() -> Self {
        Self { sequence: None, since: None }
    }

    /// For what was published in an earlier life: who was connected then may not be yet.
    pub(super) fn out(now: Instant) -> Self {
        Self { sequence: None, since: Some(now) }
    }

    pub(super) fn published(&mut self, sequence: u64, now: Instant) {
        if self.since.is_none() {
            *self = Self { sequence: Some(sequence), since: Some(now) };
        }
    }

    /// Everybody has accepted it, and whom others tell had `grace`; or all were waited for long
    /// enough.
    pub(super) fn is_over(
        &self,
        now: Instant,
        grace: Duration,
        accepted: impl Fn(u64) -> bool,
    ) -> bool {
        let has_had = |time| self.since.is_some_and(|since| now >= since + time);
        has_had(LIMIT) || (has_had(grace) && self.sequence.is_some_and(accepted))
    }

    /// When it may be over without anybody having accepted more than by now.
    pub(super) fn until(&self, now: Instant, grace: Duration) -> Option<Instant> {
        let since = self.since?;
        Some(since + if now < since + grace { grace } else { LIMIT })
    }
}
