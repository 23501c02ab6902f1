//! Turns in proportion to weights that differ, or change.
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{Choice, Member, Recipe, edf::Edf, slow_start::Ramp};

/// Turns by weight.
#[derive(Debug)]
pub(super) struct Turns {
    edf: Mutex<Edf>,
    weights: Box<[f64]>,
    since: Box<[Duration]>,
    /// Of the requests under way, in least request.
    bias: Option<f64>,
    ramp: Option<Ramp>,
}

/// Things of which one is next, by weight.
#[derive(Debug)]
pub(super) struct Weighted<T> {
    edf: Mutex<Edf>,
    all: Box<[(f64, T)]>,
}

impl Turns {
    /// Turns, where plain rotation would not do.
    pub(super) fn needed(
        recipe: &Recipe<'_>,
        members: &[&Member],
        bias: Option<f64>,
    ) -> Option<Self> {
        let first = members.first()?.weight;
        let setting = recipe.setting;
        let ramp = super::slow_start(recipe.balance).map(|slow| Ramp::new(slow, setting.runtime));
        if ramp.is_none() && members.iter().all(|member| member.weight == first) {
            return None;
        }
        let weights: Box<[f64]> = members.iter().map(|m| f64::from(m.weight.max(1))).collect();
        let mut edf = Edf::default();
        for (at, (weight, member)) in weights.iter().zip(members).enumerate() {
            let new = ramp.map_or(1.0, |ramp| ramp.share(member.since, setting.now));
            edf.add(at, weight * new);
        }
        let since = members.iter().map(|member| member.since).collect();
        let turns = Self { edf: Mutex::new(edf), weights, since, bias, ramp };
        turns.turn_by(setting.seed);
        Some(turns)
    }

    /// So that not everybody begins with the same one.
    fn turn_by(&self, seed: u64) {
        let mut edf = self.edf.lock().unwrap_or_else(PoisonError::into_inner);
        let count = u64::try_from(edf.len()).unwrap_or(0);
        for _ in 0..seed.checked_rem(count).unwrap_or(0) {
            edf.next(|at| self.weights.get(at).copied().unwrap_or(1.0));
        }
    }

    pub(super) fn next(&self, members: &[usize], choice: &Choice<'_>) -> Option<usize> {
        let mut edf = self.edf.lock().unwrap_or_else(PoisonError::into_inner);
        edf.next(|at| {
            let weight = self.weights.get(at).copied().unwrap_or(1.0);
            let since = self.since.get(at).copied().unwrap_or_default();
            let new = self.ramp.map_or(1.0, |ramp| ramp.share(since, choice.now));
            weight * new / self.burden(members, at, choice)
        })
    }

    /// What requests under way take off a weight.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    fn burden(&self, members: &[usize], at: usize, choice: &Choice<'_>) -> f64 {
        let Some(bias) = self.bias.filter(|bias| *bias > 0.0) else { return 1.0 };
        let active = members.get(at).map_or(0, |member| (choice.active)(*member));
        (active as f64 + 1.0).powf(bias)
    }
}

impl<T> Weighted<T> {
    pub(super) fn new(all: Vec<(f64, T)>, seed: u64) -> Self {
        let mut edf = Edf::default();
        for (at, (weight, _)) in all.iter().enumerate() {
            edf.add(at, *weight);
        }
        let count = u64::try_from(all.len()).unwrap_or(0);
        for _ in 0..seed.checked_rem(count).unwrap_or(0) {
            edf.next(|at| all.get(at).map_or(1.0, |(weight, _)| *weight));
        }
        Self { edf: Mutex::new(edf), all: all.into() }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.all.iter().map(|(_, what)| what)
    }

    pub(super) fn next(&self) -> Option<&T> {
        let weight = |at: usize| self.all.get(at).map_or(1.0, |(weight, _)| *weight);
        let at = self.edf.lock().unwrap_or_else(PoisonError::into_inner).next(weight)?;
        self.all.get(at).map(|(_, what)| what)
    }
}
