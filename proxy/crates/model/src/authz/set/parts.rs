//! What sets are made of, to write them down again: what was collected comes out, in one order.
use super::{Account, Accounts, Networks, Ports, StringMatch, Strings};
use ipnet::IpNet;
use std::sync::Arc;

impl Strings {
    pub fn iter(&self) -> impl Iterator<Item = StringMatch> {
        let Self { exact, prefixes, suffixes, presence } = self;
        let exact = exact.iter().map(|s| StringMatch::Exact(Arc::clone(s)));
        let prefixes = prefixes.iter().map(|s| StringMatch::Prefix(Arc::clone(s)));
        let suffixes = suffixes.iter().map(|s| StringMatch::Suffix(Arc::clone(s)));
        exact.chain(prefixes).chain(suffixes).chain(presence.then_some(StringMatch::Presence))
    }
}

impl Accounts {
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.0.iter()
    }
}

impl Networks {
    /// As they were given, overlapping or not.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        self.given.iter().copied()
    }
}

impl Ports {
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_its_parts_is_the_same_set() {
        let strings: Strings = [
            StringMatch::Suffix("s".into()),
            StringMatch::Exact("long".into()),
            StringMatch::Exact("a".into()),
            StringMatch::Presence,
            StringMatch::Prefix("p".into()),
        ]
        .into_iter()
        .collect();
        assert_eq!(strings.iter().collect::<Strings>(), strings);
        assert_eq!(strings.iter().count(), 5);
        let networks: Networks =
            ["10.0.0.0/8", "10.1.0.0/16"].iter().map(|net| net.parse::<IpNet>().unwrap()).collect();
        assert_eq!(networks.iter().collect::<Networks>(), networks);
    }
}
