//! One cluster, and which of its endpoints a request goes to.
use super::{
    Deps, Others,
    chosen::{Chosen, Raw},
    greeting::Ends,
    host::{Host, Place},
    limits::Limits,
    outlier,
    passed::Passed,
    places::{Making, Places},
    pools::Key,
    resolve,
    wire::Wire,
};
use crate::forward::NoHost;
use arc_swap::ArcSwap;
use culvert_model::http::{
    address::Address,
    cluster::{Cluster, Discovery},
    endpoint::Assignment,
    runtime::RuntimeValues,
    snapshot::Snapshot,
    value::Fields,
};
use parking_lot::Mutex;
use std::{fmt, net::SocketAddr, sync::Arc};

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
    pub(super) deps: Deps,
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
        let wire = match old.filter(|old| old.wire.serves(config)) {
            Some(old) => Arc::clone(&old.wire),
            None => Arc::new(Wire::new(config, snapshot, Arc::clone(&limits), deps)),
        };
        wire.follow(snapshot);
        let runtime = Arc::clone(snapshot.runtime());
        let making = Making { balance: &config.balance, wire: &wire, runtime: &runtime, deps };
        let before = old.map(|old| old.places.load_full());
        let list = before.as_ref().map_or(&[][..], |before| before.list.as_slice());
        let kept = old.filter(|old| old.config.discovery == config.discovery).and(before.as_ref());
        let assignment = match (&config.discovery, kept) {
            (Discovery::StrictDns { .. }, Some(kept)) => Arc::clone(&kept.assignment),
            _ => said(config, snapshot),
        };
        let places = Places::new(&assignment, list, &making);
        let upstream = Arc::new(Self {
            places: ArcSwap::from_pointee(places),
            config: Arc::clone(config),
            runtime: Mutex::new(runtime),
            passed: Passed::default(),
            deps: deps.clone(),
            wire,
            limits,
            others,
        });
        resolve::start(&upstream);
        outlier::start(&upstream);
        upstream
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

    pub(super) fn set_endpoints(&self, assignment: &Arc<Assignment>) {
        self.change(|now, by| Places::new(assignment, &now.list, by));
    }

    /// The health of an endpoint has changed.
    pub(super) fn refresh(&self) {
        self.change(Places::refreshed);
    }

    fn change(&self, change: impl FnOnce(&Places, &Making<'_>) -> Places) {
        let runtime = self.runtime.lock();
        let (balance, wire) = (&self.config.balance, &self.wire);
        let by = Making { balance, wire, runtime: &runtime, deps: &self.deps };
        let places = change(&self.places.load(), &by);
        self.places.store(Arc::new(places));
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
        let (upstream, place) = self.pick(ask, 0).ok_or(NoHost)?;
        let key = upstream.key(&place, ask, false);
        Ok(Chosen::new(upstream, place, key))
    }

    /// An endpoint for a connection of no HTTP.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn choose_raw(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Raw, NoHost> {
        let (upstream, place) = self.pick(ask, 0).ok_or(NoHost)?;
        let key = upstream.key(&place, ask, true);
        Ok(Raw::new(upstream, place, key))
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
        // A name of these is resolved by each connection.
        Discovery::Static(assignment) | Discovery::LogicalDns { assignment, .. } => {
            Arc::clone(assignment)
        }
        Discovery::Eds { service, .. } => {
            snapshot.assignments().value(service).map_or_else(nobody, Arc::clone)
        }
        Discovery::StrictDns { .. } | Discovery::OriginalDst(_) | Discovery::Aggregate(_) => {
            nobody()
        }
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
