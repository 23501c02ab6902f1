//! `Pod` of core/v1: what the mesh reads of it.
use super::{
    decode::decode,
    meta::{Meta, Scope},
    node::Node,
    port::Protocol,
    spanned::Spanned,
};
use crate::problem::{Origin, Problem, Source};
pub(super) use raw::RawSpec as PodSpec;
use raw::{RawPod, RawPort, RawSpec, RawStatus};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU16,
    sync::Arc,
};

mod raw;

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub meta: Meta,
    /// Absent while it is not scheduled, and on plain hosts.
    pub node: Option<String>,
    pub service_account: String,
    pub uses_host_network: bool,
    pub phase: Phase,
    /// Its addresses, the first one first.
    pub ips: Vec<Spanned<IpAddr>>,
    /// What its containers say they listen on by TCP; sorted, each once.
    pub tcp_ports: Vec<u16>,
    /// The ones of them that have a name; the first of a name counts.
    pub named_ports: BTreeMap<String, NonZeroU16>,
    /// What a condition says; none is said of pods that no kubelet watches.
    pub ready: Option<bool>,
    /// The name servers of its `dnsConfig`, where it has no others: another `dnsPolicy` than `None`
    /// puts those of the cluster or the node before them.
    pub nameservers: Vec<Spanned<IpAddr>>,
}

/// How far its life has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    /// Its node does not answer, or nothing is said.
    #[default]
    Unknown,
}

impl Phase {
    /// Whether its containers have ended for good and its address may be another's.
    pub fn is_over(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed => true,
            Self::Pending | Self::Running | Self::Unknown => false,
        }
    }
}

impl Pod {
    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let RawPod { metadata, spec, status, .. } = decode(node, source)?;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let mut problems = Vec::new();
        let meta = metadata.check(Origin::new(source, node.at), Scope::Namespaced, &mut problems);
        let pod = Self {
            service_account: service_account(&spec, &meta, &mut problems),
            phase: status.phase.unwrap_or_default(),
            ips: ips(&status),
            tcp_ports: tcp_ports(&spec)
                .map(|port| port.container_port.get())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            named_ports: named_ports(&spec),
            ready: ready(&status),
            nameservers: nameservers(&spec),
            uses_host_network: spec.host_network.unwrap_or(false),
            node: spec.node_name.filter(|name| !name.is_empty()),
            meta,
        };
        if problems.is_empty() { Ok(pod) } else { Err(problems) }
    }
}

impl PodSpec {
    /// Who such pods run as.
    pub(super) fn account(&self, meta: &Meta, problems: &mut Vec<Problem>) -> String {
        service_account(self, meta, problems)
    }
}

/// `serviceAccountName`, its old spelling `serviceAccount`, else `default`.
fn service_account(spec: &RawSpec, meta: &Meta, problems: &mut Vec<Problem>) -> String {
    let (name, old) = (&spec.service_account_name, &spec.service_account);
    if let (Some(name), Some(old)) = (name, old)
        && name.value != old.value
    {
        let message = format!("serviceAccountName says `{}`", name.value.as_str());
        let problem = meta.at(old.at).error(message);
        problems.push(problem.with_fix("leave serviceAccount out: it is the old name of it"));
    }
    name.as_ref().or(old.as_ref()).map_or("default", |name| name.value.as_str()).to_owned()
}

fn ips(status: &RawStatus) -> Vec<Spanned<IpAddr>> {
    let mut ips: Vec<Spanned<IpAddr>> = Vec::new();
    let listed = status.pod_ips.iter().filter_map(|listed| listed.ip.as_ref());
    for written in status.pod_ip.iter().chain(listed) {
        let value = written.value.0;
        if ips.iter().all(|ip| ip.value != value) {
            ips.push(Spanned { value, at: written.at });
        }
    }
    ips
}

/// The ports of all containers that are spoken TCP on.
fn tcp_ports(spec: &RawSpec) -> impl Iterator<Item = &RawPort> {
    let RawSpec { containers, init_containers, ephemeral_containers, .. } = spec;
    let all = containers.iter().chain(init_containers).chain(ephemeral_containers);
    let ports = all.flat_map(|container| &container.ports);
    ports.filter(|port| port.protocol.is_none_or(|protocol| protocol == Protocol::Tcp))
}

fn named_ports(spec: &RawSpec) -> BTreeMap<String, NonZeroU16> {
    let mut named = BTreeMap::new();
    for RawPort { name, container_port, .. } in tcp_ports(spec) {
        if let Some(name) = name {
            named.entry(name.clone()).or_insert(container_port.0);
        }
    }
    named
}

/// What the condition `Ready` says.
fn ready(status: &RawStatus) -> Option<bool> {
    let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
    ready.map(|condition| condition.status == "True")
}

fn nameservers(spec: &RawSpec) -> Vec<Spanned<IpAddr>> {
    let is_all = spec.dns_policy.as_deref().is_none_or(|policy| policy == "None");
    let listed = spec.dns_config.iter().filter(|_| is_all).flat_map(|dns| &dns.nameservers);
    listed.map(|one| Spanned { value: one.value.0, at: one.at }).collect()
}
