//! All endpoints of a cluster at a moment, ready to be chosen from.
use super::{
    Deps,
    host::{Fault, Host, Place},
    pick::Ask,
    pools::Pools,
    wire::Wire,
};
use culvert_model::{
    http::{
        address::Address,
        cluster::{Cluster, Discovery},
        endpoint::{Assignment, Endpoint, HealthStatus, LocalityEndpoints},
        runtime::RuntimeValues,
        value::Fields,
    },
    locality::Locality,
};
use culvert_policy::http::balance::{Choice, Health, Member, Setting, Subsetted};
use culvert_runtime::dice::dice;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// A moment's endpoints.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) assignment: Arc<Assignment>,
    pub(super) list: Vec<Arc<Place>>,
    balancer: Subsetted,
    /// Whether one is fit.
    pub(super) has_fit: bool,
    /// Whether some are chosen from whatever their health.
    pub(super) in_panic: bool,
    /// Whether one was not there before.
    pub(super) has_new: bool,
}

/// What endpoints are put together under.
pub(super) struct Making<'a> {
    pub(super) config: &'a Cluster,
    pub(super) wire: &'a Arc<Wire>,
    pub(super) runtime: &'a RuntimeValues,
    pub(super) deps: &'a Deps,
}

impl Places {
    /// Those of an assignment; what was there `before` stays what it was.
    pub(super) fn new(
        assignment: &Arc<Assignment>,
        before: &[Arc<Place>],
        by: &Making<'_>,
    ) -> Self {
        let mut known: HashMap<&Address, &Arc<Place>> =
            before.iter().map(|place| (&place.host.address, place)).collect();
        let others = by.config.close_pools_on_change && {
            let now: HashSet<_> = assignment.endpoints().map(|one| &one.address).collect();
            now.len() != known.len() || now.iter().any(|address| !known.contains_key(*address))
        };
        let mut list: Vec<Arc<Place>> = Vec::new();
        let mut here: HashSet<&Address> = HashSet::new();
        let mut has_new = false;
        for locality in assignment.localities.iter() {
            let shared = &Arc::new(locality.clone());
            for endpoint in locality.endpoints.iter() {
                // An address is one endpoint; who says it twice means the first.
                if !here.insert(&endpoint.address) {
                    continue;
                }
                let before = known.remove(&endpoint.address);
                has_new |= before.is_none();
                let place = match before {
                    Some(before) => again(before, endpoint, shared, (by, others)),
                    None => anew(endpoint, shared, by),
                };
                list.push(place);
            }
        }
        if by.outlives_discovery() {
            // In the order in which they were.
            let gone = before.iter().filter(|place| known.contains_key(&place.host.address));
            let stay = gone.filter(|place| is_passing(place)).inspect(|place| {
                place.host.set(Fault::Leaving, true);
            });
            list.extend(stay.cloned());
        }
        Self { has_new, ..Self::of(assignment, list, by) }
    }

    /// The same endpoints, whose health has changed; new connections to the one that `failed`.
    pub(super) fn refreshed(&self, failed: Option<&Host>, by: &Making<'_>) -> Self {
        let stays = |place: &&Arc<Place>| {
            !(place.host.has(Fault::Leaving) && place.host.has(Fault::FailedCheck))
        };
        let list = self.list.iter().filter(stays).map(|place| {
            if failed.is_some_and(|failed| std::ptr::eq(failed, &*place.host)) {
                afresh(&place.host, &place.endpoint, &place.locality, by.wire)
            } else {
                Arc::clone(place)
            }
        });
        Self::of(&self.assignment, list.collect(), by)
    }

    fn of(assignment: &Arc<Assignment>, list: Vec<Arc<Place>>, by: &Making<'_>) -> Self {
        let mut localities: Vec<&Locality> = Vec::new();
        let mut members = Vec::with_capacity(list.len());
        for place in &list {
            let locality = &place.locality.locality;
            let at = localities.iter().position(|known| *known == locality);
            let at = at.unwrap_or_else(|| {
                localities.push(locality);
                localities.len() - 1
            });
            members.push(member(place, u32::try_from(at).unwrap_or(u32::MAX)));
        }
        let has_fit = members
            .iter()
            .any(|member| matches!(member.health, Health::Healthy | Health::Degraded));
        let overprovisioning = assignment.overprovisioning;
        let (seed, now) = (dice(), by.deps.now());
        let setting = Setting { runtime: by.runtime, overprovisioning, seed, now };
        let balancer = Subsetted::new(&by.config.balance, &members, setting);
        let assignment = Arc::clone(assignment);
        let in_panic = balancer.whole().loads().panic.contains(&true);
        Self { assignment, list, balancer, has_fit, in_panic, has_new: false }
    }

