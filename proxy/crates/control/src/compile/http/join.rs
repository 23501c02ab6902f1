//! Objects of Istio and of the Gateway API as one plan.
//!
//! Where both speak of one service, routes of the Gateway API count before a `VirtualService`; TLS
//! that a `BackendTLSPolicy` asks for is spoken whatever a `DestinationRule` says beside it, unless
//! that asks for other TLS. What gateways listen on is joined where it is known which labels they have.
use super::{
    istio::Asked,
    plan::{
        Clients, Plan, Routing, Rules, ServicePlan,
        policy::{Applies, Policy},
        traffic::{Tls, Traffic, TrafficPolicy},
    },
};
use culvert_model::name::ServiceName;
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::Arc,
};

/// Rules of an object that nobody reaches: others count before them, for everybody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shadowed {
    /// As [`At::object`](super::plan::At) has it.
    pub(super) object: Arc<str>,
    pub(super) by: Arc<str>,
    pub(super) service: ServiceName,
}

/// One plan of both; and what of it is never reached.
pub(super) fn join<'a>(
    istio: &Asked,
    other: &Plan,
    policies: impl Iterator<Item = &'a Arc<Policy>>,
) -> (Plan, BTreeSet<Shadowed>) {
    let mut shadowed = BTreeSet::new();
    let mut services = other.services.clone();
    for (name, own) in &istio.services {
        for (index, one) in own.routes.iter().enumerate() {
            let (before, one) = (&own.routes[..index], std::slice::from_ref(one));
            shadowed.extend(self::shadowed(name, before, one));
        }
        let joined = match services.get(name) {
            None => Arc::clone(own),
            Some(first) => {
                shadowed.extend(self::shadowed(name, &first.routes, &own.routes));
                Arc::new(service(first, own))
            }
        };
        services.insert(name.clone(), joined);
    }
    let (gateways, chosen) = (other.gateways.clone(), istio.gateways.clone());
    let policies = policies.map(|policy| (key(policy), Arc::clone(policy))).collect();
    (Plan { services, gateways, chosen, policies }, shadowed)
}

/// What speaks of gateways and what speaks of workloads are two, though of one object.
fn key(policy: &Policy) -> Arc<str> {
    let object = &policy.at.object;
    match policy.applies {
        Applies::Pods(_) => Arc::clone(object),
        Applies::Services(_) => format!("{object}/services").into(),
        Applies::Gateways(_) => format!("{object}/gateways").into(),
    }
}

fn service(first: &ServicePlan, own: &ServicePlan) -> ServicePlan {
    let routes = first.routes.iter().chain(&own.routes).cloned().collect();
    let mut traffic = own.traffic.clone();
    if let Some(tls) = first.traffic.first() {
        for one in &mut traffic {
            lay(tls, &mut one.policy, &mut one.ports);
            for subset in one.subsets.values_mut() {
                lay(tls, &mut subset.policy, &mut subset.ports);
            }
        }
    }
    traffic.extend(first.traffic.iter().cloned());
    ServicePlan { routes, traffic }
}

/// Has TLS spoken as `asked` says where nothing else says which.
fn lay(
    asked: &Traffic,
    policy: &mut TrafficPolicy,
    ports: &mut BTreeMap<NonZeroU16, TrafficPolicy>,
) {
    for port in asked.ports.keys() {
        ports.entry(*port).or_insert_with(|| policy.clone());
    }
    let is_open = |tls: &Tls| matches!(tls, Tls::Mesh | Tls::Off);
    for (port, one) in ports.iter_mut().filter(|(_, one)| is_open(&one.tls)) {
        if let Some(of_port) = asked.of(None, *port) {
            one.tls = of_port.tls.clone();
        }
    }
    if is_open(&policy.tls) {
        policy.tls = asked.policy.tls.clone();
    }
}

/// Rules of `own` behind such of `first` as are for everybody, and every port.
fn shadowed(name: &ServiceName, first: &[Routing], own: &[Routing]) -> BTreeSet<Shadowed> {
    let mut found = BTreeSet::new();
    for Routing { rules, .. } in own {
        let is_before = |one: &&Routing| {
            one.clients == Clients::default()
                && one.port.is_none()
                && std::mem::discriminant(&one.rules) == std::mem::discriminant(rules)
        };
        let Some(before) = first.iter().find(is_before) else { continue };
        let Some(by) = objects(&before.rules).into_iter().next() else { continue };
        let own = objects(rules).into_iter().filter(|object| *object != by);
        found.extend(own.map(|object| Shadowed {
            object,
            by: Arc::clone(&by),
            service: name.clone(),
        }));
    }
    found
}

/// Who says some rules.
fn objects(rules: &Rules) -> BTreeSet<Arc<str>> {
    match rules {
        Rules::Http(rules) => rules.iter().map(|rule| Arc::clone(&rule.at.object)).collect(),
        Rules::Tls(rules) => rules.iter().map(|rule| Arc::clone(&rule.at.object)).collect(),
        Rules::Tcp(rules) => rules.iter().map(|rule| Arc::clone(&rule.at.object)).collect(),
    }
}
