//! Istio's objects in the words of the plan.
//!
//! Reading order: [`Objects`] (what goes in), `hosts` (who is meant by a name, and who may use
//! what), `matching`, `action`, `delegate` (a rule), `routing` (a service's rules), `policy`,
//! `traffic` (how a service is talked to), `tls`, `secrets` (whose certificates), `stream`, `gateway` (who listens for strangers),
//! `references` (what is named and not there), `unheeded` (what is written and not done), `again` (some of it after a change),
//! `authorization` (who may do what).

mod action;

mod again;

mod authorization;

mod delegate;

mod gateway;

pub mod hosts;

mod matching;

mod policy;

mod references;

mod routing;

mod secrets;

mod stream;

mod tls;

mod traffic;

mod unheeded;

#[cfg(test)]
mod tests;

pub use again::Changed;
pub(in crate::compile) use authorization::policies;
pub(super) use secrets::{secrets_of, secrets_to};

use super::plan::{At, ServicePlan, gateway::Chosen};
use crate::{
    object::{
        istio::{
            destination_rule::DestinationRule, domain::HostPattern, gateway::Gateway,
            virtual_service::VirtualService,
        },
        meta::Meta,
    },
    problem::{Mark, Problem},
};
use again::About;
use culvert_model::name::{ObjectName, ServiceName};
use hosts::Hosts;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What goes in.
#[derive(Clone, Debug)]
pub struct Objects<'a> {
    pub virtual_services: Vec<&'a VirtualService>,
    pub destination_rules: Vec<&'a DestinationRule>,
    pub gateways: Vec<&'a Gateway>,
    pub hosts: &'a Hosts,
    /// The namespace of what holds everywhere.
    pub root: &'a str,
    /// Of which services it is asked; `None`: of all.
    pub only: Option<&'a BTreeSet<ServiceName>>,
}

/// What Istio's objects ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub services: BTreeMap<ServiceName, Arc<ServicePlan>>,
    pub gateways: BTreeMap<ObjectName, Arc<Chosen>>,
    /// What of it cannot be done, or means nothing; sorted.
    pub notes: Vec<Problem>,
    about: About,
}

/// Says `objects` in the words of the plan: the same in whatever order they are.
#[must_use]
pub fn asked(objects: &Objects<'_>) -> Asked {
    let objects = by_age(objects.clone());
    let mut notes = Vec::new();
    let services = services(&objects, &mut notes);
    let plans = objects.gateways.iter().map(|gateway| {
        let plan = gateway::plan(gateway, &objects, &mut notes);
        (gateway.meta.name.clone(), Arc::new(plan))
    });
    let gateways = plans.collect();
    references::missing(&objects, &services, &mut notes);
    unheeded::told(&objects, &mut notes);
    unheeded::listeners(&objects.gateways, &mut notes);
    notes.sort();
    notes.dedup();
    Asked { services, gateways, notes, about: About::of(&objects) }
}

/// The oldest first.
fn by_age(mut objects: Objects<'_>) -> Objects<'_> {
    objects.virtual_services.sort_by_key(|&one| one.meta.seniority());
    objects.destination_rules.sort_by_key(|&one| one.meta.seniority());
    objects.gateways.sort_by_key(|&one| one.meta.seniority());
    objects
}

/// What is asked of services.
fn services(
    objects: &Objects<'_>,
    notes: &mut Vec<Problem>,
) -> BTreeMap<ServiceName, Arc<ServicePlan>> {
    let mut services: BTreeMap<ServiceName, ServicePlan> = BTreeMap::new();
    for (name, routes) in routing::of_services(objects, notes) {
        services.entry(name).or_default().routes = routes;
    }
    for (name, traffic) in traffic::of_services(objects, notes) {
        services.entry(name).or_default().traffic = traffic;
    }
    services.into_iter().map(|(name, plan)| (name, Arc::new(plan))).collect()
}

impl<'a> Objects<'a> {
    /// Services that a pattern, whole, stands for, of those that are asked about.
    fn covered(&self, pattern: &HostPattern) -> impl Iterator<Item = &'a ServiceName> {
        let (hosts, only): (&'a Hosts, _) = (self.hosts, self.only);
        let is_asked = move |name: &&ServiceName| only.is_none_or(|only| only.contains(*name));
        hosts.covered(pattern).filter(is_asked)
    }
}

/// Says of which object notes are that do not say it.
fn ascribe(notes: &mut [Problem], kind: &str, meta: &Meta) {
    for note in notes.iter_mut().filter(|note| note.object.is_none()) {
        note.object = Some(format!("{kind}/{}", meta.name));
    }
}

/// Where an object of `kind` is written.
fn at(kind: &str, meta: &Meta) -> At {
    At::object(format!("{kind}/{}", meta.name), meta.origin.to_string())
}

/// Where one of its rules is.
fn rule_at(object: &At, meta: &Meta, index: usize, mark: Mark) -> At {
    object.rule(index, meta.at(mark).to_string())
}
