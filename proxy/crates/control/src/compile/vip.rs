//! Addresses for services that have none.
//!
//! Each service asks for the place that its name hashes to, and takes the next free one when an
//! older or lesser name has it. So a service keeps its addresses whatever else comes and goes,
//! but for the rare case that a service that goes before it wants the same place.
use culvert_model::name::ServiceName;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The first of `240.240.0.0/16`; the last is kept free too.
const V4: u32 = u32::from_be_bytes([240, 240, 0, 0]);

/// `2001:2::/48`
const V6: u128 = 0x2001_0002 << 96;

/// Places for addresses.
const PLACES: u32 = (1 << 16) - 2;

/// Who asks, in the order in which they are served: by age, then by name.
pub(super) type Asking = BTreeSet<(Option<String>, ServiceName)>;

/// A place among the addresses, from 1.
pub(super) type Place = u16;

/// A place for each; those that come too late have none.
pub(super) fn places(asking: &Asking) -> BTreeMap<ServiceName, Place> {
    let mut taken = HashSet::new();
    let mut places = BTreeMap::new();
    for (_, name) in asking {
        let wanted = hash(name) % PLACES;
        let mut all = (0..PLACES).map(|after| (wanted + after) % PLACES + 1);
        let free = all.find(|place| taken.insert(*place));
        let free = free.and_then(|place| Place::try_from(place).ok());
        places.extend(free.map(|place| (name.clone(), place)));
    }
    places
}

/// The addresses of a place, one of each family.
pub(super) fn addresses(place: Place) -> [IpAddr; 2] {
    [
        Ipv4Addr::from_bits(V4 | u32::from(place)).into(),
        Ipv6Addr::from_bits(V6 | u128::from(place)).into(),
    ]
}

/// FNV-1a, folded: it must stay what it is, and need not withstand anybody.
fn hash(name: &ServiceName) -> u32 {
    let ServiceName { namespace, hostname } = name;
    let bytes = namespace.bytes().chain([b'/']).chain(hostname.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
    u32::from_be_bytes([a, b, c, d]) ^ u32::from_be_bytes([e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asking(names: &BTreeSet<u32>) -> Asking {
        let name = |n: &u32| ServiceName::new("shop", format!("{n}.example.com"));
        names.iter().map(|n| (None, name(n))).collect()
    }

    #[test]
    fn addresses_are_of_the_ranges_set_aside() {
        let shown = |place| addresses(place).map(|ip| ip.to_string());
        assert_eq!(shown(1), ["240.240.0.1", "2001:2::1"]);
        assert_eq!(shown(65534), ["240.240.255.254", "2001:2::fffe"]);
        // What is written down somewhere must not change with a version of ours.
        let name = ServiceName::new("shop", "api.example.com");
        let all = places(&[(None, name.clone())].into());
        assert_eq!(all[&name], 27329);
    }

    proptest! {
        #[test]
        fn nobody_shares_a_place(names in prop::collection::btree_set(any::<u32>(), 0..200)) {
            let places = places(&asking(&names));
            prop_assert_eq!(places.len(), names.len());
            let taken: BTreeSet<_> = places.values().collect();
            prop_assert_eq!(taken.len(), places.len());
        }

        /// Few move when others come: only those whose place is wanted by somebody before them.
        #[test]
        fn others_hardly_matter(
            names in prop::collection::btree_set(any::<u32>(), 1..50), one in any::<u32>(),
        ) {
            let before = places(&asking(&names));
            let more = names.iter().copied().chain([one]).collect();
            let after = places(&asking(&more));
            let moved = before.iter().filter(|(name, place)| after[*name] != **place).count();
            prop_assert!(moved <= 2, "{} moved", moved);
        }
    }
}
