//! Maglev: a table in which every endpoint has its share, and few places change hands.
use crate::http::hash;

/// A table of endpoints, bit by bit as Envoy fills it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    slots: Box<[u32]>,
}

/// An endpoint that takes its turns at the table.
struct Filling {
    at: u32,
    offset: u64,
    skip: u64,
    weight: f64,
    /// Its next turn comes when weight times rounds reaches it.
    target: f64,
    next: u64,
}

impl Table {
    /// Of endpoints by name, with shares of the load; `size` is a prime.
    #[must_use]
    pub fn new(endpoints: &[(&str, f64)], size: u64) -> Self {
        const EMPTY: u32 = u32::MAX;
        let Ok(length) = usize::try_from(size) else { return Self::default() };
        let most = endpoints.iter().map(|(_, share)| *share).fold(0.0, f64::max);
        if endpoints.is_empty() || most <= 0.0 || size < 2 {
            return Self::default();
        }
        let mut sorted: Vec<_> = (0_u32..).zip(endpoints).collect();
        sorted.sort_by(|(_, a), (_, b)| a.0.cmp(b.0));
        let filling = |(at, (key, weight)): (u32, &(&str, f64))| Filling {
            at,
            offset: hash::xx(key.as_bytes()) % size,
            skip: hash::xx_seeded(key.as_bytes(), 1) % (size - 1) + 1,
            weight: *weight,
            target: 0.0,
            next: 0,
        };
        let mut all: Vec<_> = sorted.into_iter().map(filling).collect();
        let mut slots = vec![EMPTY; length];
        let mut filled = 0;
        let mut round = 1_u32;
        while filled < length {
            for endpoint in &mut all {
                if filled == length || f64::from(round) * endpoint.weight < endpoint.target {
                    continue;
                }
                endpoint.target += most;
                let mut slot = endpoint.turn(size);
                while slots.get(slot) != Some(&EMPTY) {
                    slot = endpoint.turn(size);
                }
                if let Some(place) = slots.get_mut(slot) {
                    *place = endpoint.at;
                }
                filled += 1;
            }
            round += 1;
        }
        Self { slots: slots.into() }
    }

    /// The endpoint of a hash; attempts after the first look elsewhere.
    #[must_use]
    pub fn choose(&self, hash: u64, attempt: u32) -> Option<usize> {
        let hash = if attempt == 0 { hash } else { hash ^ (u64::MAX - u64::from(attempt) + 1) };
        let size = u64::try_from(self.slots.len()).ok()?;
        let slot = usize::try_from(hash.checked_rem(size)?).ok()?;
        usize::try_from(*self.slots.get(slot)?).ok()
    }

    /// Every place's endpoint.
    #[must_use]
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }
}

impl Filling {
    /// The next place that it would like; after all of them, the first again.
    fn turn(&mut self, size: u64) -> usize {
        let place = (self.offset + self.skip * self.next) % size;
        self.next += 1;
        usize::try_from(place).unwrap_or(usize::MAX)
    }
}

/// The tables that Envoy's own tests know.
#[cfg(test)]
mod tests {
    use super::Table;

    fn table(keys: &[String], shares: &[f64], size: u64) -> Table {
        let endpoints: Vec<_> =
            keys.iter().map(String::as_str).zip(shares.iter().copied()).collect();
        Table::new(&endpoints, size)
    }

    fn addresses(ports: std::ops::Range<u16>) -> Vec<String> {
        ports.map(|port| format!("127.0.0.1:{port}")).collect()
    }

    #[test]
    fn addresses_are_where_envoy_puts_them() {
        let basic = table(&addresses(90..96), &[1.0 / 6.0; 6], 7);
        assert_eq!(basic.slots(), [2, 4, 0, 1, 5, 0, 3]);
        assert_eq!(basic.choose(10, 0), Some(1));
        assert_eq!(basic.choose(10, 1), Some(0));
        assert_eq!(basic.choose(10, 2), Some(5));
        let mut turned = addresses(90..96);
        turned.reverse();
        let turned = table(&turned, &[1.0 / 6.0; 6], 7);
        assert_eq!(turned.slots(), [3, 1, 5, 4, 0, 5, 2]);
    }

    #[test]
    fn names_are_where_envoy_puts_them() {
        let names: Vec<_> = (90..96).map(|name| name.to_string()).collect();
        assert_eq!(table(&names, &[1.0 / 6.0; 6], 7).slots(), [2, 5, 0, 3, 4, 1, 0]);
    }

    #[test]
    fn weights_are_numbers_of_places() {
        assert_eq!(
            table(&addresses(90..92), &[1.0 / 3.0, 2.0 / 3.0], 17).slots(),
            [1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1]
        );
    }

    #[test]
    fn everybody_has_a_share_of_the_usual_table() {
        let keys: Vec<_> = (0..100).map(|n| format!("10.0.0.{n}:80")).collect();
        let table = table(&keys, &[0.01; 100], 65_537);
        let mut counts = [0_u32; 100];
        table.slots().iter().for_each(|at| counts[*at as usize] += 1);
        assert!(counts.iter().all(|count| (655..=656).contains(count)), "{counts:?}");
    }
}
