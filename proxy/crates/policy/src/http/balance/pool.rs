//! Endpoints that are alike, and how the next one is found.
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use culvert_model::http::balance::Policy;

use super::{Choice, Member, Recipe, edf::Edf, maglev::Table, ring::Ring, slow_start::Ramp};
use crate::http::chance;

/// Some of a cluster's members.
#[derive(Debug)]
pub(super) struct Pool {
    /// By their places among all members.
    members: Box<[usize]>,
    picker: Picker,
}

#[derive(Debug)]
enum Picker {
    RoundRobin(AtomicUsize),
    Random,
    Least {
        choices: u32,
        full_scan: bool,
    },
    /// Where weights differ, or endpoints are new.
    Turns(Turns),
    Ring(Ring),
    Maglev(Table),
    Nobody,
}

/// Turns by weight.
#[derive(Debug)]
struct Turns {
    edf: Mutex<Edf>,
    weights: Box<[f64]>,
    since: Box<[std::time::Duration]>,
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

/// Whether a policy goes by a request's hash.
pub(super) const fn hashes(policy: &Policy) -> bool {
    matches!(policy, Policy::RingHash(_) | Policy::Maglev(_))
}

impl Pool {
    pub(super) fn new(recipe: &Recipe<'_>, which: &[usize], locality_weights: bool) -> Self {
        let found = which.iter().filter_map(|at| Some((*at, recipe.members.get(*at)?)));
        let (places, members): (Vec<usize>, Vec<&Member>) = found.unzip();
        let picker = match &recipe.balance.policy {
            _ if members.is_empty() => Picker::Nobody,
            Policy::RoundRobin { .. } => Turns::needed(recipe, &members, None)
                .map_or_else(|| Picker::RoundRobin(start(recipe.setting.seed)), Picker::Turns),
            Policy::LeastRequest(least) => {
                let bias = chance::number(&least.active_bias, recipe.setting.runtime).max(0.0);
                let simple = Picker::Least { choices: least.choices, full_scan: least.full_scan };
                Turns::needed(recipe, &members, Some(bias)).map_or(simple, Picker::Turns)
            }
            Policy::Random => Picker::Random,
            Policy::RingHash(config) => {
                let (order, shares) = shares(recipe, &members, locality_weights);
                let members = order.into_iter().filter_map(|at| places.get(at).copied()).collect();
                return Self { members, picker: Picker::Ring(Ring::new(&shares, config)) };
            }
            Policy::Maglev(config) => {
                let (order, shares) = shares(recipe, &members, locality_weights);
                let members = order.into_iter().filter_map(|at| places.get(at).copied()).collect();
                let table = Table::new(&shares, config.table_size);
                return Self { members, picker: Picker::Maglev(table) };
            }
            Policy::ClusterProvided => Picker::Nobody,
        };
        Self { members: places.into(), picker }
    }

    pub(super) fn choose(&self, hash: u64, attempt: u32, choice: &mut Choice<'_>) -> Option<usize> {
        let count = self.members.len();
        let at = match &self.picker {
            Picker::Nobody => return None,
            Picker::RoundRobin(next) => next.fetch_add(1, Ordering::Relaxed).checked_rem(count)?,
            Picker::Random => draw(choice, count)?,
            Picker::Least { full_scan: true, .. } => self.least_of_all(choice)?,
            Picker::Least { choices, full_scan: false } => self.least_of(*choices, choice)?,
            Picker::Turns(turns) => turns.next(&self.members, choice)?,
            Picker::Ring(ring) => ring.choose(hash, attempt)?,
            Picker::Maglev(table) => table.choose(hash, attempt)?,
        };
        self.members.get(at).copied()
    }

    /// The least busy of some, drawn by chance.
    fn least_of(&self, choices: u32, choice: &mut Choice<'_>) -> Option<usize> {
        let mut best: Option<(u64, usize)> = None;
        for _ in 0..choices.max(1) {
            let at = draw(choice, self.members.len())?;
            let active = (choice.active)(*self.members.get(at)?);
            if best.is_none_or(|(least, _)| active < least) {
                best = Some((active, at));
            }
        }
        best.map(|(_, at)| at)
    }

    /// The least busy; among equals, by chance.
    fn least_of_all(&self, choice: &mut Choice<'_>) -> Option<usize> {
        let mut best: Option<(u64, usize)> = None;
        let mut equals = 0_u64;
        for (at, member) in self.members.iter().enumerate() {
            let active = (choice.active)(*member);
            match best {
                Some((least, _)) if active > least => continue,
                Some((least, _)) if active == least => equals += 1,
                _ => equals = 1,
            }
            if equals == 1 || (choice.dice)().checked_rem(equals) == Some(0) {
                best = Some((active, at));
            }
        }
        best.map(|(_, at)| at)
    }
}

impl Turns {
    /// Turns, where plain rotation would not do.
    fn needed(recipe: &Recipe<'_>, members: &[&Member], bias: Option<f64>) -> Option<Self> {
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

    fn next(&self, members: &[usize], choice: &Choice<'_>) -> Option<usize> {
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

    pub(super) fn next(&self) -> Option<&T> {
        let weight = |at: usize| self.all.get(at).map_or(1.0, |(weight, _)| *weight);
        let at = self.edf.lock().unwrap_or_else(PoisonError::into_inner).next(weight)?;
        self.all.get(at).map(|(_, what)| what)
    }
}

/// What is hashed of each, and its share of the load; and which member each is. Those of localities
/// without a weight are left out.
fn shares<'a>(
    recipe: &Recipe<'_>,
    members: &[&'a Member],
    locality_weights: bool,
) -> (Vec<usize>, Vec<(&'a str, f64)>) {
    let key = |member: &'a Member| match &member.hash_key {
        Some(key) => &**key,
        None if recipe.balance.consistent.by_hostname && !member.name.is_empty() => &*member.name,
        None => &*member.address,
    };
    let weight = |member: &Member| f64::from(member.weight.max(1));
    let mut places: Vec<(u32, u32)> = members
        .iter()
        .map(
            |member| {
                if locality_weights { (member.locality, member.locality_weight) } else { (0, 1) }
            },
        )
        .collect();
    places.sort_unstable();
    places.dedup();
    let sum: f64 = places.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let (mut order, mut out) = (Vec::new(), Vec::new());
    for (place, locality) in places.into_iter().filter(|(_, weight)| *weight > 0) {
        let inside = || {
            let all = members.iter().enumerate();
            all.filter(|(_, member)| !locality_weights || member.locality == place)
        };
        let total: f64 = inside().map(|(_, member)| weight(member)).sum();
        for (at, member) in inside() {
            order.push(at);
            out.push((key(member), weight(member) * (f64::from(locality) / sum) / total));
        }
    }
    (order, out)
}

fn draw(choice: &mut Choice<'_>, count: usize) -> Option<usize> {
    let count = u64::try_from(count).ok()?;
    usize::try_from((choice.dice)().checked_rem(count)?).ok()
}

fn start(seed: u64) -> AtomicUsize {
    AtomicUsize::new(usize::try_from(seed % 0xffff).unwrap_or(0))
}
