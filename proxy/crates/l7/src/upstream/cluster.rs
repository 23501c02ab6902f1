//! One cluster: what it is made of, and what changes.
use super::{
    Deps, Others,
    health::Checks,
    host::Host,
    limits::Limits,
    outlier,
    passed::Passed,
    places::{Making, Places},
    resolve::Watch,
    tally::Tally,
    traffic::Traffic,
    wire::Wire,
};
use crate::pool::Speaks;
use arc_swap::{ArcSwap, Guard};
use culvert_model::http::{
    cluster::{Cluster, Discovery},
    endpoint::Assignment,
    runtime::RuntimeValues,
    snapshot::Snapshot,
};
use culvert_runtime::dice::dice;
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

/// A cluster at work.
pub struct Upstream {
    config: Arc<Cluster>,
    wire: Arc<Wire>,
    limits: Arc<[Limits; 2]>,
    places: ArcSwap<Places>,
    /// Held by whoever changes the places.
    runtime: Mutex<Arc<RuntimeValues>>,
    passed: Arc<Passed>,
    others: Others,
    owner: Arc<Owner>,
    checks: Arc<Checks>,
    watch: Option<Arc<Watch>>,
    tally: Arc<Tally>,
    pub(super) deps: Arc<Deps>,
}

/// The cluster as it is now, for what goes on when its configuration changes.
#[derive(Debug, Default)]
pub(super) struct Owner {
    now: Mutex<Weak<Upstream>>,
    /// Somebody looks for outliers.
    watching: AtomicBool,
}

impl Upstream {
    /// A cluster that is new, or is no longer what it was.
    pub(super) fn start(
        config: &Arc<Cluster>,
        snapshot: &Snapshot,
        old: Option<&Self>,
        deps: &Arc<Deps>,
        others: Others,
    ) -> Arc<Self> {
        let limits = limits(config, old);
        let runtime = Arc::clone(snapshot.runtime());
        let owner = old.map_or_else(Arc::default, |old| Arc::clone(&old.owner));
        let alike = old.filter(|old| old.config.stat_name == config.stat_name);
        let new = || Arc::new(Tally::new(&deps.stats, &config.stat_name));
        let tally = alike.map_or_else(new, |old| Arc::clone(&old.tally));
        let wire = match old.filter(|old| old.wire.serves(config)) {
            Some(old) => Arc::clone(&old.wire),
            None => {
                let shared = (Arc::clone(&limits), Arc::clone(&tally));
                Arc::new(Wire::new(config, snapshot, shared, deps))
            }
        };
        wire.follow(snapshot);
        let watch = match old.filter(|old| old.config.discovery == config.discovery) {
            Some(old) => old.watch.clone(),
            None => {
                let before = old.and_then(|old| old.watch.as_ref());
                Watch::start(config, before, &owner, &tally, deps)
            }
        };
        let alike = old.filter(|old| {
            old.config.health_checks == config.health_checks && Arc::ptr_eq(&old.wire, &wire)
        });
        let new = || Arc::new(Checks::new(config, &owner, &tally));
        let checks = alike.map_or_else(new, |old| Arc::clone(&old.checks));
        let same_wire = old.filter(|old| Arc::ptr_eq(&old.wire, &wire));
        let passed =
            same_wire.map_or_else(|| Arc::new(Passed::new(&wire)), |old| Arc::clone(&old.passed));
        let making = Making { config, wire: &wire, runtime: &runtime, deps };
        let before = old.map(|old| old.places.load_full());
        let list = before.as_ref().map_or(&[][..], |before| before.list.as_slice());
        outlier::pardon(list, config);
        let assignment = watch.as_ref().map_or_else(|| said(config, snapshot), |watch| watch.now());
        let places = Places::new(&assignment, list, &making);
        if let Some(watch) = &watch {
            watch.fill(&places.list);
        }
        let upstream = Arc::new(Self {
            places: ArcSwap::from_pointee(places),
            config: Arc::clone(config),
            runtime: Mutex::new(runtime),
            passed,
            deps: Arc::clone(deps),
            owner,
            checks,
            watch,
            tally,
            wire,
            limits,
            others,
        });
        upstream.owner.set(&upstream);
        upstream.settle(list.len(), true);
        if let Some(old) = old.filter(|old| !Arc::ptr_eq(&old.checks, &upstream.checks)) {
            old.checks.stop();
        }
        // What was found out since.
        upstream.follow_names();
        outlier::start(&upstream, &upstream.owner);
        upstream
    }

    /// It is gone, whoever still has it.
    pub(super) fn stop(&self) {
        self.checks.stop();
    }

    /// What its configuration does not say: endpoints, secrets, runtime.
    pub(super) fn follow(&self, snapshot: &Snapshot) {
        self.wire.follow(snapshot);
        let same_runtime = {
            let mut runtime = self.runtime.lock();
            let same = Arc::ptr_eq(&runtime, snapshot.runtime());
            *runtime = Arc::clone(snapshot.runtime());
            same
        };
        if let Discovery::Eds { .. } = self.config.discovery {
            let now = self.places.load();
            let assignment = said(&self.config, snapshot);
            if !Arc::ptr_eq(&now.assignment, &assignment) && now.assignment != assignment {
                return self.set_endpoints(&assignment);
            }
        }
        if !same_runtime {
            self.refresh();
        }
    }

