//! Some of it after a change: what is asked of the services that changed objects speak of.
//!
//! Whoever speaks of one of these is read again, and nobody else. Where objects say more than what
//! they say of services (at gateways, for others to delegate to), all of it is asked for anew.
use super::{
    Asked, Objects, by_age,
    hosts::{Hosts, full_pattern},
    references::{self, destinations},
    routing, services, unheeded,
};
use crate::{
    compile::http::plan::ServicePlan,
    object::istio::virtual_service::{GatewayRef, VirtualService},
};
use culvert_model::name::{ObjectName, ServiceName};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Of which services objects speak.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct About {
    routes: Speakers,
    rules: Speakers,
    /// `VirtualService`s that say more than that, or are named by those that do.
    entangled: BTreeSet<ObjectName>,
}

/// Objects of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
struct Speakers {
    of: BTreeMap<ServiceName, BTreeSet<ObjectName>>,
    about: BTreeMap<ObjectName, BTreeSet<ServiceName>>,
}

/// Objects that may be others than before.
#[derive(Clone, Copy, Debug)]
pub struct Changed<'a> {
    pub virtual_services: &'a BTreeSet<ObjectName>,
    pub destination_rules: &'a BTreeSet<ObjectName>,
}

impl About {
    pub(super) fn of(objects: &Objects<'_>) -> Self {
        let mut about = Self::default();
        about.note(objects);
        for service in &objects.virtual_services {
            about.entangled.extend(entangled(service));
        }
        about
    }

    /// Forgets some, and says of which services they spoke.
    fn forget(&mut self, objects: Changed<'_>) -> BTreeSet<ServiceName> {
        let mut services = self.routes.forget(objects.virtual_services);
        services.extend(self.rules.forget(objects.destination_rules));
        services
    }

    /// Of which services some speak.
    fn services(&self, objects: Changed<'_>) -> impl Iterator<Item = ServiceName> {
        let routes = objects.virtual_services.iter().filter_map(|one| self.routes.about.get(one));
        let rules = objects.destination_rules.iter().filter_map(|one| self.rules.about.get(one));
        routes.chain(rules).flatten().cloned()
    }

    fn note(&mut self, objects: &Objects<'_>) {
        for service in &objects.virtual_services {
            let hosts = routing::hosts(service);
            let services = hosts.iter().flat_map(|host| objects.hosts.covered(host)).cloned();
            self.routes.note(&service.meta.name, services.collect());
        }
        for rule in &objects.destination_rules {
            let own = &rule.meta.name.namespace;
            let host = full_pattern(&rule.host.value, own);
            let mut services: BTreeSet<_> = objects.hosts.covered(&host).cloned().collect();
            if services.is_empty() {
                // Rules for one host are one, whether or not there is a service.
                services.insert(ServiceName::new(Arc::clone(own), host.as_str()));
            }
            self.rules.note(&rule.meta.name, services);
        }
    }
}

impl Speakers {
    fn note(&mut self, object: &ObjectName, services: BTreeSet<ServiceName>) {
        for service in &services {
            self.of.entry(service.clone()).or_default().insert(object.clone());
        }
        if !services.is_empty() {
            self.about.insert(object.clone(), services);
        }
    }

    /// Forgets some, and says of which services they spoke.
    fn forget(&mut self, objects: &BTreeSet<ObjectName>) -> BTreeSet<ServiceName> {
        let mut forgotten = BTreeSet::new();
        for object in objects {
            let services = self.about.remove(object).unwrap_or_default();
            services.iter().for_each(|service| self.forget_one(object, service));
            forgotten.extend(services);
        }
        forgotten
    }

    fn forget_one(&mut self, object: &ObjectName, service: &ServiceName) {
        let Some(speakers) = self.of.get_mut(service) else { return };
        speakers.remove(object);
        if speakers.is_empty() {
            self.of.remove(service);
        }
    }

    fn of(&self, services: &BTreeSet<ServiceName>) -> impl Iterator<Item = ObjectName> {
        services.iter().filter_map(|name| self.of.get(name)).flatten().cloned()
    }
}

