//! Which endpoint of a cluster a request goes to.
//!
//! A [`Balancer`] is made when endpoints or their health change, and asked by every request: a
//! priority by its share of the load, a locality by its weight, an endpoint by the policy. What it
//! needs by chance, of the clock and of requests under way comes with the [`Choice`].
use std::{sync::Arc, time::Duration};

use culvert_model::http::{
    balance::{Balance, LocalityMode, SlowStart},
    endpoint::{Endpoint, HealthStatus, LocalityEndpoints},
    runtime::RuntimeValues,
    value::{Metadata, Value},
};

mod bounded;
mod edf;
mod maglev;
mod murmur;
mod pool;
mod priority;
mod ring;
mod slow_start;
mod subset;
mod turns;

pub use self::{maglev::Table, priority::Loads, ring::Ring, subset::Subsetted};

use pool::Pool;
use priority::{Count, Which};

/// An endpoint, as balancing sees it.
#[derive(Clone, Debug)]
pub struct Member {
    /// As Envoy writes it: what rings and tables hash.
    pub address: Arc<str>,
    /// Hashed instead, where the cluster says so.
    pub name: Arc<str>,
    /// `hash_key` below `envoy.lb`: hashed before either.
    pub hash_key: Option<Arc<str>>,
    pub weight: u32,
    pub priority: u32,
    /// Endpoints of one place have the same number.
    pub locality: u32,
    /// The place's weight; 0 is none.
    pub locality_weight: u32,
    pub health: Health,
    /// When it came, on the clock of [`Choice::now`].
    pub since: Duration,
    pub metadata: Metadata,
}

/// Whether an endpoint is fit for requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    #[default]
    Healthy,
    /// Only where there is too little that is healthy.
    Degraded,
    /// Only in a panic.
    Unhealthy,
    /// Not yet checked: not counted at all.
    Excluded,
}

/// What one choice depends on.
pub struct Choice<'a> {
    pub hash: Option<u64>,
    pub dice: &'a mut dyn FnMut() -> u64,
    /// Requests under way, of an endpoint by its place among the members.
    pub active: &'a dyn Fn(usize) -> u64,
    pub now: Duration,
    /// Whether another endpoint is to be looked for: one that was tried before, for instance.
    pub avoid: &'a dyn Fn(usize) -> bool,
    /// How often another is looked for.
    pub attempts: u32,
}

/// A cluster's endpoints, ready to be chosen from.
#[derive(Debug)]
pub struct Balancer {
    loads: Loads,
    levels: Box<[Level]>,
    by_hash: bool,
}

/// The endpoints of a priority.
#[derive(Debug)]
struct Level {
    healthy: Group,
    degraded: Group,
    all: Group,
}

/// Endpoints of one priority and fitness: by locality, or all together.
#[derive(Debug)]
enum Group {
    Flat(Pool),
    Localities(turns::Weighted<Pool>),
}

/// What a balancer is made under.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    pub runtime: &'a RuntimeValues,
    /// Of the assignment; 140 unless told otherwise.
    pub overprovisioning: u32,
    /// Where rotations begin.
    pub seed: u64,
    /// On the clock of [`Choice::now`].
    pub now: Duration,
}

/// What all groups of a cluster are made by.
struct Recipe<'a> {
    balance: &'a Balance,
    members: &'a [Member],
    setting: Setting<'a>,
}

impl Member {
    /// An endpoint that is called `name`, in a locality that has this number.
    #[must_use]
    pub fn new(
        endpoint: &Endpoint,
        name: &Arc<str>,
        (of, locality): (&LocalityEndpoints, u32),
        (health, since): (Health, Duration),
    ) -> Self {
        let hash_key = endpoint.metadata.find("envoy.lb", ["hash_key"]).and_then(Value::as_str);
        Self {
            address: Arc::clone(name),
            name: Arc::clone(&endpoint.hostname),
            hash_key: hash_key.map(Arc::from),
            weight: endpoint.weight.get(),
            priority: of.priority,
            locality,
            locality_weight: of.weight.map_or(0, std::num::NonZero::get),
            health,
            since,
            metadata: endpoint.metadata.clone(),
        }
    }
}

impl Health {
    /// What the control plane says of an endpoint.
    #[must_use]
    pub const fn said(status: HealthStatus) -> Self {
        match status {
            HealthStatus::Unhealthy | HealthStatus::Draining | HealthStatus::Timeout => {
                Self::Unhealthy
            }
            HealthStatus::Degraded => Self::Degraded,
            HealthStatus::Unknown | HealthStatus::Healthy => Self::Healthy,
        }
    }
}

impl Balancer {
    #[must_use]
    pub fn new(balance: &Balance, members: &[Member], setting: Setting<'_>) -> Self {
        let which: Vec<usize> = (0..members.len()).collect();
        Self::of(&Recipe { balance, members, setting }, &which)
    }

