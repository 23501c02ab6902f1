//! Who is announced as reached by HBONE, when plain text is refused, and when a node may let go.
//!
//! Pure: what happens comes in, what follows comes out; time and acknowledgements are passed in.
//!
//! Joining: the node captures a pod, everybody is told to speak HBONE to it, everybody has
//! accepted that, and only then is plain text refused. Leaving is the same backwards: plain text
//! is taken again, everybody is told to speak it, everybody has accepted that, and only then may
//! the node let go. Whoever does not answer is waited for [`LIMIT`] at most. Nothing but leaving
//! turns a captured workload back: no lost stream, no restart.
use culvert_model::name::WorkloadUid;
use culvert_xds::{
    report::{Order, PodState},
    transport::nodes::Acked,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

mod host;
pub mod record;
mod wait;

#[cfg(test)]
mod tests;

use host::{Hosts, Pods};
use record::{Held, Record};
use wait::Wait;

/// How long somebody who does not answer is waited for.
pub const LIMIT: Duration = Duration::from_secs(5);

/// How long nodes have that another replica tells: it hears of a change when we do, and nobody says
/// here that they know.
pub const GRACE: Duration = Duration::from_millis(500);

/// How long requests have that were sent in plain text before everybody knew better: of a workload
/// that was out of the mesh, plain text is refused, and what is open in it ended, no sooner.
pub const FINISH: Duration = Duration::from_secs(1);

/// What is announced of every workload.
#[derive(Debug, Default)]
pub struct Announcer {
    entries: BTreeMap<WorkloadUid, Entry>,
    hosts: Hosts,
    /// Withdrawn, and not everybody may know.
    farewells: BTreeMap<(WorkloadUid, Arc<str>), Wait>,
    /// What earlier lives and other replicas announced.
    known: Record,
    /// To be looked at.
    touched: BTreeSet<WorkloadUid>,
    /// To be looked at each time.
    waiting: BTreeSet<WorkloadUid>,
    /// Shown in another way than at the last step.
    changed: BTreeSet<WorkloadUid>,
    /// Counts whatever changes the record.
    edits: u64,
    /// What everybody has at least to hear of a change.
    grace: Duration,
}

/// What the objects say of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node that it is on.
    pub node: Arc<str>,
    /// It is to be in the mesh.
    pub enrolled: bool,
    /// It says itself that it was captured.
    pub recorded: bool,
}

/// How a workload is shown to everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub hbone: bool,
    /// Plain text may be refused.
    pub strict: bool,
}

/// What follows from what happened.
#[derive(Debug, Default)]
pub struct Step {
    /// Those that are shown in another way than before.
    pub shown: BTreeSet<WorkloadUid>,
    /// For the nodes, once that is published.
    pub orders: Vec<(Arc<str>, Order)>,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    stage: Stage,
    /// It was known, and was not to be in the mesh: somebody may be talking to it in plain text.
    was_out: bool,
}

/// How far one workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Plain,
    /// Everybody is being told to speak HBONE.
    Joining(Wait),
    Settled,
    /// Its own node is being told to take plain text again.
    Leaving(Wait),
}

impl Stage {
    fn shown(self) -> Shown {
        match self {
            Self::Plain => Shown { hbone: false, strict: false },
            Self::Joining(_) | Self::Leaving(_) => Shown { hbone: true, strict: false },
            Self::Settled => Shown { hbone: true, strict: true },
        }
    }
}

impl Announcer {
    /// Goes on from what `known` says was announced.
    pub fn new(known: Record, now: Instant) -> Self {
        // Those that there are not any more are withdrawn with that; whoever enters is taken off.
        let farewells = known
            .iter()
            .map(|(uid, node, _)| ((uid.clone(), Arc::clone(node)), Wait::out(now)))
            .collect();
        Self { farewells, known, ..Self::default() }
    }

    /// One beside others, which tell some of the nodes.
    #[must_use]
    pub fn among_others(self) -> Self {
        Self { grace: GRACE, ..self }
    }

