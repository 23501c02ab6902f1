//! What servers of a namespace on a node are told: one listener, for its own pods only.
use super::{
    super::plan::policy::{Applies, Policy},
    Scope, cluster, is_http,
    manager::{self, HTTP, PLAIN, Routes, Side, Stream, TLS, at_port, chain, inspectors},
    names, rbac,
    reader::Reader,
    route::{self, Hosts},
    scene::WorkloadFacts,
    words::{duration, flag, origins, range, socket},
};
use culvert_model::{name::ServiceName, service::AppProtocol};
use culvert_proto::api::envoy::config::{
    cluster::v3::Cluster,
    core::v3::TrafficDirection,
    listener::v3::{FilterChain, FilterChainMatch, Listener},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};

/// Istio's; nobody binds it.
const PORT: u16 = 15006;

/// What is known of one port of a pod.
#[derive(Default)]
struct Served {
    protocol: Option<AppProtocol>,
    services: BTreeSet<ServiceName>,
    labelled: bool,
}

/// The listener for those pods that must be passed through L7, and its clusters; `None`: nobody must.
pub(super) fn listener(scope: &Scope, reader: &Reader<'_>) -> Option<(Listener, Vec<Cluster>)> {
    let place = (Arc::clone(&scope.namespace), Arc::clone(&scope.node));
    let side = Side::Inbound(reader.certificates());
    let mut chains = Vec::new();
    let mut ports = BTreeSet::new();
    for pod in reader.pods(&place) {
        let policies = of_pod(pod, reader);
        for (port, served) in served(pod, reader) {
            let here: Vec<&Policy> =
                policies.iter().copied().filter(|one| is_for(one, &served)).collect();
            if !must_pass(&here, &served, port) {
                continue;
            }
            ports.insert(port);
            for ip in &pod.member.addresses {
                chains.extend(self::chains(pod, *ip, port, &served, (&here, side)));
            }
        }
    }
    let detects = chains.iter().any(|chain: &FilterChain| {
        let of = chain.filter_chain_match.as_ref();
        of.is_some_and(|of| !of.transport_protocol.is_empty())
    });
    (!chains.is_empty()).then(|| {
        let listener = Listener {
            name: names::INBOUND.to_owned(),
            address: Some(socket(Ipv4Addr::UNSPECIFIED.into(), PORT)),
            bind_to_port: Some(flag(false)),
            traffic_direction: TrafficDirection::Inbound.into(),
            listener_filters: inspectors(detects, detects),
            listener_filters_timeout: detects.then(|| duration(Duration::ZERO)),
            continue_on_listener_filters_timeout: detects,
            filter_chains: chains,
            ..Listener::default()
        };
        (listener, ports.into_iter().map(|port| cluster::original(names::inbound(port))).collect())
    })
}

/// The ports of a pod that must be passed through L7.
pub(super) fn asked(pod: &WorkloadFacts, reader: &Reader<'_>) -> BTreeSet<NonZeroU16> {
    let policies = of_pod(pod, reader);
    let must = served(pod, reader).into_iter().filter(|(port, served)| {
        let here: Vec<&Policy> =
            policies.iter().copied().filter(|one| is_for(one, served)).collect();
        must_pass(&here, served, *port)
    });
    must.map(|(port, _)| port).collect()
}

/// The policies that may be about a pod, or about services it serves.
pub(super) fn of_pod<'a>(pod: &WorkloadFacts, reader: &Reader<'a>) -> Vec<&'a Policy> {
    let chosen = |policy: &&Policy| match &policy.applies {
        Applies::Pods(labels) => pod.has(labels),
        Applies::Services(names) => names.iter().any(|name| pod.member.services.contains(name)),
        Applies::Gateways(_) => false,
    };
    reader.policies(&pod.member.name.namespace).filter(chosen).collect()
}