impl Asked {
    /// Follows a change of some of `objects`, where all else is as it was; says of how many
    /// services something else is asked. `None`: all of it is to be asked for anew.
    pub fn follow(&mut self, objects: &Objects<'_>, changed: Changed<'_>) -> Option<usize> {
        let Changed { virtual_services, destination_rules } = changed;
        let new = some(objects, virtual_services, destination_rules);
        let says_more = new.virtual_services.iter().any(|&one| !entangled(one).is_empty());
        if says_more || !self.about.entangled.is_disjoint(virtual_services) {
            return None;
        }
        let mut asked = self.about.forget(changed);
        self.about.note(&new);
        asked.extend(self.about.services(changed));
        let mut routes: BTreeSet<ObjectName> = self.about.routes.of(&asked).collect();
        routes.extend(virtual_services.iter().cloned());
        let mut rules: BTreeSet<ObjectName> = self.about.rules.of(&asked).collect();
        rules.extend(destination_rules.iter().cloned());
        if !destination_rules.is_empty() {
            // Whoever names a subset is told when there is none.
            let all = objects.virtual_services.iter();
            let naming = all.filter(|one| names_subset(one, objects.hosts, &asked));
            routes.extend(naming.map(|one| one.meta.name.clone()));
        }
        if !self.about.entangled.is_disjoint(&routes) {
            return None;
        }
        let some = by_age(Objects { only: Some(&asked), ..some(objects, &routes, &rules) });
        let mut notes = Vec::new();
        let mut now = services(&some, &mut notes);
        let others = asked.iter().filter(|name| self.replace(name, now.remove(*name))).count();
        references::missing(&some, &self.services, &mut notes);
        unheeded::told(&some, &mut notes);
        let routes = routes.iter().map(|name| format!("VirtualService/{name}"));
        let rules = rules.iter().map(|name| format!("DestinationRule/{name}"));
        let told: BTreeSet<String> = routes.chain(rules).collect();
        self.notes.retain(|note| note.object.as_ref().is_none_or(|one| !told.contains(one)));
        self.notes.extend(notes);
        self.notes.sort();
        self.notes.dedup();
        Some(others)
    }

    /// Says whether it is another than before.
    fn replace(&mut self, name: &ServiceName, now: Option<Arc<ServicePlan>>) -> bool {
        if self.services.get(name) == now.as_ref() {
            return false;
        }
        match now {
            Some(now) => drop(self.services.insert(name.clone(), now)),
            None => drop(self.services.remove(name)),
        }
        true
    }
}

/// These of the objects, at the same gateways.
fn some<'a>(
    objects: &Objects<'a>,
    virtual_services: &BTreeSet<ObjectName>,
    destination_rules: &BTreeSet<ObjectName>,
) -> Objects<'a> {
    let mut some = objects.clone();
    some.virtual_services.retain(|one| virtual_services.contains(&one.meta.name));
    some.destination_rules.retain(|one| destination_rules.contains(&one.meta.name));
    some
}

/// Who is concerned where `service` says more than what is asked of services, or others say it for
/// it.
fn entangled(service: &VirtualService) -> BTreeSet<ObjectName> {
    let own = &service.meta.name;
    let mut all = BTreeSet::new();
    if service.is_delegate() || service.gateways.iter().any(|one| one.value != GatewayRef::Mesh) {
        all.insert(own.clone());
    }
    let delegates = service.http.iter().filter_map(|route| route.value.delegate.as_ref());
    for delegate in delegates {
        let namespace = delegate.value.namespace.as_deref().filter(|name| !name.is_empty());
        let namespace = namespace.unwrap_or(&own.namespace);
        all.extend([own.clone(), ObjectName::new(namespace, delegate.value.name.as_str())]);
    }
    all
}

/// Whether a route of `service` leads to a subset of one of these.
fn names_subset(service: &VirtualService, hosts: &Hosts, of: &BTreeSet<ServiceName>) -> bool {
    let own = &service.meta.name.namespace;
    destinations(service).filter(|one| one.subset.is_some()).any(|destination| {
        hosts.find(destination.host.value.as_str(), own).is_some_and(|name| of.contains(name))
    })
}