    /// What the objects say of a workload now; `None`: there is no such workload any more.
    pub fn set(&mut self, uid: &WorkloadUid, place: Option<Place>, now: Instant) {
        let before = self.entries.get(uid).map(|entry| &entry.place);
        if before == place.as_ref() {
            return;
        }
        let Some(place) = place else {
            self.part(uid);
            self.entries.remove(uid);
            return;
        };
        if before.is_some_and(|before| before.node != place.node) {
            self.part(uid);
        }
        self.touched.insert(uid.clone());
        match self.entries.get_mut(uid) {
            Some(entry) => {
                entry.was_out |= !place.enrolled;
                entry.place = place;
            }
            None => {
                let (stage, was_out) = (self.recall(uid, &place, now), !place.enrolled);
                self.enter(uid, Entry { place, stage, was_out });
            }
        }
    }

    /// What another replica announced meanwhile.
    pub fn learn(&mut self, known: Record, now: Instant) {
        self.known = known;
        let plain = self.entries.iter().filter(|(_, entry)| entry.stage == Stage::Plain);
        let plain = plain.map(|(uid, entry)| (uid.clone(), entry.place.clone(), entry.was_out));
        for (uid, place, was_out) in plain.collect::<Vec<_>>() {
            let stage = self.recall(&uid, &place, now);
            if place.enrolled && stage != Stage::Plain {
                self.changed.insert(uid.clone());
                self.enter(&uid, Entry { place, stage, was_out });
            }
        }
    }

    /// A node came, by a stream of its own number; an earlier stream of it counts no more.
    pub fn came(&mut self, node: &Arc<str>, stream: u64) {
        self.hosts.came(node, stream);
    }

    /// A node said how its pods are.
    pub fn heard(&mut self, node: &Arc<str>, stream: u64, pods: &Pods) {
        self.touched.extend(self.hosts.heard(node, stream, pods));
    }

    /// A stream ended. What its node holds it still holds.
    pub fn left(&mut self, node: &Arc<str>, stream: u64) {
        self.hosts.left(node, stream);
    }

    /// An order did not get through: it is to be given again.
    pub fn unsent(&mut self, node: &Arc<str>) {
        self.hosts.forget_orders(node);
    }

    pub fn shown(&self, uid: &WorkloadUid) -> Shown {
        self.entries.get(uid).map_or(Shown::default(), |entry| entry.stage.shown())
    }

