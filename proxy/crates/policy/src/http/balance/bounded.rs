//! Rings and tables on which nobody takes much more than the others (`hash_balance_factor`).
//!
//! Who is over the bound is passed over for another, drawn in an order that is the same for every
//! request of one hash (arXiv:1908.08762).
use super::Choice;

mod twister;

use twister::Twister;

/// The bound: so many per cent of the average.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    percent: u64,
    /// Of the load, in the order of the pool's members.
    shares: Box<[f64]>,
}

impl Bound {
    pub(super) fn new(percent: u32, shares: impl IntoIterator<Item = f64>) -> Self {
        Self { percent: percent.into(), shares: shares.into_iter().collect() }
    }

    /// `first`, or another of `members` if that has too much to do; the least busy if all have.
    pub(super) fn keep(
        &self,
        first: usize,
        hash: u64,
        members: &[usize],
        choice: &Choice<'_>,
    ) -> usize {
        let busy = |at: usize| members.get(at).map_or(0, |member| (choice.active)(*member));
        let all: u64 = (0..members.len()).map(busy).sum();
        let slots = ((all + 1) * self.percent).div_ceil(100);
        let load = |at: usize| self.load(at, busy(at), slots);
        let mut best = (load(first), first);
        if best.0 <= 1.0 {
            return first;
        }
        let mut random = Twister::new(hash);
        let mut order: Vec<usize> = (0..members.len()).collect();
        for drawn in 0..order.len() {
            let left = u32::try_from(order.len() - drawn).unwrap_or(u32::MAX);
            let other = drawn + usize::try_from(random.below(left)).unwrap_or(0);
            order.swap(drawn, other);
            let Some(at) = order.get(drawn).copied().filter(|at| *at != first) else { continue };
            let load = load(at);
            if load <= 1.0 {
                return at;
            }
            if load < best.0 {
                best = (load, at);
            }
        }
        best.1
    }

    /// How much of what it may have an endpoint has; 1 is all.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    fn load(&self, at: usize, busy: u64, slots: u64) -> f64 {
        let share = self.shares.get(at).copied().unwrap_or(0.0);
        busy as f64 / (slots as f64 * share).ceil().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Bound, Choice};

    fn kept(bound: &Bound, first: usize, hash: u64, active: &[u64]) -> usize {
        let members: Vec<usize> = (0..active.len()).collect();
        let choice = Choice {
            hash: Some(hash),
            dice: &mut || 0,
            active: &|at| active[at],
            now: Duration::ZERO,
            avoid: &|_| false,
            attempts: 0,
        };
        bound.keep(first, hash, &members, &choice)
    }

    #[test]
    fn one_that_is_too_busy_is_passed_over() {
        let bound = Bound::new(150, [0.25; 4]);
        assert_eq!(kept(&bound, 1, 7, &[1, 1, 1, 1]), 1);
        assert_ne!(kept(&bound, 1, 7, &[0, 9, 0, 0]), 1);
        assert_eq!(kept(&bound, 1, 7, &[9, 9, 9, 0]), 1);
        let tight = Bound::new(100, [0.25; 4]);
        assert_eq!(kept(&tight, 1, 7, &[9, 9, 9, 0]), 3);
    }

    proptest! {
        #[test]
        fn nobody_goes_over_the_bound_while_another_has_room(
            active in prop::collection::vec(0_u64..40, 1..8),
            hash: u64,
            percent in 100_u32..300,
        ) {
            let count = active.len();
            let bound = Bound::new(percent, vec![1.0 / count as f64; count]);
            let first = usize::try_from(hash % count as u64).unwrap();
            let found = kept(&bound, first, hash, &active);
            let all: u64 = active.iter().sum();
            let room = ((all + 1) * u64::from(percent)).div_ceil(100).div_ceil(count as u64).max(1);
            // A slot more or less is rounding.
            prop_assert!(active[found] <= room + 1 || active.iter().all(|busy| *busy > room));
            prop_assert_eq!(found, kept(&bound, first, hash, &active));
        }
    }
}
