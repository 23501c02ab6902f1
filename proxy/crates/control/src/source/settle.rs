//! When a burst of changes is over: pure, time is passed in.
use std::{
    collections::HashSet,
    hash::Hash,
    time::{Duration, Instant},
};

/// When a burst counts as over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Nothing happened for this long.
    quiet: Duration,
    /// A burst that does not end is cut here, so that a busy source is still read.
    bound: Duration,
}

/// A burst of changes, and the files that are being written.
#[derive(Debug)]
pub(super) struct Settle<F> {
    pace: Pace,
    burst: Option<Burst>,
    /// Written and not closed: reading them now would see half of them.
    open: HashSet<F>,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    first: Instant,
    last: Instant,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is being written.
    Writing,
    /// It is whole, or gone.
    Done,
}

impl Pace {
    /// Editors and checkouts write one file after the other.
    pub(super) const FILES: Self =
        Self { quiet: Duration::from_millis(50), bound: Duration::from_millis(500) };

    /// Objects of an API are whole; those that belong together come close together.
    pub(super) const API: Self =
        Self { quiet: Duration::from_millis(5), bound: Duration::from_millis(50) };
}

impl<F: Eq + Hash> Settle<F> {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, burst: None, open: HashSet::new() }
    }

    pub(super) fn change(&mut self, file: F, change: Change, now: Instant) {
        match change {
            Change::Writing => self.open.insert(file),
            Change::Done => self.open.remove(&file),
        };
        self.happened(now);
    }

    /// Something happened that is no file's.
    pub(super) fn happened(&mut self, now: Instant) {
        let first = self.burst.map_or(now, |burst| burst.first);
        self.burst = Some(Burst { first, last: now });
    }

    /// When the burst is over if nothing more happens; `None` when there is none.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let Burst { first, last } = self.burst?;
        let bound = first + self.pace.bound;
        Some(if self.open.is_empty() { bound.min(last + self.pace.quiet) } else { bound })
    }

    /// The burst is over and will be acted on.
    ///
    /// A file that is still written says so again; one that is not (a new link is never closed)
    /// must not slow down every burst to come.
    pub(super) fn settled(&mut self) {
        self.burst = None;
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_is_over_after_a_quiet_while() {
        let start = Instant::now();
        let mut settle = Settle::new(Pace::FILES);
        assert_eq!(settle.deadline(), None);
        settle.change("a", Change::Done, start);
        settle.change("b", Change::Done, start + 20 * MS);
        assert_eq!(settle.deadline(), Some(start + 70 * MS));
        settle.settled();
        assert_eq!(settle.deadline(), None);
    }

    #[test]
    fn a_burst_without_end_is_cut() {
        let start = Instant::now();
        let mut settle = Settle::new(Pace::FILES);
        for i in 0..100 {
            settle.change("a", Change::Done, start + i * 10 * MS);
        }
        assert_eq!(settle.deadline(), Some(start + 500 * MS));
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for_until_the_bound() {
        let start = Instant::now();
        let mut settle = Settle::new(Pace::FILES);
        settle.change("a", Change::Writing, start);
        assert_eq!(settle.deadline(), Some(start + 500 * MS));
        settle.change("b", Change::Done, start + 10 * MS);
        assert_eq!(settle.deadline(), Some(start + 500 * MS));
        settle.change("a", Change::Done, start + 30 * MS);
        assert_eq!(settle.deadline(), Some(start + 80 * MS));
    }

    #[test]
    fn a_file_that_is_never_closed_slows_one_burst_down() {
        let start = Instant::now();
        let mut settle = Settle::new(Pace::FILES);
        settle.change("link", Change::Writing, start);
        settle.settled();
        settle.change("a", Change::Done, start);
        assert_eq!(settle.deadline(), Some(start + 50 * MS));
    }
}