    /// Whether somebody is waited for.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.farewells.is_empty()
    }

    /// What its node says of a workload, while the node is connected.
    pub fn said(&self, uid: &WorkloadUid) -> Option<&PodState> {
        self.hosts.said(&self.entries.get(uid)?.place.node, uid)
    }

    /// Grows whenever [`record`](Self::record) may be another.
    pub fn edits(&self) -> u64 {
        self.edits
    }

    /// What must outlive this process before it is published.
    pub fn record(&self) -> Record {
        let announced = self.entries.iter().filter_map(|(uid, Entry { place, stage, .. })| {
            let held = match stage {
                Stage::Plain => return None,
                Stage::Joining(_) => Held::Announced,
                Stage::Settled | Stage::Leaving(_) => Held::Settled,
            };
            Some((uid.clone(), Arc::clone(&place.node), held))
        });
        let withdrawn = self.farewells.keys();
        let withdrawn =
            withdrawn.map(|(uid, node)| (uid.clone(), Arc::clone(node), Held::Withdrawn));
        withdrawn.chain(announced).collect()
    }

    /// What was to be shown is published, in the world of `sequence`.
    pub fn published(&mut self, sequence: u64, now: Instant) {
        for uid in &self.waiting {
            if let Some(Stage::Joining(wait) | Stage::Leaving(wait)) =
                self.entries.get_mut(uid).map(|entry| &mut entry.stage)
            {
                wait.published(sequence, now);
            }
        }
        self.farewells.values_mut().for_each(|wait| wait.published(sequence, now));
    }

    /// What follows now; nodes have accepted what `acked` says.
    pub fn step(&mut self, now: Instant, acked: &Acked) -> Step {
        let looked_at = std::mem::take(&mut self.touched);
        for uid in looked_at.iter().chain(&self.waiting.clone()) {
            self.look(uid, now, acked);
        }
        let (before, grace) = (self.farewells.len(), self.grace);
        self.farewells.retain(|(uid, _), wait| {
            !wait.is_over(now, grace, |sequence| acked.everybody(sequence, uid.as_str()))
        });
        self.edits += u64::from(self.farewells.len() != before);
        let orders = self.hosts.orders(&self.farewells);
        Step { shown: std::mem::take(&mut self.changed), orders }
    }

    /// When to look again, even if nothing happens.
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let joined_or_left = self.waiting.iter().filter_map(|uid| self.entries.get(uid));
        let waits = joined_or_left.filter_map(|entry| match &entry.stage {
            Stage::Joining(wait) => Some((wait, self.grace_of(entry))),
            Stage::Leaving(wait) => Some((wait, self.grace)),
            Stage::Plain | Stage::Settled => None,
        });
        let all = waits.chain(self.farewells.values().map(|wait| (wait, self.grace)));
        all.filter_map(|(wait, grace)| wait.until(now, grace)).min()
    }

    fn look(&mut self, uid: &WorkloadUid, now: Instant, acked: &Acked) {
        let Some(entry) = self.entries.get(uid) else { return };
        let Entry { place, stage, was_out } = entry;
        let Place { node, enrolled, recorded } = place;
        let grace = self.grace;
        let joins = self.grace_of(entry);
        let captured = || match self.hosts.said(node, uid) {
            Some(said) => matches!(said, PodState::Captured),
            // Another replica hears of it.
            None => *recorded && !self.hosts.has(node),
        };
        let next = match stage {
            Stage::Plain if *enrolled && captured() => Stage::Joining(Wait::new()),
            Stage::Joining(_) if !enrolled => Stage::Plain,
            Stage::Joining(wait)
                if wait.is_over(now, joins, |sequence| acked.everybody(sequence, uid.as_str())) =>
            {
                Stage::Settled
            }
            Stage::Settled if !enrolled => Stage::Leaving(Wait::new()),
            Stage::Leaving(_) if *enrolled => Stage::Settled,
            Stage::Leaving(wait)
                if wait
                    .is_over(now, grace, |sequence| acked.node(node, sequence, uid.as_str())) =>
            {
                Stage::Plain
            }
            Stage::Plain | Stage::Joining(_) | Stage::Settled | Stage::Leaving(_) => return,
        };
        self.changed.insert(uid.clone());
        if next == Stage::Plain {
            self.part(uid);
        } else {
            let (place, was_out) = (place.clone(), *was_out);
            self.enter(uid, Entry { place, stage: next, was_out });
        }
    }

    /// What everybody has at least before plain text to a workload is refused.
    fn grace_of(&self, joining: &Entry) -> Duration {
        if joining.was_out { self.grace.max(FINISH) } else { self.grace }
    }

    /// Puts a workload into a stage in which it is announced, or that it was never out of.
    fn enter(&mut self, uid: &WorkloadUid, entry: Entry) {
        match entry.stage {
            Stage::Joining(_) | Stage::Leaving(_) => _ = self.waiting.insert(uid.clone()),
            Stage::Plain | Stage::Settled => _ = self.waiting.remove(uid),
        }
        self.edits += 1;
        if entry.stage.shown().hbone {
            self.farewells.remove(&(uid.clone(), Arc::clone(&entry.place.node)));
            self.hosts.announce(&entry.place.node, uid);
        }
        self.entries.insert(uid.clone(), entry);
    }

    /// A workload is announced no more where it was.
    fn part(&mut self, uid: &WorkloadUid) {
        let Some(Entry { place, stage, .. }) = self.entries.get_mut(uid) else { return };
        let node = Arc::clone(&place.node);
        if std::mem::replace(stage, Stage::Plain).shown().hbone {
            self.hosts.withdraw(&node, uid);
            self.farewells.insert((uid.clone(), Arc::clone(&node)), Wait::new());
            self.edits += 1;
        }
        self.known.remove(uid, &node);
        self.waiting.remove(uid);
    }

    /// Where a workload that is new to us was in an earlier life.
    fn recall(&self, uid: &WorkloadUid, place: &Place, now: Instant) -> Stage {
        match self.known.get(uid, &place.node) {
            Some(Held::Announced) => Stage::Joining(Wait::out(now)),
            Some(Held::Settled) if place.enrolled => Stage::Settled,
            // Nobody is connected yet who could say that he knows.
            Some(Held::Settled) => Stage::Leaving(Wait::out(now)),
            Some(Held::Withdrawn) | None if place.recorded && place.enrolled => Stage::Settled,
            Some(Held::Withdrawn) | None => Stage::Plain,
        }
    }
}
