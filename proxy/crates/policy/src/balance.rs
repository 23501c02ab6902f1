//! Which of a service's endpoints a connection goes to.
//!
//! Those that can be reached at all, of them the nearest, of them two by weight, of them the less
//! loaded: that keeps to the weights, and one that is stuck gets no more to do.
use culvert_model::{
    locality::{BalanceMode, HealthPolicy, Nearness},
    member::{Health, Member, Tunnel},
    name::WorkloadUid,
    service::Port,
    snapshot::{Bound, Endpoint},
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// How much each workload has to do.
pub trait Load {
    /// The connections now open to it, as far as they came by us.
    fn open(&self, uid: &WorkloadUid) -> u32;
}

/// Nobody has anything to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle;

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Addr(SocketAddr),
    /// To be resolved when it is dialled.
    Host(Arc<str>, u16),
}

/// Why an endpoint is not chosen from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Out {
    Unhealthy,
    /// A connect to it failed just now.
    Failed,
    /// Its capacity is 0.
    Weightless,
    /// It has not the port.
    Portless,
    /// It is in another network, whose name this is.
    Elsewhere(Arc<str>),
    /// It has no address of a family that the source has too, or only a host name.
    Unaddressed,
    /// The service wants this in common with the source, and it is not.
    Apart(Nearness),
    /// Others have more in common with the source.
    Farther,
}

/// What a choice depends on, but for load and luck.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) bound: &'a Bound,
    pub(crate) source: &'a Member,
    /// The network we are in.
    pub(crate) network: &'a str,
    /// What the source dialled.
    pub(crate) dialled: IpAddr,
    /// Of the service.
    pub(crate) port: u16,
    /// Whether the endpoints are the way to something else.
    pub(crate) gateways: bool,
    pub(crate) failed: &'a [WorkloadUid],
}

/// An endpoint that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) place: Place,
    /// How much of what the service prefers it has in common with the source.
    pub(crate) near: usize,
}

/// The nearest of those that may be chosen.
#[derive(Debug, Default)]
struct Field<'a> {
    near: usize,
    all: Vec<&'a Endpoint>,
    /// What they weigh together.
    weight: u64,
}

/// So many are looked at one by one.
const FEW: usize = 32;

/// How often one is thrown that may not be chosen before all are looked at.
const TRIES: usize = 16;

impl Load for Idle {
    fn open(&self, _: &WorkloadUid) -> u32 {
        0
    }
}

impl<'a> Choice<'a> {
    /// Chooses; `None` when there is nothing to choose from.
    pub(crate) fn choose(
        &self,
        load: &dyn Load,
        dice: &mut dyn FnMut() -> u64,
    ) -> Option<(&'a Endpoint, Fit)> {
        let two = self.throw(dice).or_else(|| self.survey().throw(dice));
        let (first, second) = two?;
        // By connections per weight, without division.
        let share = |one: &Endpoint, other: &Endpoint| {
            u64::from(load.open(&one.known.member.uid)) * weight(other)
        };
        let chosen = match second {
            Some(second) if share(second, first) < share(first, second) => second,
            Some(_) | None => first,
        };
        self.judge(chosen).ok().map(|fit| (chosen, fit))
    }

    /// Every endpoint, and why it is chosen from or not.
    pub(crate) fn judged(&self) -> impl Iterator<Item = (&'a Endpoint, Result<Fit, Out>)> {
        let nearest = self.survey().near;
        let choice = *self;
        self.bound.endpoints.iter().map(move |endpoint| {
            let fit = choice.judge(endpoint);
            let is_near = |fit: Fit| if fit.near < nearest { Err(Out::Farther) } else { Ok(fit) };
            (endpoint, fit.and_then(is_near))
        })
    }

    /// Whether an endpoint may be chosen when no other is nearer.
    fn judge(&self, endpoint: &Endpoint) -> Result<Fit, Out> {
        let member = &endpoint.known.member;
        let balance = &self.bound.service.balance;
        match (balance.health, member.health) {
            (HealthPolicy::OnlyHealthy, Health::Unhealthy) => return Err(Out::Unhealthy),
            (HealthPolicy::OnlyHealthy, Health::Healthy) | (HealthPolicy::AllowAll, _) => {}
        }
        if self.failed.contains(&member.uid) {
            return Err(Out::Failed);
        }
        if member.capacity == 0 {
            return Err(Out::Weightless);
        }
        let port = self.port_of(endpoint).ok_or(Out::Portless)?;
        if *member.network != *self.network {
            return Err(Out::Elsewhere(Arc::clone(&member.network)));
        }
        let place = self.place(member, port).ok_or(Out::Unaddressed)?;
        let common = balance.preference.iter();
        let near = common.take_while(|one| self.is_common(**one, member)).count();
        match (balance.mode, balance.preference.get(near)) {
            (BalanceMode::Strict, Some(apart)) => Err(Out::Apart(*apart)),
            (BalanceMode::Strict | BalanceMode::Failover, _) => Ok(Fit { place, near }),
            (BalanceMode::Anywhere | BalanceMode::Passthrough, _) => Ok(Fit { place, near: 0 }),
        }
    }

