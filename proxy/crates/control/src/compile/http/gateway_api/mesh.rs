//! Routes whose parent is a service: connections of the mesh to it (GAMMA).
use super::{
    attach::{Does, Route, Routes},
    rank,
    status::Condition,
    world::World,
};
use crate::{
    compile::http::plan::{
        Clients, Routing, Rules, ServicePlan,
        stream::{TcpRule, TlsRule},
    },
    object::{gateway_api::reference::ParentRef, service::Service},
};
use culvert_model::name::ServiceName;
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::Arc,
};

/// A route at a service.
struct Attached {
    /// Of the namespace whose connections it is for; `None`: of the service's own, for all.
    consumer: Option<Arc<str>>,
    /// `None`: all.
    port: Option<NonZeroU16>,
    /// Its place among all routes.
    route: usize,
}

/// What is asked of connections to services.
pub(super) fn plans(
    world: &World<'_>,
    routes: &mut Routes<'_>,
) -> BTreeMap<ServiceName, ServicePlan> {
    let mut attached: BTreeMap<ServiceName, Vec<Attached>> = BTreeMap::new();
    for (number, route) in routes.0.iter_mut().enumerate() {
        for (index, parent) in route.parents.iter().enumerate() {
            if parent.value.what() != ("", "Service") {
                continue;
            }
            let own = &route.meta.name.namespace;
            let namespace = parent.value.namespace.as_deref().unwrap_or(own);
            match at(world, namespace, &parent.value) {
                Ok((service, port)) => {
                    let consumer = (*namespace != **own).then(|| Arc::clone(own));
                    let one = Attached { consumer, port, route: number };
                    attached.entry(world.host(service)).or_default().push(one);
                    route.accepted(index, Condition::fine("Accepted"));
                }
                Err(message) => {
                    let condition = Condition::not("Accepted", "NoMatchingParent", message);
                    route.accepted(index, condition);
                }
            }
        }
    }
    let plan = |(service, attached): (ServiceName, Vec<Attached>)| {
        let routes = routings(&attached, &routes.0);
        (service, ServicePlan { routes, traffic: Vec::new() })
    };
    attached.into_iter().map(plan).collect()
}

/// The service, and the port, that a route names.
fn at<'a>(
    world: &World<'a>,
    namespace: &str,
    parent: &ParentRef,
) -> Result<(&'a Service, Option<NonZeroU16>), String> {
    let name = &parent.name;
    let service = world
        .service(namespace, name)
        .ok_or_else(|| format!("there is no Service {namespace}/{name}"))?;
    let mut ports = service.ports.iter();
    let port = match (parent.port(), parent.section_name.as_deref()) {
        (None, None) => None,
        (number, section) => {
            let found = ports.find(|port| {
                number.is_none_or(|number| number == port.number)
                    && section.is_none_or(|section| section == port.name)
            });
            let found =
                found.ok_or_else(|| format!("Service {namespace}/{name} has no such port"))?;
            Some(found.number)
        }
    };
    Ok((service, port))
}

/// Those of consumers first, and those of one port before those of all.
fn routings(attached: &[Attached], routes: &[Route<'_>]) -> Vec<Routing> {
    let consumers: BTreeSet<Option<&Arc<str>>> =
        attached.iter().map(|one| one.consumer.as_ref()).collect();
    let mut found = Vec::new();
    // `None`, whoever it is, comes last.
    let (own, others): (Vec<_>, Vec<_>) = consumers.into_iter().partition(Option::is_none);
    for consumer in others.into_iter().chain(own) {
        let theirs: Vec<&Attached> =
            attached.iter().filter(|one| one.consumer.as_ref() == consumer).collect();
        let clients =
            consumer.map_or_else(Clients::default, |namespace| Clients::of(Arc::clone(namespace)));
        let ports: BTreeSet<NonZeroU16> = theirs.iter().filter_map(|one| one.port).collect();
        for port in ports.into_iter().map(Some).chain([None]) {
            let here = theirs.iter().filter(|one| one.port.is_none() || one.port == port);
            let here: Vec<&Route<'_>> = here.filter_map(|one| routes.get(one.route)).collect();
            for rules in rules(&here) {
                found.push(Routing { clients: clients.clone(), port, rules });
            }
        }
    }
    found
}

fn rules(routes: &[&Route<'_>]) -> Vec<Rules> {
    let mut ranked = Vec::new();
    let (mut tls, mut tcp) = (Vec::new(), Vec::new());
    for route in routes {
        match (&route.does, route.kind) {
            (Does::Http(rules), _) => ranked.extend(rules.iter().cloned()),
            (Does::Stream(rules), "TLSRoute") => {
                let hosts: Vec<Arc<str>> =
                    route.hostnames.iter().map(|host| Arc::from(*host)).collect();
                tls.extend(rules.iter().map(|(at, to)| TlsRule {
                    at: at.clone(),
                    hosts: hosts.clone(),
                    matches: Vec::new(),
                    to: to.clone(),
                }));
            }
            (Does::Stream(rules), _) => {
                tcp.extend(rules.iter().map(|(at, to)| TcpRule {
                    at: at.clone(),
                    matches: Vec::new(),
                    to: to.clone(),
                }));
            }
        }
    }
    let is_http = routes.iter().any(|route| matches!(route.does, Does::Http(_)));
    let mut all = Vec::new();
    if is_http {
        all.push(Rules::Http(rank::in_order(ranked)));
    }
    if !tls.is_empty() {
        all.push(Rules::Tls(tls));
    }
    if !tcp.is_empty() {
        all.push(Rules::Tcp(tcp));
    }
    all
}
