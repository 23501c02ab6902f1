//! Endpoints of clusters: near ones first, where that is asked for.
use super::{
    super::plan::{
        Labels,
        traffic::{LocalityPolicy, Shares, TrafficPolicy},
    },
    reader::Reader,
    scene::{ServiceFacts, WorkloadFacts},
    words::{named_socket, number, socket},
};
use culvert_model::{
    locality::{BalanceMode, HealthPolicy, Locality, Nearness},
    member::Health,
};
use culvert_proto::api::envoy::config::{
    core::v3::{Address, Locality as LocalityPb},
    endpoint::v3::{
        ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
        lb_endpoint::HostIdentifier,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::Arc,
};

/// Sums of weights must not be too large for Envoy.
const HEAVIEST: u32 = 100_000;

/// Where those are who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Here {
    pub(super) node: Arc<str>,
    pub(super) locality: Locality,
}

/// Some endpoints of a service.
pub(super) struct Chosen<'a> {
    pub(super) facts: &'a ServiceFacts,
    pub(super) port: NonZeroU16,
    /// Only those with all of them.
    pub(super) labels: &'a Labels,
    pub(super) policy: &'a TrafficPolicy,
}

pub(super) fn assignment(
    name: &str,
    chosen: &Chosen<'_>,
    here: &Here,
    reader: &Reader<'_>,
) -> ClusterLoadAssignment {
    let Chosen { facts, port, labels, policy } = chosen;
    let service = &facts.service;
    let mut found: BTreeMap<(usize, Arc<Locality>), Vec<LbEndpoint>> = BTreeMap::new();
    for (_, workload) in reader.endpoints(&service.host) {
        let member = &workload.member;
        let Some(target) = target(workload, facts, *port) else { continue };
        let Some(address) = address(workload, target) else { continue };
        let is_usable =
            member.health == Health::Healthy || service.balance.health == HealthPolicy::AllowAll;
        let is_chosen = workload.has(labels);
        if !is_usable || !is_chosen || !is_allowed(facts, workload, here) {
            continue;
        }
        let Some(distance) = distance(facts, policy, workload, here) else { continue };
        let endpoint = LbEndpoint {
            load_balancing_weight: Some(number(member.capacity.clamp(1, HEAVIEST))),
            host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
                address: Some(address),
                hostname: member.hostname.to_string(),
                ..Endpoint::default()
            })),
            ..LbEndpoint::default()
        };
        found.entry((distance, Arc::clone(&member.locality))).or_default().push(endpoint);
    }
    let distances: BTreeSet<usize> = found.keys().map(|(distance, _)| *distance).collect();
    let priorities: BTreeMap<usize, u32> = distances.into_iter().zip(0..).collect();
    let share = shares(policy, here);
    let endpoints = found.into_iter().map(|((distance, locality), endpoints)| {
        let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
        let weight = match (&policy.locality, share) {
            (LocalityPolicy::Distribute(_), Some(shares)) => weight(shares, &locality),
            // Nothing is said of clients here: every endpoint is like the others.
            (LocalityPolicy::Distribute(_), None) => Some(count),
            _ => None,
        };
        LocalityLbEndpoints {
            locality: Some(LocalityPb {
                region: locality.region.to_string(),
                zone: locality.zone.to_string(),
                sub_zone: locality.subzone.to_string(),
            }),
            lb_endpoints: endpoints,
            load_balancing_weight: weight.map(|weight| number(weight.min(HEAVIEST))),
            priority: priorities.get(&distance).copied().unwrap_or(0),
            ..LocalityLbEndpoints::default()
        }
    });
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: endpoints.collect(),
        ..ClusterLoadAssignment::default()
    }
}

/// Where a workload has a port of a service.
pub(super) fn target(
    workload: &WorkloadFacts,
    facts: &ServiceFacts,
    port: NonZeroU16,
) -> Option<NonZeroU16> {
    let ports = workload.member.services.get(&facts.service.host)?;
    ports.iter().find(|one| one.port == port)?.target
}

fn address(workload: &WorkloadFacts, target: NonZeroU16) -> Option<Address> {
    let member = &workload.member;
    match member.addresses.first() {
        Some(ip) => Some(socket(*ip, target.get())),
        None if member.hostname.is_empty() => None,
        None => Some(named_socket(&member.hostname, target.get())),
    }
}

/// With the first endpoint only, if there is one.
pub(super) fn first(mut of: ClusterLoadAssignment) -> ClusterLoadAssignment {
    of.endpoints.retain(|locality| !locality.lb_endpoints.is_empty());
    of.endpoints.truncate(1);
    for first in &mut of.endpoints {
        first.lb_endpoints.truncate(1);
        first.priority = 0;
    }
    of
}

