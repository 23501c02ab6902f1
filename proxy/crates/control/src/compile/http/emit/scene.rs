//! What messages are made of: the plan, services, workloads; and what depends on what.
//!
//! Whoever makes messages looks through a `Reader`, which notes what was looked at: whatever
//! changes later, what has looked at it is made anew, and nothing else.
use super::super::plan::{Labels, Plan, has_all, policy::Policy};
use crate::{
    compile::mesh::Certificates,
    object::{roots::Roots, secret::Secret},
};
use culvert_model::{
    member::Member,
    name::{ObjectName, ServiceName, WorkloadUid},
    service::{Port, Service},
};
use ipnet::IpNet;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU16,
    sync::Arc,
};

mod edit;

pub use edit::Edit;

/// Everything there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    pub(super) services: BTreeMap<ServiceName, Arc<ServiceFacts>>,
    /// In which namespaces a host is.
    pub(super) hosts: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    pub(super) doors: BTreeMap<Door, BTreeSet<ServiceName>>,
    /// The doors of each service.
    pub(super) doors_of: BTreeMap<ServiceName, BTreeSet<Door>>,
    pub(super) workloads: BTreeMap<WorkloadUid, Arc<WorkloadFacts>>,
    pub(super) endpoints: BTreeMap<ServiceName, BTreeSet<WorkloadUid>>,
    pub(super) pods: BTreeMap<Place, BTreeSet<WorkloadUid>>,
    pub(super) plan: Arc<Plan>,
    /// Those of the plan by their namespaces, in its order.
    pub(super) policies: BTreeMap<Arc<str>, Vec<Arc<Policy>>>,
    pub(super) secrets: BTreeMap<ObjectName, Arc<Secret>>,
    pub(super) roots: BTreeMap<ObjectName, Arc<Roots>>,
    pub(super) root_namespace: Arc<str>,
    /// What applications are told of their clients' certificates.
    pub(super) certificates: Certificates,
}

/// An address and a port that clients connect to.
pub type Door = (IpAddr, NonZeroU16);

/// A namespace on a node.
pub type Place = (Arc<str>, Arc<str>);

/// What is known of a service, but for what must pass L7: that follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    pub service: Arc<Service>,
    pub resolution: Resolution,
    /// Its label, or its namespace's, asks for L7.
    pub labelled: bool,
}

/// How a service's endpoints are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// They are known.
    #[default]
    Known,
    /// Every address that a name has.
    Names,
    /// One address that a name has.
    OneName,
    /// Wherever connections were meant to go.
    Original,
}

/// What is known of a workload, but for what must pass L7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadFacts {
    pub member: Arc<Member>,
    pub labels: Arc<Labels>,
}

/// Something that messages depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dep {
    /// A service, and what is asked of it.
    Service(ServiceName),
    Endpoints(ServiceName),
    /// Who has a host.
    Host(Arc<str>),
    Door(Door),
    Pods(Place),
    /// Those of a service account.
    Account(ObjectName),
    Gateway(ObjectName),
    /// What gateways are chosen for by their labels.
    Chosen,
    /// Those of a namespace.
    Policies(Arc<str>),
    Secret(ObjectName),
    Roots(ObjectName),
}

/// What has changed.
pub type Changed = BTreeSet<Dep>;

impl Scene {
    /// An empty one; `root_namespace` is that of policies for the whole mesh.
    pub fn new(root_namespace: impl Into<Arc<str>>) -> Self {
        Self { root_namespace: root_namespace.into(), ..Self::default() }
    }