    fn of(recipe: &Recipe<'_>, which: &[usize]) -> Self {
        let members = recipe.members;
        let most = which.iter().filter_map(|at| Some(members.get(*at)?.priority)).max();
        let levels = most.map_or(0, |most| most + 1);
        let of_level = |level: u32| -> Vec<usize> {
            let here = |at: &&usize| members.get(**at).is_some_and(|m| m.priority == level);
            which.iter().filter(here).copied().collect()
        };
        let levels: Vec<_> = (0..levels).map(of_level).collect();
        let counts: Vec<_> = levels.iter().map(|level| Count::of(level, members)).collect();
        let loads =
            Loads::new(&counts, recipe.setting.overprovisioning, recipe.balance.panic_threshold);
        let levels = levels.iter().map(|level| Level::new(recipe, level)).collect();
        Self { loads, levels, by_hash: pool::hashes(&recipe.balance.policy) }
    }

    /// The place of the endpoint that a request goes to; `None` if none is fit.
    pub fn choose(&self, choice: &mut Choice<'_>) -> Option<usize> {
        let hash = match choice.hash {
            Some(hash) if self.by_hash => hash,
            _ => (choice.dice)(),
        };
        let (level, which) = self.loads.choose(hash)?;
        let level = self.levels.get(level)?;
        let group = level.group(which);
        let mut found = None;
        for attempt in 0..=choice.attempts {
            found = group.choose(hash, attempt, choice);
            if found.is_none_or(|at| !(choice.avoid)(at)) {
                break;
            }
        }
        found
    }

    /// The places of the endpoints that a request may go to, ascending.
    #[must_use]
    pub fn reach(&self) -> Vec<usize> {
        let groups = self.loads.used().filter_map(|(level, which)| {
            let level = self.levels.get(level)?;
            Some(level.group(which))
        });
        let mut all: Vec<usize> = groups.flat_map(Group::members).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// How the load is divided among the priorities.
    #[must_use]
    pub fn loads(&self) -> &Loads {
        &self.loads
    }
}

impl Level {
    fn new(recipe: &Recipe<'_>, here: &[usize]) -> Self {
        let of = |health: Health| -> Vec<usize> {
            let is = |at: &&usize| recipe.members.get(**at).is_some_and(|m| m.health == health);
            here.iter().filter(is).copied().collect()
        };
        Self {
            healthy: Group::new(recipe, &of(Health::Healthy), here),
            degraded: Group::new(recipe, &of(Health::Degraded), here),
            all: Group::new(recipe, here, here),
        }
    }

    const fn group(&self, which: Which) -> &Group {
        match which {
            Which::Healthy => &self.healthy,
            Which::Degraded => &self.degraded,
            Which::All => &self.all,
        }
    }
}

impl Group {
    /// `fit` of all the endpoints `here`.
    fn new(recipe: &Recipe<'_>, fit: &[usize], here: &[usize]) -> Self {
        let weighted = recipe.balance.locality == LocalityMode::Weighted;
        // Rings and tables have the weights of localities inside them.
        if !weighted || pool::hashes(&recipe.balance.policy) {
            return Self::Flat(Pool::new(recipe, fit, weighted));
        }
        let member = |at: &usize| recipe.members.get(*at);
        let mut places: Vec<u32> = fit.iter().filter_map(|at| Some(member(at)?.locality)).collect();
        places.sort_unstable();
        places.dedup();
        let mut pools = Vec::new();
        for place in places {
            let inside = |at: &&usize| member(at).is_some_and(|m| m.locality == place);
            let fit_there: Vec<_> = fit.iter().filter(inside).copied().collect();
            let there = here.iter().filter(inside).count();
            let weight = fit_there.first().and_then(member).map_or(0, |m| m.locality_weight);
            let weight =
                effective_weight(weight, fit_there.len(), there, recipe.setting.overprovisioning);
            if weight > 0.0 {
                pools.push((weight, Pool::new(recipe, &fit_there, false)));
            }
        }
        Self::Localities(turns::Weighted::new(pools, recipe.setting.seed))
    }

    fn members(&self) -> Vec<usize> {
        match self {
            Self::Flat(pool) => pool.reach().to_vec(),
            Self::Localities(pools) => pools.all().flat_map(Pool::reach).copied().collect(),
        }
    }

    fn choose(&self, hash: u64, attempt: u32, choice: &mut Choice<'_>) -> Option<usize> {
        match self {
            Self::Flat(pool) => pool.choose(hash, attempt, choice),
            Self::Localities(pools) => pools.next()?.choose(hash, attempt, choice),
        }
    }
}

/// A locality's weight, less where less of it is fit than overprovisioning makes up for.
#[expect(clippy::cast_precision_loss, reason = "counts of endpoints")]
fn effective_weight(weight: u32, fit: usize, all: usize, overprovisioning: u32) -> f64 {
    if all == 0 {
        return 0.0;
    }
    let share = fit as f64 / all as f64 * (f64::from(overprovisioning) / 100.0);
    f64::from(weight) * share.min(1.0)
}

/// The policy's slow start, if it has one.
fn slow_start(balance: &Balance) -> Option<&SlowStart> {
    use culvert_model::http::balance::Policy;

    match &balance.policy {
        Policy::RoundRobin { slow_start } => slow_start.as_ref(),
        Policy::LeastRequest(least) => least.slow_start.as_ref(),
        Policy::Random | Policy::RingHash(_) | Policy::Maglev(_) | Policy::ClusterProvided => None,
    }
}

impl std::fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Choice").field("hash", &self.hash).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
