//! Objects of the Gateway API as a [`plan`](super::plan), and what becomes of each: its status.
//!
//! Pure: the same for the same objects in any order. Reading order: `world` (what is there),
//! [`status`] (what is told), `grant` (who may name what), `backend` (where requests go), `words`, `rule`
//! and `grpc` (what becomes of them), `rank` (which rule is first), `listener` (who listens),
//! `attach` (routes), `host` (names), `gateway` and `mesh` (all of it, for
//! gateways and for services), `origination` (TLS towards services), `secrets` (whose certificates),
//! `unheeded` (what is written and not done).

mod world;

pub mod status;

mod grant;

mod backend;

mod words;

mod rule;

mod grpc;

mod rank;

mod host;

mod listener;

mod attach;

mod gateway;

mod mesh;

mod origination;

pub(super) mod secrets;

pub(super) mod unheeded;

#[cfg(test)]
mod tests;

use super::plan::Plan;
use crate::object::Objects;
use status::Standing;
use std::sync::Arc;
use world::World;

/// What the objects ask for, and what became of each that is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub plan: Plan,
    /// In the order of kinds and names.
    pub standings: Vec<Standing>,
}

/// Compiles the objects of the Gateway API; `domain` is the cluster's (`cluster.local`).
#[must_use]
pub fn compile(objects: &Objects, domain: &str) -> Outcome {
    let world = World::of(objects, domain);
    let mut standings = gateway::classes(&world);
    let mut routes = attach::Routes::of(&world);
    let (gateways, of_gateways) = gateway::plans(&world, &mut routes);
    standings.extend(of_gateways);
    let mut services = mesh::plans(&world, &mut routes);
    let (traffic, of_policies) = origination::plans(&world);
    for (service, traffic) in traffic {
        let plan = services.entry(service).or_default();
        plan.traffic.push(traffic);
    }
    standings.extend(routes.standings());
    standings.extend(of_policies);
    standings.sort_by(|one, other| one.object.cmp(&other.object));
    let services = services.into_iter().map(|(name, plan)| (name, Arc::new(plan))).collect();
    Outcome { plan: Plan { services, gateways, ..Plan::default() }, standings }
}
