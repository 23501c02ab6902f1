//! A ring of hashes: each endpoint at many places of it, a request at the next one.
use culvert_model::http::balance::{HashFunction, RingHash};

use super::murmur;
use crate::http::hash;

/// Endpoints on a ring, bit by bit where Envoy puts them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Ascending.
    places: Box<[(u64, u32)]>,
}

impl Ring {
    /// Of endpoints by name, with shares of the load that add up to one.
    ///
    /// As many places as the least share needs for a whole number of them, and the ring for its
    /// least size; not more than the ring's most.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes of rings, below 2^23"
    )]
    pub fn new(endpoints: &[(&str, f64)], config: &RingHash) -> Self {
        let least = endpoints.iter().map(|(_, share)| *share).fold(1.0, f64::min);
        if endpoints.is_empty() || least <= 0.0 {
            return Self::default();
        }
        let whole = (least * config.minimum as f64).ceil() / least;
        let scale = whole.min(config.maximum as f64);
        let mut places = Vec::with_capacity(scale.ceil() as usize);
        let mut name = String::new();
        let mut wanted = 0.0;
        let mut there = 0.0;
        for (at, (key, share)) in (0_u32..).zip(endpoints) {
            wanted += scale * share;
            let mut number = 0_u64;
            while there < wanted {
                name.clear();
                name.push_str(key);
                name.push('_');
                name.push_str(&number.to_string());
                let place = match config.function {
                    HashFunction::XxHash => hash::xx(name.as_bytes()),
                    HashFunction::Murmur2 => murmur::hash(name.as_bytes()),
                };
                places.push((place, at));
                number += 1;
                there += 1.0;
            }
        }
        places.sort_by_key(|(place, _)| *place);
        Self { places: places.into() }
    }

    /// The endpoint at a hash, or after it; for each attempt after the first, one further on.
    #[must_use]
    pub fn choose(&self, hash: u64, attempt: u32) -> Option<usize> {
        let after = self.places.partition_point(|(place, _)| *place < hash);
        let attempt = usize::try_from(attempt).ok()?;
        let start = if after == self.places.len() { 0 } else { after };
        let (_, at) = self.places.get((start + attempt).checked_rem(self.places.len())?)?;
        usize::try_from(*at).ok()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Every place with its endpoint, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.places.iter().copied()
    }
}

/// The rings that Envoy's own tests know.
#[cfg(test)]
mod tests {
    use culvert_model::http::balance::{HashFunction, RingHash};
    use proptest::prelude::*;

    use super::Ring;

    fn ring(keys: &[String], shares: &[f64], minimum: u64, function: HashFunction) -> Ring {
        let endpoints: Vec<_> =
            keys.iter().map(String::as_str).zip(shares.iter().copied()).collect();
        Ring::new(&endpoints, &RingHash { minimum, maximum: minimum.max(6), function })
    }

    fn addresses(ports: std::ops::Range<u16>) -> Vec<String> {
        ports.map(|port| format!("127.0.0.1:{port}")).collect()
    }

    #[test]
    fn addresses_are_where_envoy_puts_them() {
        let ring = ring(&addresses(90..96), &[1.0 / 6.0; 6], 12, HashFunction::XxHash);
        let wanted = [
            (833437586790550860, 4),
            (928266305478181108, 2),
            (1033482794131418490, 0),
            (3551244743356806947, 5),
            (3851675632748031481, 3),
            (5583722120771150861, 1),
            (6311230543546372928, 1),
            (7700377290971790572, 3),
            (13144177310400110813, 5),
            (13444792449719432967, 2),
            (15516499411664133160, 4),
            (16117243373044804889, 0),
        ];
        assert_eq!(ring.iter().collect::<Vec<_>>(), wanted);
        assert_eq!(ring.choose(0, 0), Some(4));
        assert_eq!(ring.choose(u64::MAX, 0), Some(4));
        assert_eq!(ring.choose(833437586790550861, 0), Some(2));
        assert_eq!([1, 2, 13].map(|attempt| ring.choose(0, attempt).unwrap()), [2, 0, 2]);
    }

    #[test]
    fn names_are_where_envoy_puts_them() {
        let names: Vec<_> = (90..96).map(|name| name.to_string()).collect();
        let ring = ring(&names, &[1.0 / 6.0; 6], 12, HashFunction::XxHash);
        let first: Vec<_> = ring.iter().take(3).collect();
        let wanted = [(1975508444536362413, 5), (2376063919839173711, 5), (2386806903309390596, 3)];
        assert_eq!(first, wanted);
    }

    #[test]
    fn murmur_puts_them_where_it_always_did() {
        let ring = ring(&addresses(80..86), &[1.0 / 6.0; 6], 12, HashFunction::Murmur2);
        let wanted = [
            (1358027074129602068, 5),
            (4361834613929391114, 3),
            (7224494972555149682, 4),
            (7701421856454313576, 1),
            (8649315368077433379, 2),
            (8739448859063030639, 4),
            (9887544217113020895, 1),
            (10150910876324007731, 2),
            (15168472011420622455, 3),
            (15427156902705414897, 0),
            (16375050414328759093, 5),
            (17613279263364193813, 0),
        ];
        assert_eq!(ring.iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn weights_are_numbers_of_places() {
        let ring =
            ring(&addresses(90..93), &[1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0], 6, HashFunction::XxHash);
        let wanted = [
            (928266305478181108, 2),
            (4443673547860492590, 2),
            (5583722120771150861, 1),
            (6311230543546372928, 1),
            (13444792449719432967, 2),
            (16117243373044804889, 0),
        ];
        assert_eq!(ring.iter().collect::<Vec<_>>(), wanted);
    }

    proptest! {
        #[test]
        fn an_endpoint_that_leaves_moves_only_its_own(count in 2_usize..20, hash: u64) {
            let keys: Vec<_> = (0..count).map(|n| format!("10.0.0.{n}:80")).collect();
            let before = Ring::new(
                &keys.iter().map(|k| (k.as_str(), 1.0 / count as f64)).collect::<Vec<_>>(),
                &RingHash { minimum: 100 * count as u64, ..RingHash::default() },
            );
            let left = &keys[..count - 1];
            let after = Ring::new(
                &left.iter().map(|k| (k.as_str(), 1.0 / left.len() as f64)).collect::<Vec<_>>(),
                &RingHash { minimum: 100 * left.len() as u64, ..RingHash::default() },
            );
            let was = before.choose(hash, 0).unwrap();
            prop_assume!(was != count - 1);
            prop_assert_eq!(after.choose(hash, 0), Some(was));
        }
    }
}
