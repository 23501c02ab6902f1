//! Which source ports deliveries try, in which order.
use arc_swap::ArcSwap;
use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicU32, Ordering},
};

/// Above the default `ip_local_port_range`: hardly anybody listens or connects from there.
pub(crate) const UPPER: RangeInclusive<u16> = 61_000..=65_535;

/// Below it.
pub(crate) const LOWER: RangeInclusive<u16> = 10_240..=32_767;

/// The rounds of one delivery: where, whether a tuple in `TIME_WAIT` will do, and how many tries.
const ROUNDS: [Round; 4] = [
    Round { zone: Zone::Upper, time_wait: TimeWait::Taken, tries: 64 },
    Round { zone: Zone::Lower, time_wait: TimeWait::Taken, tries: 128 },
    Round { zone: Zone::Upper, time_wait: TimeWait::Free, tries: 64 },
    Round { zone: Zone::Lower, time_wait: TimeWait::Free, tries: 256 },
];

/// A step through a zone that visits every port once before it repeats one, being coprime to both
/// sizes (4536 and 22528), and leaves a run of taken ports at once: clients bind neighbours.
const STRIDE: u32 = 1_597;

/// How many deliveries start with the round that worked last before all are tried again.
const REMEMBERED: u32 = 1_024;

/// How many deliveries look less far after one that found no port. Each port tried is a socket: a
/// pod that holds them all, which needs no privilege, would have every connection to it cost the
/// node a hundred times as much.
const SPARING: u32 = 64;

/// By how much less.
const LESS: usize = 32;

/// Where a pod's deliveries are in each zone.
#[derive(Debug)]
pub(crate) struct Ports {
    upper: AtomicU32,
    lower: AtomicU32,
    /// The round that worked last; so a pod full of `TIME_WAIT` does not try in vain every time.
    first_round: AtomicU32,
    deliveries: AtomicU32,
    /// How many deliveries are still to look less far.
    sparing: AtomicU32,
    avoided: ArcSwap<Vec<u16>>,
}

/// A port to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) port: u16,
    round: u32,
    time_wait: TimeWait,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    zone: Zone,
    time_wait: TimeWait,
    tries: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    Upper,
    Lower,
}

/// What a tuple in `TIME_WAIT` counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeWait {
    Taken,
    Free,
}

impl Ports {
    /// Ports that are not to be taken from now on.
    pub(crate) fn avoid(&self, ports: impl IntoIterator<Item = u16>) {
        let mut ports: Vec<u16> = ports.into_iter().collect();
        ports.sort_unstable();
        self.avoided.store(ports.into());
    }

    /// The ports one delivery tries: at most the sum of the rounds.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = Candidate> {
        if self.deliveries.fetch_add(1, Ordering::Relaxed).is_multiple_of(REMEMBERED) {
            self.first_round.store(0, Ordering::Relaxed);
        }
        let avoided = self.avoided.load_full();
        let first = self.first_round.load(Ordering::Relaxed);
        // Two at once may count as one, which does no harm.
        let sparing = self.sparing.load(Ordering::Relaxed);
        self.sparing.store(sparing.saturating_sub(1), Ordering::Relaxed);
        let by = if 0 < sparing { LESS } else { 1 };
        let rounds = (0..).zip(ROUNDS).skip_while(move |(number, _)| *number < first);
        let tries = rounds.flat_map(move |(number, round)| {
            std::iter::repeat_n((number, round), round.tries / by)
        });
        tries.filter_map(move |(round, Round { zone, time_wait, .. })| {
            let port = self.next(zone);
            let free = avoided.binary_search(&port).is_err();
            free.then_some(Candidate { port, round, time_wait })
        })
    }

    /// Remembers what worked.
    pub(crate) fn took(&self, candidate: &Candidate) {
        self.first_round.store(candidate.round, Ordering::Relaxed);
    }

    /// Remembers that nothing worked.
    pub(crate) fn exhausted(&self) {
        // The round that worked once is no better than the others.
        self.first_round.store(0, Ordering::Relaxed);
        self.sparing.store(SPARING, Ordering::Relaxed);
    }

    fn next(&self, zone: Zone) -> u16 {
        let (cursor, ports) = match zone {
            Zone::Upper => (&self.upper, UPPER),
            Zone::Lower => (&self.lower, LOWER),
        };
        nth(&ports, cursor.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            upper: AtomicU32::new(0),
            lower: AtomicU32::new(0),
            first_round: AtomicU32::new(0),
            deliveries: AtomicU32::new(0),
            sparing: AtomicU32::new(0),
            avoided: ArcSwap::default(),
        }
    }
}

