//! What a worker reads: whole, immutable, indexed.
use crate::{
    authz::join::Authz,
    member::Member,
    name::{ServiceName, WorkloadUid},
    network::NetworkIp,
    service::{Port, Service},
    shards::Shards,
    workload::Workload,
};
use ipnet::IpNet;
use std::{collections::HashMap, net::IpAddr, sync::Arc};

pub mod build;

mod called;

mod vips;

pub use called::Called;
use vips::Vips;

/// The mesh as one node knows it; a clone shares all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    mesh: Arc<Mesh>,
    known: Shards<WorkloadUid, Arc<Known>>,
    /// By network.
    ips: Arc<HashMap<Arc<str>, Ips>>,
    /// Those of them in our network.
    own_ips: Ips,
    services: Shards<ServiceName, Arc<Bound>>,
    /// In lower case; the names in their order.
    hosts: Shards<Arc<str>, Arc<[ServiceName]>>,
    /// Those in our network.
    vips: Vips,
    /// Ranges of our network of which it is known that something is there, but not what.
    closed: Arc<[IpNet]>,
}

/// Which workload is at an address.
type Ips = Shards<IpAddr, Arc<Known>>;

/// What holds for the whole mesh, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mesh {
    /// The network this node is in; empty: the default one.
    pub network: Arc<str>,
    pub outbound: OutboundPolicy,
    /// The name of this node.
    pub node: Arc<str>,
}

/// What becomes of connections to what the mesh does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutboundPolicy {
    /// They go there in plain text.
    #[default]
    AllowAny,
    /// They are refused.
    RegistryOnly,
}

/// One workload, and what is decided by it.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    pub member: Arc<Member>,
    /// What decisions and telemetry call it.
    pub workload: Called,
    pub authz: Arc<Authz>,
}

/// One service, and what is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub service: Arc<Service>,
    /// In the order of their uids.
    pub endpoints: Arc<[Endpoint]>,
    /// The largest capacity among them.
    pub heaviest: u32,
}

/// A workload behind a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub known: Arc<Known>,
    /// Where it has the service's ports, as far as it says so itself.
    pub ports: Arc<[Port]>,
}

impl Known {
    pub fn new(member: Arc<Member>, authz: Arc<Authz>) -> Self {
        Self { workload: Called::new(Arc::clone(&member)), member, authz }
    }
}

impl Bound {
    pub fn new(service: Arc<Service>, endpoints: Arc<[Endpoint]>) -> Self {
        let capacities = endpoints.iter().map(|endpoint| endpoint.known.member.capacity);
        let heaviest = capacities.max().unwrap_or(0);
        Self { service, endpoints, heaviest }
    }
}

impl Snapshot {
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    pub fn known(&self, uid: &WorkloadUid) -> Option<&Arc<Known>> {
        self.known.get(uid)
    }

    /// The workload at `ip` of our network; a v4-mapped address is looked up as IPv4.
    pub fn known_at(&self, ip: IpAddr) -> Option<&Arc<Known>> {
        self.own_ips.get(&ip.to_canonical())
    }

    pub fn known_in(&self, at: &NetworkIp) -> Option<&Arc<Known>> {
        self.ips.get(&at.network)?.get(&at.ip)
    }

    /// Every workload, in no order.
    pub fn all_known(&self) -> impl Iterator<Item = &Arc<Known>> {
        self.known.values()
    }

    /// The workload at `ip` of our network; a v4-mapped address is looked up as IPv4.
    pub fn at(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.known_at(ip).map(|known| &*known.workload)
    }

    pub fn workload(&self, uid: &WorkloadUid) -> Option<&Arc<Workload>> {
        self.known(uid).map(|known| &*known.workload)
    }

    /// In no order.
    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.known.values().map(|known| &*known.workload)
    }

    /// Who may talk to a workload; `None` when it is not known: whoever asks on behalf of an
    /// enrolled workload must refuse.
    pub fn authz(&self, uid: &WorkloadUid) -> Option<&Arc<Authz>> {
        self.known(uid).map(|known| &known.authz)
    }

    pub fn service(&self, name: &ServiceName) -> Option<&Arc<Bound>> {
        self.services.get(name)
    }

    /// In no order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Bound>> {
        self.services.values()
    }

    /// The service at `ip` of our network, for a client in `namespace`.
    ///
    /// The smallest range counts that has a service the client may see. Of several with that range,
    /// the client's own namespace goes first, then the canonical one, then the order of names.
    pub fn service_at(&self, ip: IpAddr, namespace: &str) -> Option<&Arc<Bound>> {
        self.claimant(ip, namespace).map(|(_, bound)| bound)
    }

    /// Whether it is not known what is at `ip` of our network, though something is: no workload, and
    /// no service that a client in `namespace` may see of a smaller range than the one in question.
    pub fn is_closed(&self, ip: IpAddr, namespace: &str) -> bool {
        if self.closed.is_empty() {
            return false;
        }
        let ip = ip.to_canonical();
        let closed = self.closed.iter().filter(|range| range.contains(&ip));
        let Some(closed) = closed.map(IpNet::prefix_len).max() else { return false };
        let is_smaller = |(length, _): (u8, _)| length > closed;
        self.known_at(ip).is_none() && !self.claimant(ip, namespace).is_some_and(is_smaller)
    }

    /// As [`service_at`](Self::service_at), with the length of its range's prefix.
    fn claimant(&self, ip: IpAddr, namespace: &str) -> Option<(u8, &Arc<Bound>)> {
        self.vips.claims(ip).find_map(|(length, names)| {
            let bound = names.iter().filter_map(|name| self.services.get(name));
            let visible = bound.filter(|bound| bound.service.is_visible_from(namespace));
            let first = visible.min_by_key(|bound| {
                let service = &bound.service;
                (*service.host.namespace != *namespace, !service.canonical)
            });
            first.map(|bound| (length, bound))
        })
    }

    /// The services of every namespace that claim the host name, which is in lower case.
    pub fn services_named(&self, host: &str) -> impl Iterator<Item = &Arc<Bound>> {
        let names = self.hosts.get(host).map_or(&[][..], |names| names);
        names.iter().filter_map(|name| self.services.get(name))
    }
}

#[cfg(test)]
mod tests;
