//! One cluster, and which of its endpoints a request goes to.
use super::{
    Deps, Others,
    chosen::{Chosen, Raw},
    greeting::Ends,
    health::Checks,
    host::{Host, Place},
    limits::Limits,
    outlier,
    passed::Passed,
    places::{Making, Places},
    pools::Key,
    resolve::Watch,
    tally::Tally,
    traffic::Traffic,
    wire::Wire,
};
use crate::{forward::NoHost, pool::Speaks};
use arc_swap::ArcSwap;
use culvert_model::http::{
    address::Address,
    cluster::{Cluster, Discovery},
    endpoint::Assignment,
    runtime::RuntimeValues,
    snapshot::Snapshot,
    value::Fields,
};
use culvert_runtime::dice::dice;
use parking_lot::Mutex;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

/// How deep clusters of clusters may be.
const DEPTH: u32 = 8;

/// A cluster at work.
pub struct Upstream {
    config: Arc<Cluster>,
    wire: Arc<Wire>,
    limits: Arc<[Limits; 2]>,
    places: ArcSwap<Places>,
    /// Held by whoever changes the places.
    runtime: Mutex<Arc<RuntimeValues>>,
    passed: Passed,
    others: Others,
    owner: Arc<Owner>,
    checks: Arc<Checks>,
    watch: Option<Arc<Watch>>,
    tally: Arc<Tally>,
    pub(super) deps: Deps,
}

/// The cluster as it is now, for what goes on when its configuration changes.
#[derive(Debug, Default)]
pub(super) struct Owner {
    now: Mutex<Weak<Upstream>>,
    /// Somebody looks for outliers.
    watching: AtomicBool,
}

/// What a choice goes by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    pub hash: Option<u64>,
    /// The route's priority.
    pub high: bool,
    /// What the route's metadata has below `envoy.lb`.
    pub subset: Option<&'a Fields>,
    /// Others are looked for, so often.
    pub avoid: &'a [Arc<Host>],
    pub attempts: u32,
    pub downstream: Downstream<'a>,
    /// No other endpoint will do.
    pub only: Option<&'a Address>,
}

/// What of the connection and request downstream the one upstream goes by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Downstream<'a> {
    /// It came by HTTP/2.
    pub two: bool,
    /// The request's host, or what the header of the cluster's `sni_header` says.
    pub host: Option<&'a str>,
    /// For PROXY headers.
    pub ends: Option<Ends>,
    /// Where it was bound, for `ORIGINAL_DST`.
    pub destination: Option<SocketAddr>,
}

impl Upstream {
    /// A cluster that is new, or is no longer what it was.
    pub(super) fn start(
        config: &Arc<Cluster>,
        snapshot: &Snapshot,
        old: Option<&Self>,
        deps: &Deps,
        others: Others,
    ) -> Arc<Self> {
        let limits = limits(config, old);
        let runtime = Arc::clone(snapshot.runtime());
        let owner = old.map_or_else(Arc::default, |old| Arc::clone(&old.owner));
        let tally = match old.filter(|old| old.config.stat_name == config.stat_name) {
            Some(old) => Arc::clone(&old.tally),
            None => Arc::new(Tally::new(&deps.stats, &config.stat_name)),
        };
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
        let checked_alike = |old: &&Self| {
            old.config.health_checks == config.health_checks && Arc::ptr_eq(&old.wire, &wire)
        };
        let checks = match old.filter(checked_alike) {
            Some(old) => Arc::clone(&old.checks),
            None => Arc::new(Checks::new(config, &owner, &tally)),
        };
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
            passed: Passed::default(),
            deps: deps.clone(),
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

    pub(super) fn passed(&self) -> &Passed {
        &self.passed
    }

    pub(super) fn places(&self) -> Arc<Places> {
        self.places.load_full()
    }

    /// Whether an endpoint is fit for requests.
    pub fn has_fit(&self) -> bool {
        match &self.config.discovery {
            Discovery::OriginalDst(_) => true,
            Discovery::Aggregate(names) => {
                let Some(others) = self.others.upgrade() else { return false };
                names.iter().filter_map(|name| others.find(name)).any(|one| {
                    // Of clusters within clusters, only what they have themselves.
                    one.places.load().has_fit
                })
            }
            Discovery::Static(_)
            | Discovery::Eds { .. }
            | Discovery::StrictDns { .. }
            | Discovery::LogicalDns { .. } => self.places.load().has_fit,
        }
    }

    /// An endpoint for a request, and the pool of its connections.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn choose(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Chosen, NoHost> {
        let (upstream, place) = self.pick(ask, 0).ok_or_else(|| self.nobody())?;
        let key = upstream.key(&place, ask, false);
        Ok(Chosen::new(upstream, place, key))
    }

    /// An endpoint for a connection of no HTTP.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn choose_raw(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Raw, NoHost> {
        let (upstream, place) = self.pick(ask, 0).ok_or_else(|| self.nobody())?;
        let key = upstream.key(&place, ask, true);
        Ok(Raw::new(upstream, place, key))
    }

    fn nobody(&self) -> NoHost {
        self.traffic().none_healthy.inc();
        NoHost
    }

    /// The endpoint, and the cluster that has it.
    fn pick(self: &Arc<Self>, ask: &Ask<'_>, depth: u32) -> Option<(Arc<Self>, Arc<Place>)> {
        let place = match &self.config.discovery {
            Discovery::Aggregate(names) => return self.pick_of(names, ask, depth),
            Discovery::OriginalDst(config) => {
                let mut to = ask.downstream.destination?;
                to.set_port(config.port.unwrap_or(to.port()));
                self.passed.place(to, &self.config, &self.wire)
            }
            Discovery::Static(_)
            | Discovery::Eds { .. }
            | Discovery::StrictDns { .. }
            | Discovery::LogicalDns { .. } => {
                let places = self.places.load();
                if places.in_panic {
                    self.traffic().panic.inc();
                }
                match ask.only {
                    Some(address) => Arc::clone(places.find(address)?),
                    None => Arc::clone(places.choose(ask, self.deps.now())?),
                }
            }
        };
        Some((Arc::clone(self), place))
    }

    /// Of the first cluster with a fit endpoint, else of the first that gives any.
    fn pick_of(
        &self,
        names: &[Arc<str>],
        ask: &Ask<'_>,
        depth: u32,
    ) -> Option<(Arc<Self>, Arc<Place>)> {
        if DEPTH <= depth {
            return None;
        }
        let others = self.others.upgrade()?;
        let all: Vec<_> = names.iter().filter_map(|name| others.find(name)).collect();
        let mut fit = all.iter().filter(|one| one.has_fit());
        let found = fit.find_map(|one| one.pick(ask, depth + 1));
        found.or_else(|| all.iter().find_map(|one| one.pick(ask, depth + 1)))
    }

    fn key(&self, place: &Place, ask: &Ask<'_>, raw: bool) -> Key {
        use culvert_model::http::cluster::UpstreamVersion;

        let http = &self.config.http;
        let Downstream { two, host, ends, .. } = ask.downstream;
        let by_host = !raw && http.auto_sni && place.pools.is_secure();
        let sni = host.filter(|_| by_host).map(without_port);
        Key {
            high: ask.high,
            two: two && http.version == UpstreamVersion::AsDownstream,
            sni: sni.filter(|sni| !sni.is_empty()).map(Arc::from),
            ends: ends.filter(|_| place.pools.greets()),
        }
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

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.config.name).finish_non_exhaustive()
    }
}
