//! Excluded destinations in the form of the `EXCLUDE` trie.
use aya::maps::lpm_trie::Key;
use culvert_common::{
    addr,
    pod::{EXCLUDE_PORTS, Exclude, ExcludeKey},
};
use culvert_model::pod::Exclusion;
use ipnet::IpNet;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Bits before the address in a key: the pod.
const POD_BITS: u32 = 32;

/// Bits of a v4-mapped address before the IPv4 address.
const MAPPED_BITS: u8 = 96;

/// Each network once, with its own ports and those of every network around it.
///
/// The trie answers with the longest prefix only, so what an enclosing network says must be said
/// again in the narrower one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exclusions(Vec<(IpNet, Ports)>);

/// Which ports of a network are excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ports {
    Every,
    These(BTreeSet<u16>),
}

/// Why exclusions cannot be held by the kernel.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExclusionError {
    #[error(
        "exclusion {network} has {count} ports together with the networks around it; at most \
         {EXCLUDE_PORTS} are possible, or none for every port"
    )]
    Ports { network: IpNet, count: usize },
    #[error("exclusion {network} names port 0")]
    PortZero { network: IpNet },
    #[error("exclusion {0} includes the IPv4-mapped addresses; write 2000::/3 and 0.0.0.0/0")]
    Mapped(IpNet),
}

impl Exclusions {
    /// Merges what `given` says.
    ///
    /// # Errors
    ///
    /// When a network ends up with more ports than fit, or would exclude IPv4 by the way.
    pub(crate) fn merge(given: &[Exclusion]) -> Result<Self, ExclusionError> {
        let mut own: BTreeMap<IpNet, Ports> = BTreeMap::new();
        for Exclusion { network, ports } in given {
            let network = canonical(*network)?;
            if ports.contains(&0) {
                return Err(ExclusionError::PortZero { network });
            }
            let ports = if ports.is_empty() {
                Ports::Every
            } else {
                Ports::These(ports.iter().copied().collect())
            };
            own.entry(network).and_modify(|known| known.add(&ports)).or_insert(ports);
        }
        own.keys()
            .map(|network| Ok((*network, around(&own, network)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.0.iter().map(|(network, _)| *network)
    }

    /// The trie's entries for a pod.
    pub(crate) fn entries(&self, pod_id: u32) -> impl Iterator<Item = (Key<ExcludeKey>, Exclude)> {
        self.0.iter().map(move |(network, ports)| (key(pod_id, network), ports.value()))
    }
}

impl Ports {
    fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::These(own), Self::These(more)) => own.extend(more),
            _ => *self = Self::Every,
        }
    }

    fn value(&self) -> Exclude {
        let mut value = Exclude::default();
        if let Self::These(ports) = self {
            for (slot, port) in value.ports_be.iter_mut().zip(ports) {
                *slot = port.to_be();
            }
        }
        value
    }
}

/// The key of a pod's network.
pub(crate) fn key(pod_id: u32, network: &IpNet) -> Key<ExcludeKey> {
    let bits = match network {
        IpNet::V4(v4) => MAPPED_BITS + v4.prefix_len(),
        IpNet::V6(v6) => v6.prefix_len(),
    };
    let addr = addr::from_ip(network.network());
    Key::new(POD_BITS + u32::from(bits), ExcludeKey { pod_id, addr })
}

/// The ports of `network` and of those that contain it.
fn around(own: &BTreeMap<IpNet, Ports>, network: &IpNet) -> Result<Ports, ExclusionError> {
    let mut all = Ports::These(BTreeSet::new());
    own.iter().filter(|(wider, _)| wider.contains(network)).for_each(|(_, more)| all.add(more));
    match &all {
        Ports::These(ports) if ports.len() > EXCLUDE_PORTS => {
            Err(ExclusionError::Ports { network: *network, count: ports.len() })
        }
        Ports::Every | Ports::These(_) => Ok(all),
    }
}

