//! `ServiceEntry` of networking.istio.io: services that Kubernetes knows nothing of.
use super::{
    decode::decode,
    meta::{Meta, RawMeta, Scope},
    node::Node,
    port::{Block, Port, app_protocol},
    selector::{RawLabels, check_values},
    service::twice,
    spanned::Spanned,
    workload_entry::{Address, Endpoint, RawEndpoint},
};
use crate::problem::{Origin, Problem, Source};
use culvert_model::service::AppProtocol;
use ipnet::IpNet;
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU16, sync::Arc};

/// Services by host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    pub meta: Meta,
    pub hosts: Vec<Spanned<String>>,
    pub addresses: Vec<IpNet>,
    pub ports: Vec<EntryPort>,
    pub is_external: bool,
    pub resolution: Resolution,
    pub endpoints: Vec<Endpoint>,
    /// Which workloads it is served by.
    pub selector: Option<BTreeMap<String, String>>,
    pub export_to: Vec<String>,
    pub subject_alt_names: Vec<Spanned<String>>,
    /// Addresses that somebody gave the hosts already.
    pub allocated: Vec<(Option<String>, IpAddr)>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPort {
    pub name: String,
    pub number: NonZeroU16,
    pub target: NonZeroU16,
    pub protocol: AppProtocol,
}

/// How the endpoints of a host are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Resolution {
    /// They are not: connections go where they were meant to.
    #[default]
    #[serde(rename = "NONE")]
    None,
    #[serde(rename = "STATIC")]
    Static,
    #[serde(rename = "DNS")]
    Dns,
    #[serde(rename = "DNS_ROUND_ROBIN")]
    DnsRoundRobin,
    /// Each name that a wildcard stands for is resolved, by L7.
    #[serde(rename = "DYNAMIC_DNS")]
    DynamicDns,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawEntry {
    metadata: RawMeta,
    spec: RawSpec,
    #[serde(default)]
    status: RawStatus,
    api_version: Option<Ignored>,
    kind: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    hosts: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    addresses: Vec<Spanned<WrittenBlock>>,
    #[serde(default)]
    ports: Vec<Spanned<RawPort>>,
    location: Option<Location>,
    resolution: Option<Resolution>,
    endpoints: Option<Spanned<Vec<Spanned<RawEndpoint>>>>,
    workload_selector: Option<RawSelector>,
    #[serde(default)]
    export_to: Vec<String>,
    #[serde(default)]
    subject_alt_names: Vec<Spanned<String>>,
}

/// A range, and whether it was written as one.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct WrittenBlock {
    net: IpNet,
    is_range: bool,
}

