//! `Service` of core/v1.
use super::{
    meta::{Meta, Scope},
    node::Node,
    port::{Ip, Port, Protocol, TargetPort, app_protocol},
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Mark, Problem, Source};
use culvert_model::service::AppProtocol;
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU16,
    sync::Arc,
};

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub meta: Meta,
    pub vips: Vip,
    /// Empty: its endpoints are listed in `EndpointSlice`s.
    pub selector: BTreeMap<String, String>,
    /// Those that are spoken TCP on.
    pub ports: Vec<ServicePort>,
    pub families: Vec<Family>,
    pub publish_not_ready: bool,
    /// Only endpoints of the caller's node.
    pub node_local: bool,
    pub distribution: Option<Distribution>,
}

/// What a service's addresses are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vip {
    Given(Vec<Spanned<IpAddr>>),
    /// Nobody has given it any so far.
    ToAllocate,
    /// It has none (`clusterIP: None`).
    Headless,
    /// An alias for a name that DNS knows.
    External,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub name: String,
    pub number: NonZeroU16,
    pub target: TargetPort,
    pub protocol: AppProtocol,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Family {
    #[serde(rename = "IPv4")]
    V4,
    #[serde(rename = "IPv6")]
    V6,
}

/// Which endpoints are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Distribution {
    Any,
    #[serde(alias = "PreferClose")]
    PreferSameZone,
    PreferSameNode,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<Spanned<ClusterIp>>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<Spanned<ClusterIp>>,
    internal_traffic_policy: Option<TrafficPolicy>,
    ip_families: Vec<Family>,
    ports: Vec<Spanned<RawPort>>,
    publish_not_ready_addresses: Option<bool>,
    selector: BTreeMap<String, String>,
    traffic_distribution: Option<Distribution>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    allocate_load_balancer_node_ports: Option<Ignored>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Ignored>,
    external_name: Option<Ignored>,
    external_traffic_policy: Option<Ignored>,
    health_check_node_port: Option<Ignored>,
    ip_family_policy: Option<Ignored>,
    load_balancer_class: Option<Ignored>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<Ignored>,
    load_balancer_source_ranges: Option<Ignored>,
    session_affinity: Option<Ignored>,
    session_affinity_config: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawPort {
    port: Port,
    name: Option<String>,
    protocol: Option<Protocol>,
    target_port: Option<TargetPort>,
    app_protocol: Option<String>,
    node_port: Option<Ignored>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Kind {
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum TrafficPolicy {
    Cluster,
    Local,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
enum ClusterIp {
    Ip(IpAddr),
    None,
    Empty,
}

impl TryFrom<String> for ClusterIp {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        match written.as_str() {
            "" => Ok(Self::Empty),
            "None" => Ok(Self::None),
            _ => Ip::try_from(written).map(|ip| Self::Ip(ip.0)),
        }
    }
}

impl Service {
    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let spec: RawSpec = Option::unwrap_or_default(spec);
        let service = Self {
            vips: vips(&spec),
            ports: ports(spec.ports, &meta, &mut problems),
            selector: spec.selector,
            families: spec.ip_families,
            publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
            node_local: spec.internal_traffic_policy == Some(TrafficPolicy::Local),
            distribution: spec.traffic_distribution,
            meta,
        };
        if problems.is_empty() { Ok(service) } else { Err(problems) }
    }
}

fn vips(spec: &RawSpec) -> Vip {
    if spec.kind == Some(Kind::ExternalName) {
        return Vip::External;
    }
    let all = || spec.cluster_ip.iter().chain(&spec.cluster_ips);
    if all().any(|one| matches!(one.value, ClusterIp::None)) {
        return Vip::Headless;
    }
    let mut given: Vec<Spanned<IpAddr>> = Vec::new();
    for one in all() {
        if let ClusterIp::Ip(value) = one.value
            && given.iter().all(|ip| ip.value != value)
        {
            given.push(Spanned { value, at: one.at });
        }
    }
    if given.is_empty() { Vip::ToAllocate } else { Vip::Given(given) }
}

fn ports(raw: Vec<Spanned<RawPort>>, meta: &Meta, problems: &mut Vec<Problem>) -> Vec<ServicePort> {
    let tcp = raw.into_iter().filter(|raw| raw.value.protocol.unwrap_or_default() == Protocol::Tcp);
    let ports: Vec<_> = tcp
        .map(|Spanned { value: raw, at }| {
            let name = raw.name.unwrap_or_default();
            let port = ServicePort {
                target: raw.target_port.unwrap_or(TargetPort::Number(raw.port.0)),
                number: raw.port.0,
                protocol: app_protocol(raw.app_protocol.as_deref(), &name, raw.port.0),
                name,
            };
            (port, at)
        })
        .collect();
    let marked = || ports.iter().map(|(port, at)| (port.number, port.name.as_str(), *at));
    problems.extend(twice(marked(), meta));
    ports.into_iter().map(|(port, _)| port).collect()
}

/// Ports that cannot be told apart.
pub(super) fn twice<'a>(
    ports: impl Iterator<Item = (NonZeroU16, &'a str, Mark)>,
    meta: &Meta,
) -> Vec<Problem> {
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut problems = Vec::new();
    for (number, name, at) in ports {
        if !numbers.insert(number) {
            problems.push(meta.at(at).error(format!("port {number} is there already")));
        }
        if !names.insert(name) {
            let message = match name {
                "" => "several ports, and this one has no name".to_owned(),
                name => format!("a port named `{name}` is there already"),
            };
            problems.push(meta.at(at).error(message));
        }
    }
    problems
}
