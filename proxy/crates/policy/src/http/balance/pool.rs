//! Endpoints that are alike, and how the next one is found.
use std::sync::atomic::{AtomicUsize, Ordering};

use culvert_model::http::balance::Policy;

use super::{Choice, Member, Recipe, bounded::Bound, maglev::Table, ring::Ring, turns::Turns};
use crate::http::chance;

/// Some of a cluster's members.
#[derive(Debug)]
pub(super) struct Pool {
    /// By their places among all members.
    members: Box<[usize]>,
    picker: Picker,
    /// Of rings and tables.
    bound: Option<Bound>,
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
                let shares = shares(recipe, &members, locality_weights);
                let picker = Picker::Ring(Ring::new(&shares.of, config));
                return Self::hashed(recipe, &places, &shares, picker);
            }
            Policy::Maglev(config) => {
                let shares = shares(recipe, &members, locality_weights);
                let picker = Picker::Maglev(Table::new(&shares.of, config.table_size));
                return Self::hashed(recipe, &places, &shares, picker);
            }
            Policy::ClusterProvided => Picker::Nobody,
        };
        Self { members: places.into(), picker, bound: None }
    }

    /// A ring or a table, whose endpoints are in the order of its shares.
    fn hashed(recipe: &Recipe<'_>, places: &[usize], shares: &Shares<'_>, picker: Picker) -> Self {
        let members = shares.order.iter().filter_map(|at| places.get(*at).copied()).collect();
        let bound = recipe.balance.consistent.bounded_load.filter(|percent| *percent > 0);
        let bound = bound.map(|percent| Bound::new(percent, shares.of.iter().map(|(_, s)| *s)));
        Self { members, picker, bound }
    }

    /// Whoever may be chosen.
    pub(super) fn reach(&self) -> &[usize] {
        if matches!(self.picker, Picker::Nobody) { &[] } else { &self.members }
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
        let at = match &self.bound {
            None => at,
            Some(bound) => bound.keep(at, hash, &self.members, choice),
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

/// What is hashed of each endpoint, and its share of the load.
struct Shares<'a> {
    /// Which member each is.
    order: Vec<usize>,
    of: Vec<(&'a str, f64)>,
}

/// Those of localities without a weight are left out.
fn shares<'a>(recipe: &Recipe<'_>, members: &[&'a Member], locality_weights: bool) -> Shares<'a> {
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
    let mut shares = Shares { order: Vec::new(), of: Vec::new() };
    for (place, locality) in places.into_iter().filter(|(_, weight)| *weight > 0) {
        let inside = || {
            let all = members.iter().enumerate();
            all.filter(|(_, member)| !locality_weights || member.locality == place)
        };
        let total: f64 = inside().map(|(_, member)| weight(member)).sum();
        for (at, member) in inside() {
            shares.order.push(at);
            shares.of.push((key(member), weight(member) * (f64::from(locality) / sum) / total));
        }
    }
    shares
}

fn draw(choice: &mut Choice<'_>, count: usize) -> Option<usize> {
    let count = u64::try_from(count).ok()?;
    usize::try_from((choice.dice)().checked_rem(count)?).ok()
}

fn start(seed: u64) -> AtomicUsize {
    AtomicUsize::new(usize::try_from(seed % 0xffff).unwrap_or(0))
}
