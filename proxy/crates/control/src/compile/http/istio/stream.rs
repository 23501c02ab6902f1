//! Rules for connections.
use super::{
    action::{Scene, share, weight},
    at,
    hosts::Hosts,
    matching::Place,
    rule_at,
};
use crate::{
    compile::http::plan::{
        Clients,
        stream::{StreamMatch, StreamShare, TcpRule, TlsRule},
    },
    object::{
        istio::{
            domain::HostPattern,
            virtual_service::{GatewayRef, VirtualService, layer4::Share},
        },
        port::{Block, Port},
        spanned::Spanned,
    },
};
use ipnet::IpNet;
use std::{collections::BTreeMap, sync::Arc};

/// Rules for bytes, of those of `service` that hold at a place.
pub(super) fn tcp(service: &VirtualService, place: Place<'_>, hosts: &Hosts) -> Vec<TcpRule> {
    let own = at("VirtualService", &service.meta);
    let scene = Scene { meta: &service.meta, hosts, is_tls: false };
    let mut rules = Vec::new();
    for (index, Spanned { value: route, at: mark }) in service.tcp.iter().enumerate() {
        let here = route.matches.iter().map(|one| &one.value);
        let here = here.filter(|one| is_here(&one.gateways, service, place));
        let matches: Vec<StreamMatch> = here
            .map(|one| {
                let namespace = one.source_namespace.as_deref();
                let source = one.source_subnet.as_ref().map(|subnet| subnet.value.0.trunc());
                let labels = &one.source_labels;
                let read = matching(&one.destination_subnets, one.port, labels, namespace);
                StreamMatch { source, ..read }
            })
            .collect();
        if !route.matches.is_empty() && matches.is_empty() {
            continue;
        }
        let at = rule_at(&own, &service.meta, index, *mark);
        rules.push(TcpRule { at, matches, to: shares(&route.route, &scene) });
    }
    rules
}

/// Rules for TLS that is passed on, for names that one of `within` is.
pub(super) fn tls(
    service: &VirtualService,
    place: Place<'_>,
    hosts: &Hosts,
    within: Option<&[HostPattern]>,
) -> Vec<TlsRule> {
    let own = at("VirtualService", &service.meta);
    let scene = Scene { meta: &service.meta, hosts, is_tls: true };
    let mut rules = Vec::new();
    for (index, Spanned { value: route, at: mark }) in service.tls.iter().enumerate() {
        // Rules with other names are other rules.
        let mut by_names: BTreeMap<Vec<Arc<str>>, Vec<StreamMatch>> = BTreeMap::new();
        for Spanned { value: one, at: _ } in &route.matches.value {
            if !is_here(&one.gateways, service, place) {
                continue;
            }
            let is_meant = |name: &&Spanned<HostPattern>| {
                within.is_none_or(|all| all.iter().any(|host| host.meets(&name.value)))
            };
            let names = one.sni_hosts.value.iter().filter(is_meant);
            let names: Vec<Arc<str>> = names.map(|name| name.value.as_str().into()).collect();
            if names.is_empty() {
                continue;
            }
            let read = matching(
                &one.destination_subnets,
                one.port,
                &one.source_labels,
                one.source_namespace.as_deref(),
            );
            by_names.entry(names).or_default().push(read);
        }
        let at = rule_at(&own, &service.meta, index, *mark);
        rules.extend(by_names.into_iter().map(|(hosts, matches)| TlsRule {
            at: at.clone(),
            hosts,
            matches,
            to: shares(&route.route, &scene),
        }));
    }
    rules
}

fn is_here(gateways: &[Spanned<GatewayRef>], service: &VirtualService, place: Place<'_>) -> bool {
    gateways.is_empty() || place.is_among(gateways, &service.meta.name.namespace)
}

fn matching(
    destinations: &[Spanned<Block>],
    port: Option<Port>,
    labels: &BTreeMap<String, String>,
    namespace: Option<&str>,
) -> StreamMatch {
    let namespace = namespace.filter(|name| !name.is_empty());
    let destinations: Vec<IpNet> = destinations.iter().map(|block| block.value.0.trunc()).collect();
    StreamMatch {
        destinations,
        port: port.map(|port| port.0),
        source: None,
        clients: Clients {
            namespaces: namespace.map(|name| [Arc::<str>::from(name)].into()),
            labels: labels.clone(),
        },
    }
}

fn shares(route: &[Spanned<Share>], scene: &Scene<'_>) -> Vec<StreamShare> {
    let one = |Spanned { value, at: _ }: &Spanned<Share>| StreamShare {
        to: share(&value.destination, scene),
        weight: weight(value.weight, route.len()),
    };
    route.iter().map(one).collect()
}
