//! How load is divided among priorities, and when health is no longer looked at.
use super::{Health, Member};

/// How many endpoints a priority has, by fitness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Those that count at all.
    counted: u64,
    healthy: u64,
    degraded: u64,
}

/// Per cent of the load, by priority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    pub healthy: Box<[u64]>,
    pub degraded: Box<[u64]>,
    /// Priorities whose endpoints are chosen whatever their health.
    pub panic: Box<[bool]>,
}

/// Which endpoints of a priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Healthy,
    Degraded,
    All,
}

impl Count {
    pub(super) fn of(here: &[usize], members: &[Member]) -> Self {
        let mut count = Self::default();
        for member in here.iter().filter_map(|at| members.get(*at)) {
            count.counted += u64::from(member.health != Health::Excluded);
            count.healthy += u64::from(member.health == Health::Healthy);
            count.degraded += u64::from(member.health == Health::Degraded);
        }
        count
    }

    /// What share is fit, in per cent, after overprovisioning.
    fn health(&self, fit: u64, overprovisioning: u32) -> u64 {
        (u64::from(overprovisioning) * fit).checked_div(self.counted).unwrap_or(0).min(100)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of endpoints")]
    fn in_panic(&self, threshold: f64) -> bool {
        let fit = (self.healthy + self.degraded) as f64;
        let share = if self.counted == 0 { 0.0 } else { 100.0 * fit / self.counted as f64 };
        share < threshold
    }
}

impl Loads {
    /// Each priority takes as much as it is healthy, the first first; what is left goes to degraded
    /// endpoints. Where everything is in a panic, each takes its share of all endpoints.
    pub(super) fn new(counts: &[Count], overprovisioning: u32, threshold: f64) -> Self {
        let health = |fit: fn(&Count) -> u64| -> Vec<u64> {
            counts.iter().map(|count| count.health(fit(count), overprovisioning)).collect()
        };
        let healthy = health(|count| count.healthy);
        let degraded = health(|count| count.degraded);
        let available = (healthy.iter().sum::<u64>() + degraded.iter().sum::<u64>()).min(100);
        let none = || vec![0; counts.len()].into_boxed_slice();
        let mut loads =
            Self { healthy: none(), degraded: none(), panic: vec![false; counts.len()].into() };
        if available > 0 {
            let mut left = 100;
            let first_healthy = distribute(&mut loads.healthy, &healthy, &mut left, available);
            let first_degraded = distribute(&mut loads.degraded, &degraded, &mut left, available);
            // What remains was lost in rounding.
            let first = match (first_healthy, first_degraded) {
                (Some(at), _) => loads.healthy.get_mut(at),
                (None, Some(at)) => loads.degraded.get_mut(at),
                (None, None) => None,
            };
            if let Some(first) = first {
                *first += left;
            }
        } else if threshold <= 0.0 {
            if let Some(first) = loads.healthy.first_mut() {
                *first = 100;
            }
            return loads;
        }
        if available < 100 {
            for (panic, count) in loads.panic.iter_mut().zip(counts) {
                *panic = count.in_panic(threshold);
            }
            if loads.panic.iter().all(|panic| *panic) {
                loads.all_in_panic(counts);
            }
        }
        loads
    }

    fn all_in_panic(&mut self, counts: &[Count]) {
        self.degraded.fill(0);
        self.healthy.fill(0);
        let total: u64 = counts.iter().map(|count| count.counted).sum();
        let mut left = 100;
        for (load, count) in self.healthy.iter_mut().zip(counts) {
            *load = (100 * count.counted).checked_div(total).unwrap_or(0);
            left -= *load;
        }
        let first = counts.iter().position(|count| count.counted > 0).unwrap_or(0);
        if let Some(first) = self.healthy.get_mut(first) {
            *first += left;
        }
    }

    /// The priority that a number falls to.
    pub(super) fn choose(&self, hash: u64) -> Option<(usize, Which)> {
        let mark = hash % 100 + 1;
        let mut sum = 0;
        for (loads, which) in [(&self.healthy, Which::Healthy), (&self.degraded, Which::Degraded)] {
            for (at, load) in loads.iter().enumerate() {
                sum += load;
                if mark <= sum {
                    return Some((at, self.fitness(at, which)));
                }
            }
        }
        None
    }