#[derive(Deserialize)]
struct RawSelector {
    #[serde(default)]
    labels: RawLabels,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPort {
    name: String,
    number: Port,
    protocol: Option<String>,
    target_port: Option<Port>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Location {
    #[serde(rename = "MESH_EXTERNAL")]
    External,
    #[serde(rename = "MESH_INTERNAL")]
    Internal,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus {
    addresses: Vec<RawAllocated>,
    conditions: Option<Ignored>,
    observed_generation: Option<Ignored>,
    validation_messages: Option<Ignored>,
}

#[derive(Deserialize)]
struct RawAllocated {
    value: String,
    host: Option<String>,
}

impl TryFrom<String> for WrittenBlock {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let is_range = written.contains('/');
        // Istio takes leading zeros in a group's place: `001:db8::`.
        Block::try_from(written).map(|block| Self { net: block.0, is_range })
    }
}

impl Resolution {
    /// Whether names are resolved when a connection is made.
    #[must_use]
    pub const fn by_dns(self) -> bool {
        match self {
            Self::Dns | Self::DnsRoundRobin => true,
            Self::None | Self::Static | Self::DynamicDns => false,
        }
    }
}

impl ServiceEntry {
    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let RawEntry { metadata, spec, status, .. } = decode(node, source)?;
        let mut problems = Vec::new();
        let meta = metadata.check(Origin::new(source, node.at), Scope::Namespaced, &mut problems);
        problems.extend(spec.problems(&meta));
        let endpoints = spec.endpoints.map(|endpoints| endpoints.value).unwrap_or_default();
        let check = |raw: Spanned<RawEndpoint>| raw.value.check(&meta.at(raw.at), &mut problems);
        let endpoints: Vec<Endpoint> = endpoints.into_iter().map(check).collect();
        let resolution = spec.resolution.unwrap_or_default();
        for endpoint in &endpoints {
            if let (Address::Host(name), Resolution::Static) = (&endpoint.address.value, resolution)
            {
                let at = meta.at(endpoint.address.at);
                let problem = at.error(format!("`{name}` is no IP address"));
                problems.push(problem.with_fix("write an IP address, or resolution: DNS"));
            }
        }
        let entry = Self {
            hosts: spec.hosts.value,
            addresses: spec.addresses.into_iter().map(|block| block.value.net.trunc()).collect(),
            ports: ports(spec.ports, &meta, &mut problems),
            is_external: spec.location != Some(Location::Internal),
            resolution,
            endpoints,
            selector: spec
                .workload_selector
                .map(|raw| check_values(raw.labels, &meta, &mut problems)),
            export_to: spec.export_to,
            subject_alt_names: spec.subject_alt_names,
            allocated: status.addresses.into_iter().filter_map(RawAllocated::read).collect(),
            meta,
        };
        if problems.is_empty() { Ok(entry) } else { Err(problems) }
    }
}

impl RawSpec {
    /// What no single field shows.
    fn problems(&self, meta: &Meta) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.hosts.value.is_empty() {
            problems.push(meta.at(self.hosts.at).error("a host is needed"));
        }
        for host in &self.hosts.value {
            problems.extend(bad_host(&host.value).map(|wrong| meta.at(host.at).error(wrong)));
        }
        let resolution = self.resolution.unwrap_or_default();
        if !matches!(resolution, Resolution::None | Resolution::Static)
            && let Some(range) = self.addresses.iter().find(|address| address.value.is_range)
        {
            let message = "ranges of addresses go with resolution NONE and STATIC only";
            problems.push(meta.at(range.at).error(message));
        }
        let Some(endpoints) = &self.endpoints else { return problems };
        let here = meta.at(endpoints.at);
        if self.workload_selector.is_some() {
            problems.push(here.error("only one of workloadSelector and endpoints can be set"));
        }
        if resolution == Resolution::None {
            let problem = here.error("with resolution NONE there are no endpoints");
            problems.push(problem.with_fix("write resolution: STATIC, or DNS"));
        }
        if resolution == Resolution::DnsRoundRobin && endpoints.value.len() > 1 {
            problems.push(here.error("with resolution DNS_ROUND_ROBIN there is one endpoint"));
        }
        problems
    }
}

impl RawAllocated {
    fn read(self) -> Option<(Option<String>, IpAddr)> {
        Some((self.host.filter(|host| !host.is_empty()), self.value.parse().ok()?))
    }
}

/// What is wrong with a host name; one `*` may stand for its first label.
fn bad_host(host: &str) -> Option<String> {
    if host == "*" {
        return Some("`*` stands for every host: name some".into());
    }
    let rest = host.strip_prefix('*').unwrap_or(host);
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_name = rest.len() <= 253
        && rest.split('.').all(|label| (1..=63).contains(&label.len()) && label.chars().all(fine));
    (!is_name).then(|| format!("`{host}` is no host name"))
}

fn ports(raw: Vec<Spanned<RawPort>>, meta: &Meta, problems: &mut Vec<Problem>) -> Vec<EntryPort> {
    let marked = raw.iter().map(|port| (port.value.number.0, port.value.name.as_str(), port.at));
    problems.extend(twice(marked, meta));
    let read = |Spanned { value: raw, .. }: Spanned<RawPort>| EntryPort {
        number: raw.number.0,
        target: raw.target_port.unwrap_or(raw.number).0,
        protocol: app_protocol(raw.protocol.as_deref(), "", raw.number.0),
        name: raw.name,
    };
    raw.into_iter().map(read).collect()
}
