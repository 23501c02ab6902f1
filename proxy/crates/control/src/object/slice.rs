//! `EndpointSlice` of discovery.k8s.io/v1.
use super::{
    decode::decode,
    meta::{Meta, RawMeta, Scope},
    node::Node,
    port::{Ip, Port, Protocol},
    spanned::Spanned,
};
use crate::problem::{Origin, Problem, Source};
use culvert_model::name::ObjectName;
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::{net::IpAddr, num::NonZeroU16, sync::Arc};

/// Says of which service a slice is.
const SERVICE: &str = "kubernetes.io/service-name";

/// Some endpoints of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    pub meta: Meta,
    /// Name of port and number, those that are spoken TCP on.
    pub ports: Vec<(String, NonZeroU16)>,
    pub endpoints: Vec<SliceEndpoint>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// The first of its addresses: Kubernetes never writes more.
    pub ip: Spanned<IpAddr>,
    pub ready: bool,
    /// The pod it is, which says more of itself.
    pub pod: Option<ObjectName>,
    pub node: Option<String>,
    pub zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawSlice {
    metadata: RawMeta,
    address_type: AddressType,
    #[serde(default)]
    endpoints: Vec<RawEndpoint>,
    #[serde(default)]
    ports: Vec<RawPort>,
    api_version: Option<Ignored>,
    kind: Option<Ignored>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum AddressType {
    #[serde(rename = "IPv4")]
    V4,
    #[serde(rename = "IPv6")]
    V6,
    #[serde(rename = "FQDN")]
    Fqdn,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawEndpoint {
    #[serde(default)]
    addresses: Vec<Spanned<String>>,
    #[serde(default)]
    conditions: RawConditions,
    target_ref: Option<RawTarget>,
    node_name: Option<String>,
    zone: Option<String>,
    deprecated_topology: Option<Ignored>,
    hints: Option<Ignored>,
    hostname: Option<Ignored>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawConditions {
    ready: Option<bool>,
    serving: Option<Ignored>,
    terminating: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawTarget {
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    api_version: Option<Ignored>,
    field_path: Option<Ignored>,
    resource_version: Option<Ignored>,
    uid: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawPort {
    name: Option<String>,
    port: Option<Port>,
    protocol: Option<Protocol>,
    app_protocol: Option<Ignored>,
}

impl EndpointSlice {
    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let raw: RawSlice = decode(node, source)?;
        let mut problems = Vec::new();
        let origin = Origin::new(source, node.at);
        let meta = raw.metadata.check(origin, Scope::Namespaced, &mut problems);
        // Names instead of addresses are resolved by nobody, Kubernetes included.
        let has_ips = raw.address_type != AddressType::Fqdn;
        let endpoints = raw.endpoints.into_iter().filter(|_| has_ips);
        let endpoints = endpoints.filter_map(|raw| raw.read(&meta, &mut problems)).collect();
        let tcp = raw.ports.into_iter();
        let tcp = tcp.filter(|port| port.protocol.unwrap_or_default() == Protocol::Tcp);
        let ports = tcp.filter_map(|port| Some((port.name.unwrap_or_default(), port.port?.0)));
        let slice = Self { ports: ports.collect(), endpoints, meta };
        if problems.is_empty() { Ok(slice) } else { Err(problems) }
    }

    /// The name of the service it is of.
    pub fn service(&self) -> Option<&str> {
        self.meta.label(SERVICE)
    }
}

impl RawEndpoint {
    fn read(self, meta: &Meta, problems: &mut Vec<Problem>) -> Option<SliceEndpoint> {
        let Spanned { value, at } = self.addresses.into_iter().next()?;
        let ip = match Ip::try_from(value) {
            Ok(ip) => Spanned { value: ip.0, at },
            Err(message) => {
                problems.push(meta.at(at).error(message));
                return None;
            }
        };
        let pod = self.target_ref.filter(|target| target.kind.as_deref() == Some("Pod"));
        let pod = pod.and_then(|target| {
            let namespace = target.namespace.unwrap_or_else(|| (*meta.name.namespace).to_owned());
            Some(ObjectName::new(namespace, target.name?))
        });
        let ready = self.conditions.ready.unwrap_or(true);
        Some(SliceEndpoint { ip, ready, pod, node: self.node_name, zone: self.zone })
    }
}
