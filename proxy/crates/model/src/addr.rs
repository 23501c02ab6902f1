//! Addresses of a pod.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A workload's addresses: at most one of each family. A pod of this node has at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PodIps {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

/// Why a list of addresses cannot be a pod's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPodIps {
    #[error("no address")]
    None,
    #[error("{0} and {1} are of one family; a pod has at most one address of each")]
    Twice(IpAddr, IpAddr),
    #[error("{0} cannot be a pod's address")]
    Special(IpAddr),
}

impl PodIps {
    /// Checks and sorts `ips`; a v4-mapped address counts as IPv4.
    ///
    /// # Errors
    ///
    /// When there is none, two of one family, or one that is loopback, unspecified or multicast.
    pub fn try_from_ips(ips: impl IntoIterator<Item = IpAddr>) -> Result<Self, NotPodIps> {
        let (mut v4, mut v6) = (None, None);
        for ip in ips {
            let ip = ip.to_canonical();
            if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
                return Err(NotPodIps::Special(ip));
            }
            let before = match ip {
                IpAddr::V4(ip) => v4.replace(ip).map(IpAddr::V4),
                IpAddr::V6(ip) => v6.replace(ip).map(IpAddr::V6),
            };
            if let Some(before) = before {
                return Err(NotPodIps::Twice(before, ip));
            }
        }
        if v4.is_none() && v6.is_none() {
            return Err(NotPodIps::None);
        }
        Ok(Self { v4, v6 })
    }

    /// The first of each family, of a workload that may be no pod and may have none.
    pub fn first_of(ips: impl IntoIterator<Item = IpAddr>) -> Self {
        let (mut v4, mut v6) = (None, None);
        for ip in ips {
            match ip.to_canonical() {
                IpAddr::V4(ip) => _ = v4.get_or_insert(ip),
                IpAddr::V6(ip) => _ = v6.get_or_insert(ip),
            }
        }
        Self { v4, v6 }
    }

    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.v4
    }

    pub fn v6(&self) -> Option<Ipv6Addr> {
        self.v6
    }

    /// Both, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }

    /// The one of the same family.
    pub fn like(&self, ip: IpAddr) -> Option<IpAddr> {
        match ip.to_canonical() {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        self.iter().any(|own| own == ip.to_canonical())
    }
}

/// `addr` with a v4-mapped address written as IPv4, as people read it.
#[must_use]
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_address_of_each_family() {
        let ips = PodIps::try_from_ips(["fd00::2".parse().unwrap(), "10.0.0.2".parse().unwrap()])
            .unwrap();
        assert_eq!(
            ips.iter().map(|ip| ip.to_string()).collect::<Vec<_>>(),
            ["10.0.0.2", "fd00::2"]
        );
        assert!(ips.contains("::ffff:10.0.0.2".parse().unwrap()));
    }

    #[test]
    fn refuses_none_two_of_a_family_and_loopback() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        assert_eq!(PodIps::try_from_ips([]), Err(NotPodIps::None));
        assert_eq!(
            PodIps::try_from_ips([ip("10.0.0.1"), ip("::ffff:10.0.0.2")]),
            Err(NotPodIps::Twice(ip("10.0.0.1"), ip("10.0.0.2")))
        );
        assert_eq!(
            PodIps::try_from_ips([ip("127.0.0.1")]),
            Err(NotPodIps::Special(ip("127.0.0.1")))
        );
    }
}
