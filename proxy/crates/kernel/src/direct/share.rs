//! Which verdicts each pod has: no pod takes another's room.
use culvert_common::direct::VerdictKey;
use std::collections::{HashMap, HashSet, VecDeque};

/// How many verdicts one pod has at most; its oldest makes room for another.
const SHARE: usize = 256;

/// The verdicts of each pod, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Shares(HashMap<u32, Share>);

/// The verdicts of one pod.
#[derive(Debug, Default)]
pub(crate) struct Share {
    oldest_first: VecDeque<VerdictKey>,
    known: HashSet<VerdictKey>,
}

impl Shares {
    pub(super) fn of(&mut self, source_pod: u32) -> &mut Share {
        self.0.entry(source_pod).or_default()
    }

    /// What the pod had.
    pub(super) fn forget(&mut self, source_pod: u32) -> VecDeque<VerdictKey> {
        self.0.remove(&source_pod).unwrap_or_default().oldest_first
    }
}

impl Share {
    /// What has to go before `key` is added.
    pub(super) fn oldest_before(&mut self, key: &VerdictKey) -> Option<VerdictKey> {
        if self.known.contains(key) || self.oldest_first.len() < SHARE {
            return None;
        }
        let oldest = self.oldest_first.pop_front()?;
        self.known.remove(&oldest);
        Some(oldest)
    }

    pub(super) fn add(&mut self, key: VerdictKey) {
        if self.known.insert(key) {
            self.oldest_first.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(port: u16) -> VerdictKey {
        VerdictKey { port_be: port, ..VerdictKey::default() }
    }

    proptest! {
        /// What the map holds of a pod: never more than its share, and always the latest.
        #[test]
        fn a_share_keeps_the_latest(ports in prop::collection::vec(0..400_u16, 0..1500)) {
            let mut share = Share::default();
            let mut map = HashSet::new();
            for port in ports {
                if let Some(oldest) = share.oldest_before(&key(port)) {
                    prop_assert!(map.remove(&oldest));
                }
                map.insert(key(port));
                share.add(key(port));
                prop_assert!(map.len() <= SHARE && map.contains(&key(port)));
                prop_assert_eq!(map.len(), share.oldest_first.len());
            }
            prop_assert_eq!(map, share.known);
        }
    }
}
