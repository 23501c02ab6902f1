//! A service: addresses and a host name that stand for several workloads.
use crate::{
    identity::Identity,
    l7::L7Ports,
    locality::Balance,
    name::ServiceName,
    network::{Gateway, NetworkRange},
};
use std::{num::NonZeroU16, sync::Arc};

/// One service, as every node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub host: ServiceName,
    /// Of the object that made it.
    pub name: Arc<str>,
    /// None: headless, reached by its endpoints' addresses.
    pub vips: Box<[NetworkRange]>,
    pub ports: Box<[Port]>,
    /// Server identities that are accepted beside the endpoint's own.
    pub accepted: Box<[Identity]>,
    pub waypoint: Option<Gateway>,
    /// When one has a weight, one of them is thrown for each connection, instead of `waypoint`.
    pub weighted_waypoints: Box<[(Gateway, u32)]>,
    pub balance: Balance,
    pub families: Families,
    /// Preferred when several services claim one host or address.
    pub canonical: bool,
    /// For gateways.
    pub ingress_use_waypoint: bool,
    pub visibility: Visibility,
    /// Those of its ports of which connections must pass L7 where they are made.
    pub l7: L7Ports,
}

/// One port of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    pub port: NonZeroU16,
    /// `None`: of a service, the port has a name, and each endpoint says its number; of an
    /// endpoint, it does not have the port.
    pub target: Option<NonZeroU16>,
    pub protocol: AppProtocol,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppProtocol {
    #[default]
    Unknown,
    Http1,
    Http2,
    Grpc,
    Tcp,
    Tls,
}

/// Which families its host name has addresses of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Families {
    /// Those of its addresses.
    #[default]
    Automatic,
    V4,
    V6,
    Dual,
}

/// Who may reach it by its host and addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Visibility {
    #[default]
    Public,
    /// Workloads of its own namespace.
    Namespace,
}

impl Service {
    /// A public service without addresses, ports and waypoints.
    pub fn new(host: ServiceName, name: impl Into<Arc<str>>) -> Self {
        Self {
            host,
            name: name.into(),
            vips: Box::default(),
            ports: Box::default(),
            accepted: Box::default(),
            waypoint: None,
            weighted_waypoints: Box::default(),
            balance: Balance::default(),
            families: Families::default(),
            canonical: false,
            ingress_use_waypoint: false,
            visibility: Visibility::default(),
            l7: L7Ports::default(),
        }
    }

    /// Whether workloads of `namespace` may reach it by its host and addresses.
    pub fn is_visible_from(&self, namespace: &str) -> bool {
        match self.visibility {
            Visibility::Public => true,
            Visibility::Namespace => *self.host.namespace == *namespace,
        }
    }
}