    /// Everything that a number may fall to.
    pub(super) fn used(&self) -> impl Iterator<Item = (usize, Which)> {
        let healthy = self.healthy.iter().map(|load| (load, Which::Healthy)).enumerate();
        let degraded = self.degraded.iter().map(|load| (load, Which::Degraded)).enumerate();
        let used = healthy.chain(degraded).filter(|(_, (load, _))| **load > 0);
        used.map(|(at, (_, which))| (at, self.fitness(at, which)))
    }

    fn fitness(&self, at: usize, which: Which) -> Which {
        if self.panic.get(at).copied().unwrap_or(false) { Which::All } else { which }
    }
}

/// Gives each what it can take; says which was the first that could take any.
fn distribute(loads: &mut [u64], health: &[u64], left: &mut u64, available: u64) -> Option<usize> {
    for (load, health) in loads.iter_mut().zip(health) {
        *load = (health * 100 / available).min(*left);
        *left -= *load;
    }
    health.iter().position(|health| *health > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Count, Loads};

    const fn count(counted: u64, healthy: u64, degraded: u64) -> Count {
        Count { counted, healthy, degraded }
    }

    fn loads(counts: &[Count]) -> (Vec<u64>, Vec<u64>, Vec<bool>) {
        let Loads { healthy, degraded, panic } = Loads::new(counts, 140, 50.0);
        (healthy.into(), degraded.into(), panic.into())
    }

    /// The tables of Envoy's documentation, "Priority levels", "Degraded endpoints" and "Panic".
    #[test]
    fn load_goes_as_documented() {
        let healthy = |counts: &[Count]| loads(counts).0;
        let of = |p0, p1| [count(100, p0, 0), count(100, p1, 0)];
        assert_eq!(healthy(&of(72, 100)), [100, 0]);
        assert_eq!(healthy(&of(71, 71)), [99, 1]);
        assert_eq!(healthy(&of(50, 60)), [70, 30]);
        assert_eq!(healthy(&of(25, 100)), [35, 65]);
        assert_eq!(healthy(&of(0, 100)), [0, 100]);
        assert_eq!(healthy(&of(25, 25)), [50, 50]);
        assert_eq!(
            healthy(&[count(100, 25, 0), count(100, 25, 0), count(100, 25, 0)]),
            [35, 35, 30]
        );
        assert_eq!(loads(&[count(100, 50, 50)]), (vec![70], vec![30], vec![false]));
        assert_eq!(loads(&[count(100, 0, 100)]), (vec![0], vec![100], vec![false]));
    }

    #[test]
    fn too_few_healthy_endpoints_are_a_panic() {
        assert_eq!(loads(&[count(10, 4, 0)]), (vec![100], vec![0], vec![true]));
        assert_eq!(loads(&[count(10, 0, 0)]), (vec![100], vec![0], vec![true]));
        // Another priority takes what one does not.
        assert_eq!(loads(&[count(10, 0, 0), count(10, 10, 0)]).2, [false, false]);
        assert_eq!(
            loads(&[count(10, 1, 0), count(30, 3, 0)]),
            (vec![25, 75], vec![0, 0], vec![true, true])
        );
        assert!(!Loads::new(&[count(10, 1, 0)], 140, 0.0).panic[0]);
    }

    proptest! {
        #[test]
        fn every_number_falls_to_somebody(
            counts in prop::collection::vec((0_u64..20, 0_u64..20, 0_u64..20), 1..5),
            hash: u64,
            threshold in 0_u32..=100,
        ) {
            let counts: Vec<_> = counts
                .into_iter()
                .map(|(bad, healthy, degraded)| count(bad + healthy + degraded, healthy, degraded))
                .collect();
            let loads = Loads::new(&counts, 140, f64::from(threshold));
            let total: u64 = loads.healthy.iter().chain(&loads.degraded).sum();
            prop_assert_eq!(total, 100);
            prop_assert!(loads.choose(hash).is_some());
        }
    }
}
