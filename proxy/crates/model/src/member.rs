//! One workload of the mesh as the control plane announces it: who it is and how it is reached.
use crate::{
    addr::PodIps,
    identity::Identity,
    l7::L7Ports,
    locality::Locality,
    name::{ObjectName, WorkloadUid},
    network::{Gateway, NetworkIp},
    workload::{Enrolment, Workload},
};
use std::{net::IpAddr, num::NonZeroU16, sync::Arc};

mod services;

pub use services::Services;

/// One workload, as every node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub uid: WorkloadUid,
    pub name: ObjectName,
    pub identity: Identity,
    /// Never v4-mapped; none: [`hostname`](Self::hostname) is resolved when it is dialled.
    pub addresses: Box<[IpAddr]>,
    pub hostname: Arc<str>,
    /// Empty: the default network.
    pub network: Arc<str>,
    pub network_mode: NetworkMode,
    pub tunnel: Tunnel,
    /// It speaks HBONE by itself.
    pub native_tunnel: bool,
    pub waypoint: Option<Arc<Gateway>>,
    /// The way to it from other networks.
    pub network_gateway: Option<Arc<Gateway>>,
    pub app_tunnel: Option<AppTunnel>,
    /// The node it runs on; empty when that is not known.
    pub node: Arc<str>,
    pub cluster: Arc<str>,
    pub locality: Arc<Locality>,
    pub canonical_name: Arc<str>,
    pub canonical_revision: Arc<str>,
    /// The controller that made it; empty: it stands for itself.
    pub owner: Arc<str>,
    pub owner_kind: OwnerKind,
    /// The services it is an endpoint of, and where it has their ports.
    pub services: Services,
    /// Those of its ports to which connections must pass L7.
    pub l7: L7Ports,
    /// The policies that select it.
    pub policies: Arc<[ObjectName]>,
    pub health: Health,
    /// Weight among a service's endpoints.
    pub capacity: u32,
}

/// Whether its address is its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkMode {
    #[default]
    Own,
    /// It has its node's: the address does not tell which workload is meant.
    Host,
}

/// How it is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tunnel {
    /// In plain text.
    #[default]
    None,
    Hbone,
}

/// What it wants of the node that delivers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppTunnel {
    pub protocol: AppTunnelProtocol,
    /// `None`: the port that was asked for.
    pub port: Option<NonZeroU16>,
}

/// What connections to it begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppTunnelProtocol {
    #[default]
    None,
    /// A PROXY header.
    Proxy,
}

/// What made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    #[default]
    Deployment,
    CronJob,
    Pod,
    Job,
}

/// Whether it can do its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    #[default]
    Healthy,
    Unhealthy,
}

impl Member {
    /// A healthy workload without addresses, in the default network, of which nothing else is known.
    pub fn new(uid: WorkloadUid, name: ObjectName, identity: Identity) -> Self {
        let empty = Arc::<str>::default();
        Self {
            uid,
            name,
            identity,
            addresses: Box::default(),
            hostname: Arc::clone(&empty),
            network: Arc::clone(&empty),
            network_mode: NetworkMode::default(),
            tunnel: Tunnel::default(),
            native_tunnel: false,
            waypoint: None,
            network_gateway: None,
            app_tunnel: None,
            node: Arc::clone(&empty),
            cluster: Arc::clone(&empty),
            locality: Arc::default(),
            canonical_name: Arc::clone(&empty),
            canonical_revision: Arc::clone(&empty),
            owner: empty,
            owner_kind: OwnerKind::default(),
            services: Services::default(),
            l7: L7Ports::default(),
            policies: Arc::default(),
            health: Health::default(),
            capacity: 1,
        }
    }

    /// Its addresses as names it can be asked for by; none when they are its node's.
    pub fn network_ips(&self) -> impl Iterator<Item = NetworkIp> {
        let own = matches!(self.network_mode, NetworkMode::Own);
        let ips = self.addresses.iter().filter(move |_| own);
        ips.map(|ip| NetworkIp { network: Arc::clone(&self.network), ip: *ip })
    }

    /// What decisions and telemetry call it; of its addresses the first of each family.
    pub fn workload(&self) -> Workload {
        let owner = if self.owner.is_empty() { &self.name.name } else { &self.owner };
        Workload {
            uid: self.uid.clone(),
            name: self.name.clone(),
            identity: self.identity.clone(),
            ips: PodIps::first_of(self.addresses.iter().copied()),
            node: Arc::clone(&self.node),
            cluster: Arc::clone(&self.cluster),
            owner: Arc::clone(owner),
            canonical_name: Arc::clone(&self.canonical_name),
            canonical_revision: Arc::clone(&self.canonical_revision),
            app: Arc::clone(&self.canonical_name),
            version: Arc::clone(&self.canonical_revision),
            enrolment: match self.tunnel {
                Tunnel::Hbone => Enrolment::Enrolled,
                Tunnel::None => Enrolment::Outside,
            },
        }
    }
}