impl Candidate {
    pub(crate) fn time_wait_ok(&self) -> bool {
        self.time_wait == TimeWait::Free
    }
}

/// The port after `steps` strides through `ports`.
pub(crate) fn nth(ports: &RangeInclusive<u16>, steps: u32) -> u16 {
    let count = u32::from(ports.end() - ports.start()) + 1;
    let offset = u64::from(steps) * u64::from(STRIDE) % u64::from(count);
    ports.start() + u16::try_from(offset).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn of_round(ports: &Ports, round: u32) -> Vec<u16> {
        ports.candidates().filter(|c| c.round == round).map(|c| c.port).collect()
    }

    #[test]
    fn a_stride_visits_every_port_of_a_zone_once() {
        for zone in [UPPER, LOWER] {
            let count = u32::try_from(zone.len()).unwrap();
            let visited: BTreeSet<u16> = (0..count).map(|i| nth(&zone, i)).collect();
            assert_eq!(visited, zone.collect());
        }
    }

    #[test]
    fn tries_the_upper_zone_first_and_time_wait_last() {
        let ports = Ports::default();
        let first = ports.candidates().next().unwrap();
        assert!(UPPER.contains(&first.port) && !first.time_wait_ok());
        let last = ports.candidates().last().unwrap();
        assert!(LOWER.contains(&last.port) && last.time_wait_ok());
        assert_eq!(ports.candidates().count(), 512);
    }

    #[test]
    fn starts_with_the_round_that_worked_until_it_is_time_to_look_again() {
        let ports = Ports::default();
        let worked = ports.candidates().find(Candidate::time_wait_ok).unwrap();
        ports.took(&worked);
        for _ in 1..REMEMBERED {
            assert!(ports.candidates().next().unwrap().time_wait_ok());
        }
        assert!(!ports.candidates().next().unwrap().time_wait_ok());
    }

    #[test]
    fn after_one_in_vain_deliveries_look_less_far_for_a_while_but_in_every_round() {
        let ports = Ports::default();
        let all = ports.candidates().count();
        ports.exhausted();
        for _ in 0..SPARING {
            let tried: Vec<_> = ports.candidates().collect();
            assert_eq!(tried.len(), all / LESS);
            assert!((0..4).all(|round| tried.iter().any(|candidate| candidate.round == round)));
        }
        assert_eq!(ports.candidates().count(), all);
    }

    #[test]
    fn the_next_delivery_goes_on_where_the_last_one_stopped() {
        let ports = Ports::default();
        let first = ports.candidates().next().unwrap();
        let second = ports.candidates().next().unwrap();
        assert_ne!(first.port, second.port);
        assert_eq!(of_round(&ports, 0).len(), 64);
    }

    proptest! {
        #[test]
        fn never_takes_the_applications_ports(
            avoided in prop::collection::vec(61_000..=61_200_u16, 0..50), deliveries in 1..40_usize,
        ) {
            let ports = Ports::default();
            ports.avoid(avoided.iter().copied());
            for _ in 0..deliveries {
                prop_assert!(ports.candidates().all(|c| !avoided.contains(&c.port)));
            }
        }
    }
}