    pub fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.services.keys()
    }

    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<&Arc<ServiceFacts>> {
        self.services.get(name)
    }

    #[must_use]
    pub fn workload(&self, uid: &WorkloadUid) -> Option<&Arc<WorkloadFacts>> {
        self.workloads.get(uid)
    }

    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes a service in the place of what had its name.
    pub fn set_service(&mut self, name: &ServiceName, new: Option<Arc<ServiceFacts>>) -> Changed {
        let mut changed = Changed::new();
        if self.services.get(name) == new.as_ref() {
            return changed;
        }
        changed.insert(Dep::Service(name.clone()));
        let host = &name.hostname;
        match new {
            Some(new) => {
                let hosts = self.hosts.entry(Arc::clone(host)).or_default();
                if hosts.insert(Arc::clone(&name.namespace)) {
                    changed.insert(Dep::Host(Arc::clone(host)));
                }
                self.services.insert(name.clone(), new);
            }
            None => {
                remove(&mut self.hosts, host, &name.namespace);
                changed.insert(Dep::Host(Arc::clone(host)));
                self.services.remove(name);
            }
        }
        self.open(name, &mut changed);
        changed
    }

    /// Takes a workload in the place of what had its name.
    pub fn set_workload(&mut self, uid: &WorkloadUid, new: Option<Arc<WorkloadFacts>>) -> Changed {
        let mut changed = Changed::new();
        if self.workloads.get(uid) == new.as_ref() {
            return changed;
        }
        let mut services = BTreeSet::new();
        if let Some(old) = self.workloads.remove(uid) {
            for (service, _) in old.member.services.iter() {
                remove(&mut self.endpoints, service, uid);
                services.insert(service.clone());
            }
            changed.insert(Dep::Account(old.account()));
            let place = old.place();
            remove(&mut self.pods, &place, uid);
            changed.insert(Dep::Pods(place));
        }
        if let Some(new) = new {
            for (service, _) in new.member.services.iter() {
                self.endpoints.entry(service.clone()).or_default().insert(uid.clone());
                services.insert(service.clone());
            }
            changed.insert(Dep::Account(new.account()));
            let place = new.place();
            self.pods.entry(place.clone()).or_default().insert(uid.clone());
            changed.insert(Dep::Pods(place));
            self.workloads.insert(uid.clone(), new);
        }
        for service in services {
            self.open(&service, &mut changed);
            changed.insert(Dep::Endpoints(service));
        }
        changed
    }

    /// Finds out again where clients connect to a service.
    fn open(&mut self, name: &ServiceName, changed: &mut Changed) {
        let now = self.services.get(name).map(|facts| self.doors(facts)).unwrap_or_default();
        let old = self.doors_of.remove(name).unwrap_or_default();
        for door in old.difference(&now) {
            remove(&mut self.doors, door, name);
        }
        for door in now.difference(&old) {
            self.doors.entry(*door).or_default().insert(name.clone());
        }
        // Who comes and who goes is of interest to those who share a door.
        changed.extend(old.symmetric_difference(&now).copied().map(Dep::Door));
        if !now.is_empty() {
            self.doors_of.insert(name.clone(), now);
        }
    }

    /// Its addresses, or those of its endpoints; ranges of addresses are no doors.
    fn doors(&self, facts: &ServiceFacts) -> BTreeSet<Door> {
        let service = &facts.service;
        if facts.is_headless() {
            let uids = self.endpoints.get(&service.host).into_iter().flatten();
            let all = uids.filter_map(|uid| self.workloads.get(uid));
            let ips = all.flat_map(|workload| workload.member.addresses.iter().copied());
            let targets = || service.ports.iter().filter_map(|port| port.target);
            return ips.flat_map(|ip| targets().map(move |target| (ip, target))).collect();
        }
        let ranges = service.vips.iter().map(|vip| vip.range);
        let single = ranges.filter(is_single);
        let ports = || service.ports.iter().map(|port| port.port);
        single.flat_map(|net| ports().map(move |port| (net.addr(), port))).collect()
    }

    pub(in crate::compile) fn endpoints_of(
        &self,
        name: &ServiceName,
    ) -> impl Iterator<Item = &WorkloadUid> {
        self.endpoints.get(name).into_iter().flatten()
    }

    /// The workloads that policies of a namespace may be about.
    pub(in crate::compile) fn concerned(
        &self,
        namespace: &Arc<str>,
    ) -> impl Iterator<Item = &WorkloadUid> {
        let is_root = *namespace == self.root_namespace;
        let is_meant = move |place: &Place| is_root || place.0 == *namespace;
        let places = self.pods.iter().filter(move |(place, _)| is_meant(place));
        places.flat_map(|(_, uids)| uids)
    }

    pub(super) fn is_headless(&self, name: &ServiceName) -> bool {
        self.services.get(name).is_some_and(|facts| facts.is_headless())
    }

    /// Takes a plan in the place of the one before.
    pub fn set_plan(&mut self, plan: impl Into<Arc<Plan>>) -> Changed {
        let mut changed = Changed::new();
        let old = std::mem::replace(&mut self.plan, plan.into());
        let new = &self.plan;
        if Arc::ptr_eq(&old, new) {
            return changed;
        }
        for name in differing(&old.services, &new.services) {
            changed.insert(Dep::Service(name.clone()));
            // Whether somebody listens there may depend on it.
            let doors = self.doors_of.get(name).into_iter().flatten();
            changed.extend(doors.copied().map(Dep::Door));
        }
        let gateways = differing(&old.gateways, &new.gateways);
        changed.extend(gateways.map(|name| Dep::Gateway(name.clone())));
        if old.chosen != new.chosen {
            changed.insert(Dep::Chosen);
        }
        for key in differing(&old.policies, &new.policies) {
            let policies = [old.policies.get(key), new.policies.get(key)];
            let of = |policy: &Arc<Policy>| Dep::Policies(Arc::clone(&policy.name.namespace));
            changed.extend(policies.into_iter().flatten().map(of));
        }
        if old.policies != new.policies {
            self.policies.clear();
            for policy in new.policies.values() {
                let of = self.policies.entry(Arc::clone(&policy.name.namespace)).or_default();
                of.push(Arc::clone(policy));
            }
        }
        changed
    }
}