    fn set_endpoints(&self, assignment: &Arc<Assignment>) {
        self.change(true, |now, by| Places::new(assignment, &now.list, by));
    }

    /// What names are known for now.
    pub(super) fn follow_names(&self) {
        let Some(watch) = &self.watch else { return };
        let (now, places) = (watch.now(), self.places());
        if places.assignment != now {
            return self.set_endpoints(&now);
        }
        watch.fill(&places.list);
    }

    pub(super) fn speaks(&self, two: bool) -> Speaks {
        self.wire.speaks(two)
    }

    /// The health of an endpoint has changed.
    pub(super) fn refresh(&self) {
        self.change(false, |now, by| now.refreshed(None, by));
    }

    /// The health of an endpoint has become worse: it gets new connections when it is used again.
    pub(super) fn failed(&self, host: &Host) {
        self.change(false, |now, by| now.refreshed(Some(host), by));
        host.cut.notify_waiters();
    }

    /// `said`: by discovery.
    fn change(&self, said: bool, change: impl FnOnce(&Places, &Making<'_>) -> Places) {
        let runtime = self.runtime.lock();
        let (config, wire) = (&*self.config, &self.wire);
        let by = Making { config, wire, runtime: &runtime, deps: &self.deps };
        let before = self.places();
        let places = change(&before, &by);
        if let Some(watch) = &self.watch {
            // Before somebody is sent there.
            watch.fill(&places.list);
        }
        self.places.store(Arc::new(places));
        self.settle(before.list.len(), said);
    }

    /// Has everybody know what endpoints there are; there were `before` so many.
    fn settle(&self, before: usize, said: bool) {
        let places = self.places();
        let fewer = places.list.len() != before;
        if said || fewer {
            self.checks.follow(&places.list, &self.deps);
        }
        self.tally.members(&places.list, fewer || places.has_new);
    }

    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    pub(super) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// What its traffic counts.
    pub fn traffic(&self) -> &Traffic {
        self.tally.traffic()
    }

    /// Shows what is only looked at now and then.
    pub(super) fn measure(&self) {
        self.tally.measure(&self.limits, &self.config.breakers);
    }

    /// Whether a request is refused because the control plane wants fewer (`drop_overloads`).
    pub fn refuses(&self) -> bool {
        let places = self.places.load();
        let mut drops = places.assignment.drops.iter();
        let refuses = drops.any(|drop| drop.fraction.hits(dice()));
        if refuses {
            self.traffic().dropped.inc();
        }
        refuses
    }

    pub fn config(&self) -> &Arc<Cluster> {
        &self.config
    }

    /// The circuit breakers of a priority.
    pub fn limits(&self, high: bool) -> &Limits {
        let [default, of_high] = &*self.limits;
        if high { of_high } else { default }
    }

    pub(super) fn passed(&self) -> &Arc<Passed> {
        &self.passed
    }

    pub(super) fn others(&self) -> &Others {
        &self.others
    }

    pub(super) fn places(&self) -> Arc<Places> {
        self.places.load_full()
    }

    /// The same, for a look.
    pub(super) fn moment(&self) -> Guard<Arc<Places>> {
        self.places.load()
    }
}

impl Owner {
    pub(super) fn get(&self) -> Option<Arc<Upstream>> {
        self.now.lock().upgrade()
    }

    fn set(&self, upstream: &Arc<Upstream>) {
        *self.now.lock() = Arc::downgrade(upstream);
    }

    /// Whether nobody has begun before.
    pub(super) fn begin_watching(&self) -> bool {
        !self.watching.swap(true, Ordering::AcqRel)
    }

    pub(super) fn end_watching(&self) {
        self.watching.store(false, Ordering::Release);
    }
}

/// Circuit breakers go on counting what is in use.
fn limits(config: &Cluster, old: Option<&Upstream>) -> Arc<[Limits; 2]> {
    let breakers = &config.breakers;
    if let Some(old) = old {
        let [default, high] = &*old.limits;
        default.change(&breakers.default);
        high.change(&breakers.high);
        return Arc::clone(&old.limits);
    }
    Arc::new([Limits::new(&breakers.default), Limits::new(&breakers.high)])
}

/// The endpoints as far as they are said and not found out.
fn said(config: &Cluster, snapshot: &Snapshot) -> Arc<Assignment> {
    let nobody = || Arc::new(Assignment::empty(Arc::clone(&config.name)));
    match &config.discovery {
        Discovery::Static(assignment) => Arc::clone(assignment),
        Discovery::Eds { service, .. } => {
            snapshot.assignments().value(service).map_or_else(nobody, Arc::clone)
        }
        Discovery::LogicalDns { .. }
        | Discovery::StrictDns { .. }
        | Discovery::OriginalDst(_)
        | Discovery::Aggregate(_) => nobody(),
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.config.name).finish_non_exhaustive()
    }
}
