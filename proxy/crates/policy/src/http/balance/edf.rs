//! Earliest deadline first: turns in proportion to weights, as evenly spread as can be.
use std::{cmp::Ordering, collections::BinaryHeap};

/// Things that take turns.
#[derive(Clone, Debug, Default)]
pub(super) struct Edf {
    waiting: BinaryHeap<Turn>,
    now: f64,
    /// Of equal deadlines, the one that has waited longer is before.
    order: u64,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    deadline: f64,
    order: u64,
    what: usize,
}

impl Edf {
    /// Adds something; its first turn comes after 1 / weight.
    pub(super) fn add(&mut self, what: usize, weight: f64) {
        self.order += 1;
        let deadline = self.now + 1.0 / weight.max(f64::MIN_POSITIVE);
        self.waiting.push(Turn { deadline, order: self.order, what });
    }

    /// Whose turn it is; `weight` is asked for when its next one is to be.
    pub(super) fn next(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
        let turn = self.waiting.pop()?;
        self.now = turn.deadline;
        self.add(turn.what, weight(turn.what));
        Some(turn.what)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl Ord for Turn {
    /// The greatest is the one whose deadline is first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Edf;

    #[test]
    fn turns_are_evenly_spread() {
        let mut edf = Edf::default();
        let weight = |what: usize| [1.0, 2.0][what];
        (0..2).for_each(|what| edf.add(what, weight(what)));
        let turns: Vec<_> = (0..6).map(|_| edf.next(weight).unwrap()).collect();
        assert_eq!(turns, [1, 0, 1, 1, 0, 1]);
    }

    proptest! {
        #[test]
        fn turns_are_in_proportion(weights in prop::collection::vec(1_u32..20, 1..8)) {
            let mut edf = Edf::default();
            let weight = |what: usize| f64::from(weights[what]);
            (0..weights.len()).for_each(|what| edf.add(what, weight(what)));
            let total: u32 = weights.iter().sum();
            let mut counts = vec![0_u32; weights.len()];
            for _ in 0..total * 10 {
                counts[edf.next(weight).unwrap()] += 1;
            }
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert!(count.abs_diff(weight * 10) <= 1, "{counts:?} {weights:?}");
            }
        }
    }
}