fn is_for(policy: &Policy, served: &Served) -> bool {
    match &policy.applies {
        Applies::Pods(_) => true,
        Applies::Services(names) => names.iter().any(|name| served.services.contains(name)),
        Applies::Gateways(_) => false,
    }
}

/// Whether anything on a port asks for L7: a label, or a policy that L4 cannot answer whole.
fn must_pass(policies: &[&Policy], served: &Served, port: NonZeroU16) -> bool {
    let may_be_about = |policy: &&Policy| {
        policy.needs_l7() && policy.ports().is_none_or(|ports| ports.contains(&port))
    };
    let labelled = served.labelled && served.protocol.is_some_and(is_http);
    labelled || policies.iter().any(may_be_about)
}

/// The ports of a pod that services know it by.
fn served(pod: &WorkloadFacts, reader: &Reader<'_>) -> BTreeMap<NonZeroU16, Served> {
    let mut found: BTreeMap<NonZeroU16, Served> = BTreeMap::new();
    for (name, ports) in pod.member.services.iter() {
        let facts = reader.service(name);
        for port in ports.iter() {
            let Some(target) = port.target else { continue };
            let known = facts.and_then(|facts| facts.port(port.port));
            let protocol = known.map_or(port.protocol, |known| known.protocol);
            let served = found.entry(target).or_default();
            served.services.insert(name.clone());
            served.labelled |= facts.is_some_and(|facts| facts.labelled);
            // Services that disagree leave it to be found out.
            served.protocol = Some(match served.protocol {
                None => protocol,
                Some(other) if other == protocol => other,
                Some(_) => AppProtocol::Unknown,
            });
        }
    }
    found
}

fn chains(
    pod: &WorkloadFacts,
    ip: IpAddr,
    port: NonZeroU16,
    served: &Served,
    (policies, side): (&[&Policy], Side),
) -> Vec<FilterChain> {
    let base = || FilterChainMatch {
        prefix_ranges: vec![range(ip.into())],
        ..at_port(port.get(), FilterChainMatch::default())
    };
    let cluster = names::inbound(port);
    let prefix = format!("inbound_{ip}_{port}");
    let named = |kind: &str| format!("{}|{ip}|{port}|{kind}", pod.member.name);
    let requests = |when| {
        let mut hosts = Hosts::default();
        hosts.add(
            &format!("inbound|http|{port}"),
            ["*"],
            vec![route::to(&cluster, false, Vec::new())],
            false,
        );
        let mut table = hosts.table(&cluster);
        for host in &mut table.virtual_hosts {
            // The client's side has counted.
            host.include_request_attempt_count = false;
        }
        let routes = Routes::Here(Box::new(table));
        let filters = vec![manager::http(&prefix, side, routes, rbac::http(policies))];
        chain(&named("http"), when, filters)
    };
    let bytes = |kind: &str, when| {
        let mut filters = rbac::network(policies, &prefix);
        let stream = Stream { to: vec![(cluster.clone(), 1)], ..Stream::default() };
        filters.push(manager::tcp(&prefix, stream));
        chain(&named(kind), when, filters)
    };
    let with =
        |transport: &str| FilterChainMatch { transport_protocol: transport.to_owned(), ..base() };
    let mut all = match served.protocol.unwrap_or_default() {
        AppProtocol::Http1 | AppProtocol::Http2 | AppProtocol::Grpc => vec![requests(base())],
        AppProtocol::Tcp | AppProtocol::Tls => vec![bytes("tcp", base())],
        AppProtocol::Unknown => {
            let plain_http = FilterChainMatch {
                application_protocols: HTTP.map(str::to_owned).into(),
                ..with(PLAIN)
            };
            vec![requests(plain_http), bytes("tcp", with(PLAIN)), bytes("tls", with(TLS))]
        }
    };
    let places = rbac::places(policies);
    if !places.is_empty() {
        let metadata = origins(places.iter().map(|(name, place)| (name.as_str(), *place)));
        for chain in &mut all {
            chain.metadata = Some(metadata.clone());
        }
    }
    all
}
