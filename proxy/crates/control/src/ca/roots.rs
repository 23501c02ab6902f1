//! The roots of the mesh in a `ConfigMap`, where nodes mount them: written by every replica, and put
//! back when somebody else changes it.
use super::trouble::Trouble;
use culvert_identity::ca::{Authority, bundle};
use culvert_kubernetes::named::{Change, Contents, Following, Named};
use culvert_runtime::{
    alarm,
    backoff::Backoff,
    dice::dice,
    drain::Worker,
    publish::{Generation, View},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What of it is ours.
const KEY: &str = "root.pem";

/// What somebody else wrote is let be for about this long: another replica may have heard of other
/// roots a little earlier. And so long at the most, when it is written again and again.
const LET_BE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Who has kept quiet for so long begins anew.
const QUIET: Duration = Duration::from_secs(120);

/// What is to be in it, what is, and when it is to be written: pure.
#[derive(Debug)]
struct Decision {
    wanted: String,
    /// `None`: not known; `Some(None)`: it is not there, or has no roots.
    found: Option<Option<String>>,
    write: Option<Instant>,
    written: Option<Instant>,
    backoff: Backoff,
}

/// What keeps it.
struct Keeper {
    map: Named,
    following: Following,
    authority: View<Arc<Authority>>,
    seen: Generation,
    decision: Decision,
    trouble: Trouble,
}

/// Keeps `map` until the worker finishes.
pub(crate) fn keep(
    map: Named,
    authority: &View<Arc<Authority>>,
    trouble: &Trouble,
    worker: &Worker,
) {
    let first = authority.pin();
    let keeper = Keeper {
        following: map.follow(worker),
        map,
        authority: authority.clone(),
        seen: first.generation,
        decision: Decision::new(bundle::roots(&first.value)),
        trouble: trouble.clone(),
    };
    worker.spawn_until_finish(keeper.run());
}

impl Decision {
    fn new(wanted: String) -> Self {
        let backoff = Backoff::new(LET_BE.0, LET_BE.1);
        Self { wanted, found: None, write: None, written: None, backoff }
    }

    /// These are the roots now.
    fn want(&mut self, wanted: String, now: Instant) {
        self.wanted = wanted;
        self.backoff.reset();
        self.write = self.is_wrong().then_some(now);
    }

    /// This is what is there now.
    fn find(&mut self, found: Option<String>, now: Instant, dice: u64) {
        let was_known = self.found.is_some();
        self.found = Some(found);
        if !self.is_wrong() {
            self.write = None;
            return;
        }
        if self.written.is_some_and(|at| QUIET <= now.saturating_duration_since(at)) {
            self.backoff.reset();
        }
        // Where there never was one, nodes wait for it.
        let let_be = match (&self.found, was_known) {
            (Some(None), false) => Duration::ZERO,
            _ => self.backoff.next(dice),
        };
        self.write = Some(now + let_be);
    }

    /// It was written.
    fn wrote(&mut self, now: Instant) {
        self.found = Some(Some(self.wanted.clone()));
        (self.write, self.written) = (None, Some(now));
    }

    /// It could not be written.
    fn failed(&mut self, now: Instant, dice: u64) {
        self.write = Some(now + self.backoff.next(dice));
    }

    fn is_wrong(&self) -> bool {
        let found = self.found.as_ref();
        found.is_some_and(|found| found.as_ref() != Some(&self.wanted))
    }
}

impl Keeper {
    async fn run(mut self) {
        loop {
            tokio::select! {
                Some(newer) = self.authority.newer_than(self.seen) => {
                    self.seen = newer.generation;
                    self.decision.want(bundle::roots(&newer.value), Instant::now());
                }
                change = self.following.next() => match change {
                    Some(change) => self.hear(change),
                    None => return,
                },
                () = alarm::at(self.decision.write) => self.write().await,
            }
        }
    }

    fn hear(&mut self, change: Change) {
        let found = match change {
            // What cannot be read is written anew.
            Change::Is(contents) => {
                let text = contents.ok().and_then(|mut contents| contents.remove(KEY));
                text.map(|text| String::from_utf8_lossy(&text).into_owned())
            }
            Change::Absent => None,
            Change::Same => return self.trouble.over(&self.following()),
            Change::Unavailable(why) => return self.trouble.with(&self.following(), &why),
        };
        self.trouble.over(&self.following());
        self.decision.find(found, Instant::now(), dice());
    }

    async fn write(&mut self) {
        let text = self.decision.wanted.clone();
        let contents = Contents::from([(KEY.to_owned(), text.into_bytes())]);
        match self.map.apply(&contents).await {
            Ok(()) => {
                self.decision.wrote(Instant::now());
                self.trouble.over(&self.map);
                tracing::info!(map = %self.map, "the roots were written for nodes");
            }
            Err(fault) => {
                self.decision.failed(Instant::now(), dice());
                self.trouble.with(&self.map, &self.map.in_words(&fault));
            }
        }
    }

    /// What following it is called.
    fn following(&self) -> String {
        format!("changes of {}", self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_nodes_wait_for_is_written_at_once_and_only_once() {
        let now = Instant::now();
        let mut decision = Decision::new("one".to_owned());
        assert_eq!(decision.write, None, "nobody knows what is there");
        decision.find(None, now, 0);
        assert_eq!(decision.write, Some(now));
        decision.wrote(now);
        decision.find(found("one"), now, 0);
        assert_eq!(decision.write, None);
    }

    #[test]
    fn what_is_right_is_let_be_and_what_somebody_changed_is_put_back() {
        let now = Instant::now();
        let mut decision = Decision::new("one".to_owned());
        decision.find(found("one"), now, 0);
        assert_eq!(decision.write, None);
        for wrong in [None, found("two")] {
            decision.find(wrong, now, u64::MAX);
            let at = decision.write.unwrap();
            assert!(now < at && at <= now + LET_BE.1);
            decision.wrote(now);
        }
    }

    #[test]
    fn replicas_that_do_not_agree_write_seldom() {
        let mut now = Instant::now();
        let mut decision = Decision::new("one".to_owned());
        decision.find(found("one"), now, 0);
        let mut writes = 0;
        let end = now + Duration::from_secs(600);
        while now < end {
            decision.find(found("two"), now, 0);
            now = decision.write.unwrap();
            decision.wrote(now);
            writes += 1;
        }
        assert!(writes < 30, "{writes}");
        // One heard of it a little later than the other: nothing is written.
        decision.find(found("two"), now, 0);
        decision.want("two".to_owned(), now);
        assert_eq!(decision.write, None);
    }

    #[test]
    fn other_roots_are_written_at_once() {
        let now = Instant::now();
        let mut decision = Decision::new("one".to_owned());
        decision.want("two".to_owned(), now);
        assert_eq!(decision.write, None, "nobody knows what is there");
        decision.find(found("two"), now, 0);
        decision.want("three".to_owned(), now);
        assert_eq!(decision.write, Some(now));
        decision.failed(now, 0);
        assert!(decision.write > Some(now));
    }
}