    fn survey(&self) -> Field<'a> {
        let mut field = Field::default();
        for endpoint in &*self.bound.endpoints {
            let Ok(fit) = self.judge(endpoint) else { continue };
            if fit.near > field.near {
                field = Field { near: fit.near, ..Field::default() };
            }
            if fit.near == field.near {
                field.weight += weight(endpoint);
                field.all.push(endpoint);
            }
        }
        field
    }

    /// Two of many by weight, without a look at the others; `None` when that does not do.
    fn throw(&self, dice: &mut dyn FnMut() -> u64) -> Option<(&'a Endpoint, Option<&'a Endpoint>)> {
        let all = &self.bound.endpoints;
        let is_far = |mode| matches!(mode, BalanceMode::Strict | BalanceMode::Failover);
        if all.len() <= FEW || is_far(self.bound.service.balance.mode) {
            return None;
        }
        let (heaviest, count) = (u64::from(self.bound.heaviest), u64::try_from(all.len()).ok()?);
        let mut one = |but: Option<&Endpoint>| {
            (0..TRIES).find_map(|_| {
                let endpoint = &all[usize::try_from(below(count, dice)).ok()?];
                let is_other = !but.is_some_and(|but| std::ptr::eq(but, endpoint));
                let by_weight = below(heaviest, dice) < weight(endpoint);
                (is_other && by_weight && self.judge(endpoint).is_ok()).then_some(endpoint)
            })
        };
        let first = one(None)?;
        Some((first, Some(one(Some(first))?)))
    }

    /// Where the endpoint has the port: what it says itself goes before what the service says.
    fn port_of(&self, endpoint: &Endpoint) -> Option<u16> {
        let find = |ports: &[Port]| ports.iter().copied().find(|one| one.port.get() == self.port);
        let target = match find(&endpoint.ports) {
            Some(own) => own.target,
            None => match find(&self.bound.service.ports) {
                Some(of_service) => of_service.target,
                // A gateway is asked for a port that its service need not have.
                None if self.gateways => return Some(self.port),
                None => None,
            },
        };
        target.map(std::num::NonZeroU16::get)
    }

    /// Of its addresses one of the family that was dialled, else of one that the source has.
    fn place(&self, member: &Member, port: u16) -> Option<Place> {
        let find = |is_v4: bool| member.addresses.iter().find(|ip| ip.is_ipv4() == is_v4);
        let wanted = self.dialled.is_ipv4();
        let other = || {
            let has = self.source.addresses.iter().any(|ip| ip.is_ipv4() != wanted);
            has.then(|| find(!wanted)).flatten()
        };
        if let Some(ip) = find(wanted).or_else(other) {
            return Some(Place::Addr(SocketAddr::new(*ip, port)));
        }
        let by_name = member.addresses.is_empty()
            && !member.hostname.is_empty()
            && member.tunnel == Tunnel::None
            && !self.gateways;
        by_name.then(|| Place::Host(Arc::clone(&member.hostname), port))
    }

    fn is_common(&self, what: Nearness, member: &Member) -> bool {
        let source = self.source;
        match what {
            Nearness::Region => source.locality.region == member.locality.region,
            Nearness::Zone => source.locality.zone == member.locality.zone,
            Nearness::Subzone => source.locality.subzone == member.locality.subzone,
            Nearness::Node => source.node == member.node,
            Nearness::Cluster => source.cluster == member.cluster,
            Nearness::Network => source.network == member.network,
        }
    }
}

impl<'a> Field<'a> {
    /// Two by weight, or the only one.
    fn throw(&self, dice: &mut dyn FnMut() -> u64) -> Option<(&'a Endpoint, Option<&'a Endpoint>)> {
        let first = self.pick(self.weight, None, dice)?;
        Some((first, self.pick(self.weight - weight(first), Some(first), dice)))
    }

    /// One by weight, of all but `but`, which weigh `total` together.
    fn pick(
        &self,
        total: u64,
        but: Option<&Endpoint>,
        dice: &mut dyn FnMut() -> u64,
    ) -> Option<&'a Endpoint> {
        if total == 0 {
            return None;
        }
        let mut left = below(total, dice);
        let others = self.all.iter().filter(|one| !but.is_some_and(|but| std::ptr::eq(but, **one)));
        for endpoint in others {
            match left.checked_sub(weight(endpoint)) {
                Some(rest) => left = rest,
                None => return Some(endpoint),
            }
        }
        None
    }
}

impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unhealthy => f.write_str("unhealthy"),
            Self::Failed => f.write_str("could not be connected to"),
            Self::Weightless => f.write_str("of capacity 0"),
            Self::Portless => f.write_str("without the port"),
            Self::Elsewhere(network) => write!(f, "in network {network:?}"),
            Self::Unaddressed => f.write_str("without a usable address"),
            Self::Apart(what) => write!(f, "in another {}", noun(*what)),
            Self::Farther => f.write_str("farther than others"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => write!(f, "{addr}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// A number below `end`, which is not 0.
pub(crate) fn below(end: u64, dice: &mut dyn FnMut() -> u64) -> u64 {
    let scaled = (u128::from(dice()) * u128::from(end)) >> 64;
    u64::try_from(scaled).expect("is below a number of 64 bits")
}

fn weight(endpoint: &Endpoint) -> u64 {
    u64::from(endpoint.known.member.capacity)
}

fn noun(what: Nearness) -> &'static str {
    match what {
        Nearness::Region => "region",
        Nearness::Zone => "zone",
        Nearness::Subzone => "subzone",
        Nearness::Node => "node",
        Nearness::Cluster => "cluster",
        Nearness::Network => "network",
    }
}

#[cfg(test)]
mod tests;
