//! What Istio's objects name that is not there.
use super::{
    Objects,
    hosts::{Hosts, full},
};
use crate::{
    compile::http::plan::ServicePlan,
    object::{
        istio::{
            destination::Destination,
            virtual_service::{GatewayRef, VirtualService},
        },
        spanned::Spanned,
    },
    problem::{Code, Mark, Problem},
};
use culvert_model::name::{ObjectName, ServiceName};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Services, subsets and gateways that routes name, and nobody else does.
pub(super) fn missing(
    objects: &Objects<'_>,
    services: &BTreeMap<ServiceName, Arc<ServicePlan>>,
    notes: &mut Vec<Problem>,
) {
    let gateways: BTreeSet<&ObjectName> =
        objects.gateways.iter().map(|gateway| &gateway.meta.name).collect();
    for service in &objects.virtual_services {
        let object = format!("VirtualService/{}", service.meta.name);
        let mut tell = |at: Mark, told: String| {
            let note = service.meta.at(at).warning(told).coded(Code::Reference);
            notes.push(note.of(&object));
        };
        for destination in destinations(service) {
            if let Some((at, told)) = absent(service, destination, objects.hosts, services) {
                tell(at, told);
            }
        }
        for Spanned { value: gateway, at } in named_gateways(service) {
            if let GatewayRef::Gateway { namespace, name } = gateway {
                let own = &*service.meta.name.namespace;
                let name = ObjectName::new(namespace.as_deref().unwrap_or(own), name.as_str());
                if !gateways.contains(&name) {
                    tell(*at, format!("there is no Gateway {name}: nothing holds there"));
                }
            }
        }
    }
}

/// What of a destination is not there.
fn absent(
    service: &VirtualService,
    destination: &Destination,
    hosts: &Hosts,
    services: &BTreeMap<ServiceName, Arc<ServicePlan>>,
) -> Option<(Mark, String)> {
    let (own, host) = (&service.meta.name.namespace, destination.host.value.as_str());
    let Some(name) = hosts.find(host, own) else {
        let told = format!("there is no service {}: what is to go there fails", full(host, own));
        return Some((destination.host.at, told));
    };
    let Spanned { value: subset, at } = destination.subset.as_ref()?;
    let mut traffic = services.get(name).into_iter().flat_map(|plan| &plan.traffic);
    let is_there = traffic.any(|one| one.subsets.contains_key(subset.as_str()));
    let told = || {
        let (subset, host) = (subset.as_str(), &name.hostname);
        format!("no DestinationRule says what {subset} of {host} is: what is to go there fails")
    };
    (!is_there).then(|| (*at, told()))
}

pub(super) fn destinations(service: &VirtualService) -> impl Iterator<Item = &Destination> {
    let http = service.http.iter().flat_map(|route| {
        let route = &route.value;
        let mirrors = route.mirrors.iter().map(|mirror| &mirror.value.destination);
        let mirrors = mirrors.chain(route.mirror.iter().map(|mirror| &mirror.value));
        route.route.iter().map(|share| &share.value.destination).chain(mirrors)
    });
    let tls = service.tls.iter().flat_map(|route| &route.value.route);
    let tcp = service.tcp.iter().flat_map(|route| &route.value.route);
    http.chain(tls.chain(tcp).map(|share| &share.value.destination))
}

fn named_gateways(service: &VirtualService) -> impl Iterator<Item = &Spanned<GatewayRef>> {
    let matches = service.http.iter().flat_map(|route| &route.value.matches);
    service.gateways.iter().chain(matches.flat_map(|one| &one.value.gateways))
}
