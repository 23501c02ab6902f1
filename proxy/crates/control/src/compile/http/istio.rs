//! Istio's objects in the words of the plan.
//!
//! Reading order: [`Objects`] (what goes in), `hosts` (who is meant by a name, and who may use
//! what), `matching`, `action`, `delegate` (a rule), `routing` (a service's rules), `policy`,
//! `traffic` (how a service is talked to), `tls`, `secrets` (whose certificates), `stream`, `gateway` (who listens for strangers),
//! `references` (what is named and not there), `authorization` (who may do what).

mod action;

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

#[cfg(test)]
mod tests;

pub(in crate::compile) use authorization::policies;
pub(super) use secrets::{secrets_of, secrets_to};

use super::plan::{At, ServicePlan, gateway::GatewayPlan};
use crate::{
    object::{
        istio::{
            destination_rule::DestinationRule, gateway::Gateway, virtual_service::VirtualService,
        },
        meta::Meta,
    },
    problem::{Mark, Problem},
};
use culvert_model::name::{ObjectName, ServiceName};
use hosts::Hosts;
use std::collections::BTreeMap;

/// What goes in.
#[derive(Clone, Debug)]
pub struct Objects<'a> {
    pub virtual_services: Vec<&'a VirtualService>,
    pub destination_rules: Vec<&'a DestinationRule>,
    pub gateways: Vec<&'a Gateway>,
    pub hosts: &'a Hosts,
    /// The namespace of what holds everywhere.
    pub root: &'a str,
}

/// What Istio's objects ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub services: BTreeMap<ServiceName, ServicePlan>,
    pub gateways: BTreeMap<ObjectName, GatewayPlan>,
    /// What of it cannot be done, or means nothing; sorted.
    pub notes: Vec<Problem>,
}

/// Says `objects` in the words of the plan: the same in whatever order they are.
#[must_use]
pub fn asked(objects: &Objects<'_>) -> Asked {
    let mut objects = objects.clone();
    objects.virtual_services.sort_by_key(|&one| one.meta.seniority());
    objects.destination_rules.sort_by_key(|&one| one.meta.seniority());
    objects.gateways.sort_by_key(|&one| one.meta.seniority());
    let mut notes = Vec::new();
    let mut services: BTreeMap<ServiceName, ServicePlan> = BTreeMap::new();
    for (name, routes) in routing::of_services(&objects, &mut notes) {
        services.entry(name).or_default().routes = routes;
    }
    for (name, traffic) in traffic::of_services(&objects, &mut notes) {
        services.entry(name).or_default().traffic = traffic;
    }
    let plans = objects
        .gateways
        .iter()
        .map(|gateway| (gateway.meta.name.clone(), gateway::plan(gateway, &objects, &mut notes)));
    let gateways = plans.collect();
    references::missing(&objects, &services, &mut notes);
    notes.sort();
    notes.dedup();
    Asked { services, gateways, notes }
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
