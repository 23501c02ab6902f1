//! The endpoints of a cluster.
use super::{address::Address, matcher::Fraction, value::Metadata};
use crate::locality::Locality;
use std::{net::SocketAddr, num::NonZeroU32, sync::Arc};

/// The endpoints of one cluster, or of one EDS service.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The cluster's name, or the name of the EDS service.
    pub name: Arc<str>,
    pub localities: Arc<[LocalityEndpoints]>,
    /// A priority counts as healthy while its healthy share times this is at least 100. Envoy: 140.
    pub overprovisioning: u32,
    /// What part of requests is refused, by reason.
    pub drops: Arc<[Drop]>,
    /// Whether weights count towards the health of a priority.
    pub weighted_priority_health: bool,
}

/// Requests refused on purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct Drop {
    pub category: Arc<str>,
    pub fraction: Fraction,
}

/// The endpoints of one place and priority.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocalityEndpoints {
    pub locality: Locality,
    /// 0 goes first.
    pub priority: u32,
    /// Counts where localities are weighted; none there means that nothing goes here.
    pub weight: Option<NonZeroU32>,
    pub metadata: Metadata,
    pub endpoints: Arc<[Arc<Endpoint>]>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub address: Address,
    /// Others of the same endpoint: dual stack.
    pub more_addresses: Arc<[Address]>,
    /// What it is called: `auto_host_rewrite`, health checks, retries.
    pub hostname: Arc<str>,
    pub health: HealthStatus,
    pub weight: NonZeroU32,
    pub metadata: Metadata,
    pub check: EndpointCheck,
}

/// How the endpoint is checked otherwise than its cluster says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointCheck {
    pub disabled: bool,
    pub port: Option<u16>,
    pub address: Option<Address>,
    pub hostname: Arc<str>,
}

/// What the control plane says about an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HealthStatus {
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
    Draining,
    Timeout,
    Degraded,
}

impl HealthStatus {
    /// Envoy's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
            Self::Draining => "DRAINING",
            Self::Timeout => "TIMEOUT",
            Self::Degraded => "DEGRADED",
        }
    }

    /// May requests go there, as far as the control plane says?
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Unknown | Self::Healthy | Self::Degraded)
    }
}

impl Endpoint {
    /// One of which no more is said than where it is.
    pub fn at(address: Address) -> Self {
        Self {
            address,
            more_addresses: Arc::default(),
            hostname: Arc::default(),
            health: HealthStatus::Unknown,
            weight: NonZeroU32::MIN,
            metadata: Metadata::default(),
            check: EndpointCheck::default(),
        }
    }
}

impl Assignment {
    /// One without endpoints.
    pub fn empty(name: Arc<str>) -> Self {
        Self {
            name,
            localities: Arc::default(),
            overprovisioning: 140,
            drops: Arc::default(),
            weighted_priority_health: false,
        }
    }

    /// One whose endpoints are at these addresses, all in one place.
    pub fn at(name: Arc<str>, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let endpoint = |at| Arc::new(Endpoint::at(Address::Socket(at)));
        let endpoints = addresses.into_iter().map(endpoint).collect();
        let locality = LocalityEndpoints { endpoints, ..LocalityEndpoints::default() };
        Self { localities: [locality].into(), ..Self::empty(name) }
    }

    /// Every endpoint, in the order given.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.localities.iter().flat_map(|locality| locality.endpoints.iter())
    }
}
