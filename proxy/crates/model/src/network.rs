//! Addresses in networks, and the ways into other ones.
use crate::name::ServiceName;
use ipnet::IpNet;
use std::{fmt, net::IpAddr, num::NonZeroU16, sync::Arc};

/// Where HBONE is spoken unless something else is said.
pub const HBONE_PORT: NonZeroU16 = NonZeroU16::new(15008).unwrap();

/// One address in one network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkIp {
    /// Empty: the default network.
    pub network: Arc<str>,
    /// Never v4-mapped.
    pub ip: IpAddr,
}

/// The addresses of a service in one network: mostly one, or a whole range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkRange {
    /// Empty: the default network.
    pub network: Arc<str>,
    /// Without host bits.
    pub range: IpNet,
}

/// A waypoint, or the way into another network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gateway {
    pub target: Target,
    pub hbone_port: NonZeroU16,
}

/// How a gateway is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Service(ServiceName),
    Ip(NetworkIp),
}

impl NetworkIp {
    /// Takes a v4-mapped address as IPv4.
    pub fn new(network: impl Into<Arc<str>>, ip: IpAddr) -> Self {
        Self { network: network.into(), ip: ip.to_canonical() }
    }
}

impl NetworkRange {
    /// `range` with host bits taken off.
    pub fn new(network: impl Into<Arc<str>>, range: IpNet) -> Self {
        Self { network: network.into(), range: range.trunc() }
    }

    /// The address, when it is one.
    pub fn single(&self) -> Option<IpAddr> {
        (self.range.prefix_len() == self.range.max_prefix_len()).then(|| self.range.addr())
    }
}

/// As resources are asked for by address.
impl fmt::Display for NetworkIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.ip)
    }
}

impl fmt::Display for NetworkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(ip) => write!(f, "{}/{ip}", self.network),
            None => write!(f, "{}/{}", self.network, self.range),
        }
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Service(name) => write!(f, "{name}:{}", self.hbone_port),
            Target::Ip(ip) => write!(f, "{ip}:{}", self.hbone_port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_asked_for() {
        let ip = NetworkIp::new("", "::ffff:10.0.0.1".parse().unwrap());
        assert_eq!(ip.to_string(), "/10.0.0.1");
        let range = NetworkRange::new("net", "10.0.0.7/8".parse().unwrap());
        assert_eq!((range.to_string(), range.single()), ("net/10.0.0.0/8".to_owned(), None));
        let single = NetworkRange::new("net", "fd00::1/128".parse().unwrap());
        assert_eq!(single.to_string(), "net/fd00::1");
    }
}