    /// An endpoint by its cluster's policy.
    pub(super) fn choose(&self, ask: &Ask<'_>, now: Duration) -> Option<&Arc<Place>> {
        let host = |at: usize| self.list.get(at).map(|place| &*place.host);
        let avoid = |host: &Host| ask.avoid.iter().any(|one| std::ptr::eq(&**one, host));
        let mut choice = Choice {
            hash: ask.hash,
            dice: &mut dice,
            active: &|at| host(at).map_or(0, Host::active),
            now,
            avoid: &|at| host(at).is_some_and(avoid),
            attempts: if ask.avoid.is_empty() { 0 } else { ask.attempts },
        };
        self.list.get(self.balancer.choose(ask.subset, &mut choice)?)
    }

    /// Which of the list a request that asks for `subset` may go to.
    pub(super) fn reach(&self, subset: Option<&Fields>) -> Vec<usize> {
        self.balancer.reach(subset)
    }

    pub(super) fn find(&self, address: &Address) -> Option<&Arc<Place>> {
        self.list.iter().find(|place| place.host.address == *address)
    }
}

impl Making<'_> {
    /// Whether endpoints that are gone from discovery stay while their checks succeed.
    fn outlives_discovery(&self) -> bool {
        let found =
            matches!(self.config.discovery, Discovery::Eds { .. } | Discovery::StrictDns { .. });
        found && !self.config.health_checks.is_empty() && !self.config.ignore_health_on_removal
    }

    fn is_checked(&self, endpoint: &Endpoint) -> bool {
        !self.config.health_checks.is_empty() && !endpoint.check.disabled
    }
}

fn is_passing(place: &Place) -> bool {
    !place.endpoint.check.disabled
        && !place.host.has(Fault::FailedCheck)
        && place.endpoint.health != HealthStatus::Unhealthy
}

/// One that was there before; with `others` beside it that were not, if that matters.
fn again(
    before: &Arc<Place>,
    endpoint: &Arc<Endpoint>,
    locality: &Arc<LocalityEndpoints>,
    (by, others): (&Making<'_>, bool),
) -> Arc<Place> {
    let host = &before.host;
    host.set(Fault::Leaving, false);
    if !by.is_checked(endpoint) {
        host.forget_checks();
    }
    if others || !before.pools.serve(by.wire, endpoint, locality) {
        return afresh(host, endpoint, locality, by.wire);
    }
    let (host, pools) = (Arc::clone(host), Arc::clone(&before.pools));
    let (endpoint, locality) = (Arc::clone(endpoint), Arc::clone(locality));
    Arc::new(Place { host, endpoint, locality, pools })
}

fn anew(
    endpoint: &Arc<Endpoint>,
    locality: &Arc<LocalityEndpoints>,
    by: &Making<'_>,
) -> Arc<Place> {
    let host = Arc::new(Host::new(endpoint.address.clone(), by.deps.now()));
    if by.is_checked(endpoint) {
        host.set(Fault::FailedCheck, true);
        host.set(Fault::Unchecked, by.config.balance.ignore_new_until_checked);
    }
    afresh(&host, endpoint, locality, by.wire)
}

/// With new connections.
fn afresh(
    host: &Arc<Host>,
    endpoint: &Arc<Endpoint>,
    locality: &Arc<LocalityEndpoints>,
    wire: &Arc<Wire>,
) -> Arc<Place> {
    let pools = Arc::new(Pools::new(wire, host, endpoint, locality));
    let (endpoint, locality) = (Arc::clone(endpoint), Arc::clone(locality));
    Arc::new(Place { host: Arc::clone(host), endpoint, locality, pools })
}

fn member(place: &Place, locality: u32) -> Member {
    let Place { host, endpoint, locality: of, .. } = place;
    Member::new(endpoint, &host.name, (of, locality), (place.health(), host.since()))
}