/// Some services are for the caller's node only.
fn is_allowed(facts: &ServiceFacts, workload: &WorkloadFacts, here: &Here) -> bool {
    let balance = &facts.service.balance;
    balance.mode != BalanceMode::Strict
        || balance.preference.iter().all(|near| is_near(*near, workload, here))
}

/// How far away an endpoint is; `None`: so far that it is not used.
fn distance(
    facts: &ServiceFacts,
    policy: &TrafficPolicy,
    workload: &WorkloadFacts,
    here: &Here,
) -> Option<usize> {
    let balance = &facts.service.balance;
    let at = &workload.member.locality;
    Some(match &policy.locality {
        LocalityPolicy::Off => 0,
        LocalityPolicy::Automatic if balance.mode == BalanceMode::Failover => {
            let common = balance.preference.iter();
            let common = common.take_while(|near| is_near(**near, workload, here)).count();
            balance.preference.len() - common
        }
        LocalityPolicy::Automatic if policy.outlier.is_some() => levels(at, &here.locality),
        LocalityPolicy::Automatic => 0,
        LocalityPolicy::Failover(regions) => match levels(at, &here.locality) {
            3 => {
                let to = regions.iter().filter(|(from, _)| *from == here.locality.region);
                let mut to = to.map(|(_, to)| to);
                3 + to.position(|to| *to == at.region).unwrap_or(regions.len())
            }
            near => near,
        },
        LocalityPolicy::Labels(labels) => {
            let common = labels.iter().take_while(|label| is_common(label, workload, here));
            labels.len() - common.count()
        }
        LocalityPolicy::Distribute(_) => match shares(policy, here) {
            Some(shares) => {
                weight(shares, at)?;
                0
            }
            // Nothing is said of this place.
            None => 0,
        },
    })
}

/// 0: in the same place; 3: in another region.
fn levels(a: &Locality, b: &Locality) -> usize {
    let same = [a.region == b.region, a.zone == b.zone, a.subzone == b.subzone];
    3 - same.into_iter().take_while(|same| *same).count()
}

fn is_near(near: Nearness, workload: &WorkloadFacts, here: &Here) -> bool {
    let member = &workload.member;
    let (at, from) = (&member.locality, &here.locality);
    match near {
        Nearness::Region => at.region == from.region,
        Nearness::Zone => at.zone == from.zone,
        Nearness::Subzone => at.subzone == from.subzone,
        Nearness::Node => !here.node.is_empty() && member.node == here.node,
        // There is one of each.
        Nearness::Cluster | Nearness::Network => true,
    }
}

fn is_common(label: &str, workload: &WorkloadFacts, here: &Here) -> bool {
    if let Some((key, value)) = label.split_once('=') {
        return workload.labels.get(key).map(String::as_str) == Some(value);
    }
    let near = match label {
        "topology.kubernetes.io/region" => Nearness::Region,
        "topology.kubernetes.io/zone" => Nearness::Zone,
        "topology.istio.io/subzone" => Nearness::Subzone,
        "kubernetes.io/hostname" => Nearness::Node,
        "topology.istio.io/cluster" => Nearness::Cluster,
        "topology.istio.io/network" => Nearness::Network,
        // A node's engine is for many pods: they have it in common with nobody.
        _ => return false,
    };
    is_near(near, workload, here)
}

/// Where clients of this place go, and with which weights; `None`: nothing is said of it.
fn shares<'a>(policy: &'a TrafficPolicy, here: &Here) -> Option<&'a Shares> {
    let LocalityPolicy::Distribute(all) = &policy.locality else { return None };
    let mine = all.iter().find(|(from, _)| is_within(&here.locality, from));
    mine.map(|(_, to)| to)
}

fn weight(shares: &Shares, locality: &Locality) -> Option<u32> {
    let fitting = shares.iter().filter(|(place, _)| is_within(locality, place));
    // The closest description counts.
    let closest = fitting.max_by_key(|(place, _)| place.trim_end_matches('*').len());
    closest.map(|(_, weight)| *weight).filter(|weight| *weight > 0)
}

/// `region/zone/subzone`, where the rest may be a `*`.
fn is_within(locality: &Locality, place: &str) -> bool {
    let parts = [&locality.region, &locality.zone, &locality.subzone];
    let mut wanted = place.split('/');
    for part in parts {
        match wanted.next() {
            None | Some("*") => return true,
            Some(want) if *want != **part => return false,
            Some(_) => {}
        }
    }
    true
}