impl ServiceFacts {
    /// A port by its number.
    pub(super) fn port(&self, number: NonZeroU16) -> Option<&Port> {
        self.service.ports.iter().find(|port| port.port == number)
    }

    /// The port that clients mean who connect to a door with that number.
    pub(super) fn at_door(&self, number: NonZeroU16) -> Option<&Port> {
        match self.is_headless() {
            true => self.service.ports.iter().find(|port| port.target == Some(number)),
            false => self.port(number),
        }
    }

    /// Whether connections of pods to it can be told by their addresses: those to a range of addresses
    /// have no listener, and of a service without any nobody knows.
    pub(super) fn has_doors(&self) -> bool {
        let vips = &self.service.vips;
        self.is_headless() || (!vips.is_empty() && vips.iter().all(|vip| is_single(&vip.range)))
    }

    /// Reached by the addresses of its endpoints.
    pub(super) fn is_headless(&self) -> bool {
        self.service.vips.is_empty() && self.resolution == Resolution::Known
    }
}

/// Whether it is one address.
fn is_single(range: &IpNet) -> bool {
    range.prefix_len() == range.max_prefix_len()
}

impl WorkloadFacts {
    /// Where it is.
    pub(super) fn place(&self) -> Place {
        (Arc::clone(&self.member.name.namespace), Arc::clone(&self.member.node))
    }

    /// Whose it is.
    pub(super) fn account(&self) -> ObjectName {
        let identity = &self.member.identity;
        ObjectName::new(identity.namespace(), identity.service_account())
    }

    pub(super) fn has(&self, labels: &Labels) -> bool {
        has_all(&self.labels, labels)
    }
}

/// Takes something out of a set, and the set when it is empty.
fn remove<K: Ord, V: Ord>(sets: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

/// The keys by which two maps have something else.
fn differing<'a, K: Ord, V: PartialEq>(
    old: &'a BTreeMap<K, V>,
    new: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    let gone = old.keys().filter(|key| !new.contains_key(key));
    gone.chain(new.iter().filter(|(key, value)| old.get(key) != Some(value)).map(|(key, _)| key))
}
