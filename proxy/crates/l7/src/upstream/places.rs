//! All endpoints of a cluster at a moment, ready to be chosen from.
use super::{
    Deps,
    cluster::Ask,
    host::{Host, Place},
    pools::Pools,
    wire::Wire,
};
use culvert_model::{
    http::{
        address::Address,
        balance::Balance,
        endpoint::{Assignment, Endpoint, LocalityEndpoints},
        runtime::RuntimeValues,
        value::Value,
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
}

/// What endpoints are put together under.
pub(super) struct Making<'a> {
    pub(super) balance: &'a Balance,
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
        let known: HashMap<&Address, &Arc<Place>> =
            before.iter().map(|place| (&place.host.address, place)).collect();
        let mut list: Vec<Arc<Place>> = Vec::new();
        let mut here: HashSet<&Address> = HashSet::new();
        for locality in assignment.localities.iter() {
            let shared = &Arc::new(locality.clone());
            for endpoint in locality.endpoints.iter() {
                // An address is one endpoint; who says it twice means the first.
                if !here.insert(&endpoint.address) {
                    continue;
                }
                let place = match known.get(&endpoint.address) {
                    Some(before) => again(before, endpoint, shared, by.wire),
                    None => anew(endpoint, shared, by),
                };
                list.push(place);
            }
        }
        Self::of(assignment, list, by)
    }

    /// The same endpoints, whose health has changed.
    pub(super) fn refreshed(&self, by: &Making<'_>) -> Self {
        Self::of(&self.assignment, self.list.clone(), by)
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
        let balancer = Subsetted::new(by.balance, &members, setting);
        Self { assignment: Arc::clone(assignment), list, balancer, has_fit }
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

    pub(super) fn find(&self, address: &Address) -> Option<&Arc<Place>> {
        self.list.iter().find(|place| place.host.address == *address)
    }
}

fn again(
    before: &Arc<Place>,
    endpoint: &Arc<Endpoint>,
    locality: &Arc<LocalityEndpoints>,
    wire: &Arc<Wire>,
) -> Arc<Place> {
    let host = &before.host;
    let pools = if before.pools.serve(wire, endpoint, locality) {
        Arc::clone(&before.pools)
    } else {
        Arc::new(Pools::new(wire, host, endpoint, locality))
    };
    let (host, endpoint) = (Arc::clone(host), Arc::clone(endpoint));
    Arc::new(Place { host, endpoint, locality: Arc::clone(locality), pools })
}

fn anew(
    endpoint: &Arc<Endpoint>,
    locality: &Arc<LocalityEndpoints>,
    by: &Making<'_>,
) -> Arc<Place> {
    let host = Arc::new(Host::new(endpoint.address.clone(), by.deps.now()));
    let pools = Arc::new(Pools::new(by.wire, &host, endpoint, locality));
    let (endpoint, locality) = (Arc::clone(endpoint), Arc::clone(locality));
    Arc::new(Place { host, endpoint, locality, pools })
}

fn member(place: &Place, locality: u32) -> Member {
    let Place { host, endpoint, locality: of, .. } = place;
    let hash_key = endpoint.metadata.find("envoy.lb", ["hash_key"]).and_then(Value::as_str);
    Member {
        address: Arc::clone(&host.name),
        name: Arc::clone(&endpoint.hostname),
        hash_key: hash_key.map(Arc::from),
        weight: endpoint.weight.get(),
        priority: of.priority,
        locality,
        locality_weight: of.weight.map_or(0, std::num::NonZero::get),
        health: place.health(),
        since: host.since,
        metadata: endpoint.metadata.clone(),
    }
}
