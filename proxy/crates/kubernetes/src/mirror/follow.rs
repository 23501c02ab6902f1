//! What to ask for next, and what an answer means: pure, time and dice are passed in.
use super::{
    Event,
    wire::{Line, Page},
};
use crate::{
    fault::Fault,
    trim::{Key, Trimmed},
};
use culvert_runtime::backoff::Backoff;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How soon something is asked again that failed for the first time, and at the latest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Objects of a kind that was defined are not given up before its absence has lasted this long.
pub(super) const DOUBT: Duration = Duration::from_secs(10);

/// A watch that is refused this often begins anew with a list.
const MAX_REFUSALS: u32 = 5;

/// Objects in one part of a list.
const PAGE: u32 = 200;

/// One kind of object, and how far it is known.
#[derive(Debug)]
pub(super) struct Follow {
    /// Which of the kinds that are followed.
    kind: usize,
    versions: usize,
    is_custom: bool,
    phase: Phase,
    held: HashMap<Key, Held>,
    /// Of lists: what the last one did not have is gone.
    round: u32,
    backoff: Backoff,
    refusals: u32,
    /// Lists that a watch asked for which then told nothing.
    relists: u32,
    /// Since when nobody knows the kind, of which there were objects.
    doubted: Option<Instant>,
    said: Said,
}

/// What was said of the kind last.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Synced { is_there: bool },
    Unavailable(Fault),
}

#[derive(Clone, Copy, Debug)]
struct Held {
    hash: u64,
    round: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Listing {
        version: usize,
        next: Option<String>,
        restarts: u32,
    },
    Watching {
        version: usize,
        from: String,
    },
    /// Does the kind exist?
    Asking,
    /// It does not.
    Absent,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Do {
    /// List, in a version; `limit`: so many at once.
    List { version: usize, next: Option<String>, limit: Option<u32> },
    /// Watch, in a version, what happened after.
    Watch { version: usize, from: String },
    /// Ask which version the kind is served in, if any.
    Ask,
    /// Wait until a kind was defined.
    Await,
}

impl Follow {
    pub(super) fn new(kind: usize, versions: usize, is_custom: bool) -> Self {
        Self {
            kind,
            versions,
            is_custom,
            phase: Phase::listing(0),
            held: HashMap::new(),
            round: 1,
            backoff: Backoff::new(AGAIN.0, AGAIN.1),
            refusals: 0,
            relists: 0,
            doubted: None,
            said: Said::Nothing,
        }
    }

    pub(super) fn next(&self) -> Do {
        match &self.phase {
            Phase::Listing { version, next, restarts } => {
                // A list in parts that is too old again and again is asked for whole.
                let limit = (*restarts < 2).then_some(PAGE);
                Do::List { version: *version, next: next.clone(), limit }
            }
            Phase::Watching { version, from } => {
                Do::Watch { version: *version, from: from.clone() }
            }
            Phase::Asking => Do::Ask,
            Phase::Absent => Do::Await,
        }
    }

    /// A part of a list has come.
    pub(super) fn page(&mut self, page: Page) -> Vec<Event> {
        let Phase::Listing { version, restarts, .. } = self.phase else { return Vec::new() };
        self.doubted = None;
        let Page { items, resource_version, next } = page;
        let mut events: Vec<_> = items.into_iter().filter_map(|item| self.hold(item)).collect();
        if next.is_some() {
            self.phase = Phase::Listing { version, next, restarts };
            return events;
        }
        let round = self.round;
        let gone: Vec<_> = self.held.extract_if(|_, held| held.round != round).collect();
        events.extend(gone.into_iter().map(|(key, _)| Event::Deleted { kind: self.kind, key }));
        self.phase = Phase::Watching { version, from: resource_version };
        if self.relists < 2 {
            self.backoff.reset();
        }
        events.extend(self.say(Said::Synced { is_there: true }));
        events
    }

    /// A watch begins to answer.
    pub(super) fn opened(&mut self) -> Option<Event> {
        self.say(Said::Synced { is_there: true })
    }

    /// A line of a watch has come.
    pub(super) fn line(&mut self, line: Line) -> Result<Option<Event>, Fault> {
        let (event, version) = match line {
            Line::Bookmark(version) => (None, version),
            Line::Applied(object) => {
                let version = object.resource_version.clone();
                (self.hold(object), version)
            }
            Line::Deleted(Trimmed { key, resource_version, .. }) => {
                let was_held = self.held.remove(&key).is_some();
                let event = was_held.then_some(Event::Deleted { kind: self.kind, key });
                (event, resource_version)
            }
            Line::Ended(fault) => return Err(fault),
        };
        self.backoff.reset();
        (self.refusals, self.relists) = (0, 0);
        if let Phase::Watching { from, .. } = &mut self.phase
            && !version.is_empty()
        {
            *from = version;
        }
        Ok(event)
    }

