//! Which services claim an address.
use crate::{name::ServiceName, shards::Shards};
use ipnet::IpNet;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// Ranges, and the services that claim each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Vips {
    claims: Shards<IpNet, Arc<[ServiceName]>>,
    /// How many ranges there are of each prefix length.
    lengths: Arc<Lengths>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lengths {
    v4: BTreeMap<u8, usize>,
    v6: BTreeMap<u8, usize>,
}

impl Vips {
    /// Who claims `ip`: those of the smallest range first, each list in the order of names, with the
    /// length of the range's prefix.
    pub(super) fn claims(&self, ip: IpAddr) -> impl Iterator<Item = (u8, &[ServiceName])> {
        let ip = ip.to_canonical();
        self.lengths.of(ip).keys().rev().filter_map(move |length| {
            let range = IpNet::new(ip, *length).ok()?.trunc();
            self.claims.get(&range).map(|names| (*length, &**names))
        })
    }

    pub(super) fn insert(&mut self, range: IpNet, name: &ServiceName) {
        let before = self.claims.get(&range).map_or(&[][..], |names| names);
        let Err(at) = before.binary_search(name) else { return };
        let names: Arc<[ServiceName]> =
            before[..at].iter().chain([name]).chain(&before[at..]).cloned().collect();
        if names.len() == 1 {
            let lengths = Arc::make_mut(&mut self.lengths).of_mut(range.addr());
            *lengths.entry(range.prefix_len()).or_default() += 1;
        }
        self.claims.insert(range, names);
    }

    pub(super) fn remove(&mut self, range: IpNet, name: &ServiceName) {
        let before = self.claims.get(&range).map_or(&[][..], |names| names);
        if before.binary_search(name).is_err() {
            return;
        }
        let names: Arc<[ServiceName]> = before.iter().filter(|one| *one != name).cloned().collect();
        if !names.is_empty() {
            self.claims.insert(range, names);
            return;
        }
        self.claims.remove(&range);
        let lengths = Arc::make_mut(&mut self.lengths).of_mut(range.addr());
        if let Some(count) = lengths.get_mut(&range.prefix_len()) {
            *count -= 1;
            if *count == 0 {
                lengths.remove(&range.prefix_len());
            }
        }
    }
}

impl Lengths {
    fn of(&self, ip: IpAddr) -> &BTreeMap<u8, usize> {
        match ip {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        }
    }

    fn of_mut(&mut self, ip: IpAddr) -> &mut BTreeMap<u8, usize> {
        match ip {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(vips: &Vips, ip: &str, expect: &str) {
        let names = vips.claims(ip.parse().unwrap());
        let names: Vec<_> = names
            .map(|(_, names)| names.iter().map(|n| &*n.hostname).collect::<String>())
            .collect();
        assert_eq!(names.join(" "), expect, "{ip}");
    }

    #[test]
    fn the_smallest_range_comes_first() {
        let mut vips = Vips::default();
        let range = |text: &str| text.parse::<IpNet>().unwrap();
        let name = |host: &str| ServiceName::new("ns", host);
        for (to, host) in [
            ("10.0.0.1/32", "b"),
            ("10.0.0.1/32", "a"),
            ("10.0.0.1/32", "a"),
            ("10.0.0.0/24", "c"),
            ("10.0.0.0/8", "d"),
            ("fd00::/8", "e"),
        ] {
            vips.insert(range(to), &name(host));
        }
        check(&vips, "10.0.0.1", "ab c d");
        check(&vips, "::ffff:10.0.0.2", "c d");
        check(&vips, "fd00::1", "e");
        check(&vips, "11.0.0.1", "");
        vips.remove(range("10.0.0.1/32"), &name("a"));
        check(&vips, "10.0.0.1", "b c d");
        vips.remove(range("10.0.0.0/24"), &name("c"));
        vips.remove(range("10.0.0.0/24"), &name("c"));
        check(&vips, "10.0.0.1", "b d");
        assert_eq!(vips.lengths.v4.len(), 2);
    }
}