/// The network without host bits, IPv4 where it is v4-mapped.
fn canonical(network: IpNet) -> Result<IpNet, ExclusionError> {
    let network = network.trunc();
    let mapped = IpAddr::V6(std::net::Ipv4Addr::UNSPECIFIED.to_ipv6_mapped());
    match network {
        IpNet::V6(v6) if network.contains(&mapped) && v6.prefix_len() < MAPPED_BITS => {
            Err(ExclusionError::Mapped(network))
        }
        IpNet::V6(v6) => Ok(match v6.addr().to_ipv4_mapped() {
            Some(v4) => {
                let prefix = v6.prefix_len() - MAPPED_BITS;
                ipnet::Ipv4Net::new(v4, prefix).map_or(network, IpNet::V4)
            }
            None => network,
        }),
        IpNet::V4(_) => Ok(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn exclusion(network: &str, ports: &[u16]) -> Exclusion {
        Exclusion { network: network.parse().unwrap(), ports: ports.to_vec() }
    }

    /// What the programs do: the longest prefix, then its ports.
    fn longest(exclusions: &Exclusions, ip: IpAddr, port: u16) -> bool {
        let hit = exclusions.0.iter().filter(|(network, _)| network.contains(&ip));
        hit.max_by_key(|(network, _)| network.prefix_len()).is_some_and(|(_, ports)| {
            let value = ports.value();
            value.ports_be == [0; EXCLUDE_PORTS] || value.ports_be.contains(&port.to_be())
        })
    }

    #[test]
    fn a_narrow_network_inherits_the_ports_of_the_wide_one() {
        let merged =
            Exclusions::merge(&[exclusion("10.0.0.0/8", &[1]), exclusion("10.1.0.0/16", &[2])])
                .unwrap();
        assert!(longest(&merged, "10.1.0.1".parse().unwrap(), 1));
        assert!(!longest(&merged, "10.2.0.1".parse().unwrap(), 2));
    }

    #[test]
    fn refuses_more_ports_than_fit() {
        let got = Exclusions::merge(&[
            exclusion("10.0.0.0/8", &[1, 2, 3, 4, 5]),
            exclusion("10.1.0.0/16", &[6, 7, 8, 9]),
        ]);
        let network = "10.1.0.0/16".parse().unwrap();
        assert_eq!(got, Err(ExclusionError::Ports { network, count: 9 }));
    }

    #[test]
    fn all_of_ipv6_is_not_taken_for_ipv4_too() {
        let all: IpNet = "::/0".parse().unwrap();
        assert_eq!(Exclusions::merge(&[exclusion("::/0", &[])]), Err(ExclusionError::Mapped(all)));
    }

    #[test]
    fn a_mapped_network_is_an_ipv4_network() {
        let mapped = Exclusions::merge(&[exclusion("::ffff:10.0.0.0/104", &[])]);
        assert_eq!(mapped, Exclusions::merge(&[exclusion("10.0.0.0/8", &[])]));
    }

    proptest! {
        /// The longest prefix alone answers as all networks together would.
        #[test]
        fn merging_keeps_the_meaning(
            given in prop::collection::vec((any::<[u8; 1]>(), 0..=16_u8, prop::collection::vec(1..4_u16, 0..3)), 0..8),
            ip in any::<[u8; 1]>(), port in 1..5_u16,
        ) {
            // Few distinct addresses, so that networks do enclose one another.
            let address = |[byte]: [u8; 1]| Ipv4Addr::new(byte & 3, byte & 12, 0, 0);
            let given: Vec<_> = given.into_iter().map(|(byte, prefix, ports)| Exclusion {
                network: IpNet::new(address(byte).into(), prefix).unwrap(), ports,
            }).collect();
            let ip = IpAddr::from(address(ip));
            let meant = given.iter().any(|e| {
                e.network.contains(&ip) && (e.ports.is_empty() || e.ports.contains(&port))
            });
            let merged = Exclusions::merge(&given).unwrap();
            prop_assert_eq!(longest(&merged, ip, port), meant);
        }
    }
}