    /// What was asked for was not had; how long to wait before the next try, and what to say.
    pub(super) fn failed(&mut self, fault: Fault, dice: u64) -> (Duration, Option<Event>) {
        let absent = fault.is_absent() && self.is_custom;
        if let Phase::Watching { .. } = self.phase
            && fault.is_gone()
        {
            // As it should be, after a while without changes.
            self.relists += 1;
            if self.relists < 2 {
                self.backoff.reset();
            }
        }
        let wait = self.backoff.next(dice);
        match self.phase.clone() {
            Phase::Listing { version, next, .. } if absent => {
                // Nothing to be told of: not every cluster has every kind.
                self.begin();
                if version + 1 < self.versions && next.is_none() {
                    self.phase = Phase::listing(version + 1);
                    return (Duration::ZERO, None);
                }
                self.phase = Phase::Asking;
                return (wait, None);
            }
            Phase::Listing { version, next: Some(_), restarts } if fault.is_gone() => {
                self.begin();
                self.phase = Phase::Listing { version, next: None, restarts: restarts + 1 };
                return (wait, None);
            }
            Phase::Watching { .. } if absent => {
                self.begin();
                self.phase = Phase::listing(0);
                return (wait, None);
            }
            Phase::Watching { version, .. } if fault.is_gone() => {
                self.begin();
                self.phase = Phase::listing(version);
                return (wait, None);
            }
            Phase::Watching { version, .. } => {
                self.refusals += u32::from(!matches!(fault, Fault::Unreachable(_)));
                if self.refusals >= MAX_REFUSALS || matches!(fault, Fault::Garbled(_)) {
                    self.refusals = 0;
                    self.begin();
                    self.phase = Phase::listing(version);
                }
            }
            Phase::Listing { .. } | Phase::Asking | Phase::Absent => {}
        }
        (wait, self.say(Said::Unavailable(fault)))
    }

    /// A watch ended that had nothing to say: it is not begun again at once, forever.
    pub(super) fn ended_early(&mut self, dice: u64) -> Duration {
        self.backoff.next(dice)
    }

    /// The kind is served in a version, or in none that is understood.
    pub(super) fn answered(
        &mut self,
        version: Option<usize>,
        now: Instant,
    ) -> (Duration, Vec<Event>) {
        if let Some(version) = version {
            self.begin();
            self.doubted = None;
            self.phase = Phase::listing(version);
            return (Duration::ZERO, Vec::new());
        }
        let since = *self.doubted.get_or_insert(now);
        let left = DOUBT.saturating_sub(now.saturating_duration_since(since));
        if !self.held.is_empty() && !left.is_zero() {
            return (left.min(AGAIN.0 * 10), Vec::new());
        }
        self.doubted = None;
        self.backoff.reset();
        self.phase = Phase::Absent;
        let kind = self.kind;
        let gone = self.held.drain().map(|(key, _)| Event::Deleted { kind, key });
        let mut events: Vec<_> = gone.collect();
        events.extend(self.say(Said::Synced { is_there: false }));
        (Duration::ZERO, events)
    }

    /// A kind may have been defined.
    pub(super) fn woken(&mut self) {
        if self.phase == Phase::Absent {
            self.begin();
            self.phase = Phase::listing(0);
        }
    }

    /// Begins a list.
    fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Notes an object; an event when it is another than before.
    fn hold(&mut self, object: Trimmed) -> Option<Event> {
        let Trimmed { key, json, hash, resource_version: _ } = object;
        let held = Held { hash, round: self.round };
        let before = self.held.insert(key.clone(), held);
        if before.is_some_and(|before| before.hash == hash) {
            return None;
        }
        Some(Event::Applied { kind: self.kind, key, json })
    }

    fn say(&mut self, said: Said) -> Option<Event> {
        if self.said == said {
            return None;
        }
        self.said = said;
        let kind = self.kind;
        match &self.said {
            Said::Nothing => None,
            Said::Synced { is_there } => Some(Event::Synced { kind, is_there: *is_there }),
            Said::Unavailable(why) => Some(Event::Unavailable { kind, why: why.clone() }),
        }
    }
}

impl Phase {
    /// From the beginning.
    fn listing(version: usize) -> Self {
        Self::Listing { version, next: None, restarts: 0 }
    }
}

#[cfg(test)]
mod tests;
