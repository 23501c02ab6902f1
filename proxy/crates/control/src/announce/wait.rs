//! Waiting for those who must know something, and not for ever.
use super::LIMIT;
use std::time::Instant;

/// Something was shown, and others are to accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// The world in which it stands; `None`: not published yet, or whoever accepted it is unknown.
    sequence: Option<u64>,
    until: Option<Instant>,
}

impl Wait {
    /// For what is to be published next.
    pub(super) fn new() -> Self {
        Self { sequence: None, until: None }
    }

    /// For what was published in an earlier life: who was connected then may not be yet.
    pub(super) fn out(now: Instant) -> Self {
        Self { sequence: None, until: Some(now + LIMIT) }
    }

    pub(super) fn published(&mut self, sequence: u64, now: Instant) {
        if self.until.is_none() {
            (self.sequence, self.until) = (Some(sequence), Some(now + LIMIT));
        }
    }

    /// Everybody has accepted it, or was waited for long enough.
    pub(super) fn is_over(&self, now: Instant, accepted: impl Fn(u64) -> bool) -> bool {
        self.sequence.is_some_and(accepted) || self.until.is_some_and(|until| now >= until)
    }

    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}
