//! `WorkloadEntry` of networking.istio.io, alone and inside a `ServiceEntry`.
use super::{
    meta::{Meta, Scope},
    node::Node,
    port::Port,
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Mark, Origin, Problem, Source};
use serde::Deserialize;
use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU16, sync::Arc};

/// A workload that is no pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadEntry {
    pub meta: Meta,
    pub endpoint: Endpoint,
}

/// Where something that is no pod is reached, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: Spanned<Address>,
    /// By the names of a service's ports.
    pub ports: BTreeMap<String, NonZeroU16>,
    pub labels: BTreeMap<String, String>,
    pub network: Option<String>,
    /// `region/zone/subzone`.
    pub locality: Option<String>,
    pub weight: u32,
    pub service_account: Option<String>,
}

/// The address of something that is no pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Ip(IpAddr),
    Host(String),
    /// A socket in the file system of its caller.
    Unix(String),
    /// Somewhere in its network.
    None,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawEndpoint {
    address: Option<Spanned<String>>,
    ports: BTreeMap<String, Spanned<Port>>,
    labels: BTreeMap<String, String>,
    network: Option<String>,
    locality: Option<String>,
    weight: Option<u32>,
    service_account: Option<String>,
}

impl WorkloadEntry {
    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let spec: Spanned<RawEndpoint> = spec;
        let endpoint = spec.value.check(&meta.at(spec.at), &mut problems);
        if problems.is_empty() { Ok(Self { meta, endpoint }) } else { Err(problems) }
    }

    /// The labels of the object, and of its `spec`, which count more.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.endpoint.labels.get(key).map(String::as_str).or_else(|| self.meta.label(key))
    }

    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.endpoint.labels.iter().map(|(key, value)| (&**key, &**value));
        let of_object = self.meta.labels.iter().map(|(key, value)| (&**key, &*value.value));
        own.chain(of_object.filter(|(key, _)| !self.endpoint.labels.contains_key(*key)))
    }
}

impl Endpoint {
    /// What is resolved by its name, and of which nothing else is known.
    pub(crate) fn host(name: String, at: Mark) -> Self {
        Self {
            address: Spanned { value: Address::Host(name), at },
            ports: BTreeMap::new(),
            labels: BTreeMap::new(),
            network: None,
            locality: None,
            weight: 0,
            service_account: None,
        }
    }
}

impl RawEndpoint {
    /// Checks what no single field shows.
    pub(super) fn check(self, origin: &Origin, problems: &mut Vec<Problem>) -> Endpoint {
        let address = self.address.as_ref().filter(|address| !address.value.is_empty());
        if address.is_none() && self.network.is_none() {
            let at = self.address.as_ref().map_or(origin.mark(), |address| address.at);
            problems.push(origin.at(at).error("an address is needed, or a network"));
        }
        self.check_template(origin, problems)
    }

    /// As [`check`](Self::check), of what need not say where it is.
    pub(super) fn check_template(self, origin: &Origin, problems: &mut Vec<Problem>) -> Endpoint {
        let at = self.address.as_ref().map(|address| address.at);
        let here = at.map_or_else(|| origin.clone(), |at| origin.at(at));
        let address = self.address.map(|address| address.value).unwrap_or_default();
        if let Some(path) = address.strip_prefix("unix://") {
            if !path.starts_with(['/', '@']) {
                problems.push(here.error("want an absolute path, or `@` and a name"));
            } else if path.ends_with('/') {
                problems.push(here.error("a folder is no socket"));
            }
            if !self.ports.is_empty() {
                problems.push(here.error("a socket in the file system has no ports"));
            }
        }
        for (name, port) in &self.ports {
            if !is_port_name(name) {
                let message = format!("`{name}` is no name of a port");
                problems.push(origin.at(port.at).error(message));
            }
        }
        Endpoint {
            address: Spanned { value: Address::read(address), at: at.unwrap_or(origin.mark()) },
            ports: self.ports.into_iter().map(|(name, port)| (name, port.value.0)).collect(),
            labels: self.labels,
            network: self.network.filter(|network| !network.is_empty()),
            locality: self.locality,
            weight: self.weight.unwrap_or(0),
            service_account: self.service_account.filter(|account| !account.is_empty()),
        }
    }
}

impl Address {
    fn read(written: String) -> Self {
        match written.parse::<IpAddr>() {
            Ok(ip) => Self::Ip(ip.to_canonical()),
            Err(_) if written.is_empty() => Self::None,
            Err(_) if written.starts_with("unix://") => Self::Unix(written),
            Err(_) => Self::Host(written),
        }
    }
}

fn is_port_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..63).contains(&name.len())
        && name.chars().all(fine)
        && !name.starts_with('-')
        && !name.ends_with('-')
}
