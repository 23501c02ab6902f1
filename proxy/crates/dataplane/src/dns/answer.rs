//! What the mesh itself knows of a name.
//!
//! Pure: the snapshot, who asks and dice go in. Answers addresses of services and, of those without
//! any of their own, of the workloads behind them; never that there is no such name, which only
//! the pod's own resolver can know.
mod names;
#[cfg(test)]
mod tests;

pub use names::Domains;

use crate::dns::message::{INTERNET, kind, name::Name, query::Question};
use culvert_model::{
    locality::HealthPolicy,
    member::{Health, Member},
    service::Families,
    snapshot::{Bound, Snapshot},
};
use std::{net::IpAddr, sync::Arc};

/// Who asks, and of whom.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub namespace: &'a str,
    pub domains: &'a Domains,
    pub snapshot: &'a Snapshot,
}

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Records(Records),
    /// The name is known, and has no address that the asker could use, of this family at least.
    Empty,
    /// The pod's resolver is to answer.
    Forward {
        /// Whether the name is known: that there is no such name is not true then.
        known: bool,
    },
}

/// Addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// What the pod wrote before its resolver appended a search domain, when the addresses are its.
    pub canonical: Option<Name>,
    /// At least one, in random order; of the family that is asked for.
    pub ips: Box<[IpAddr]>,
}

/// What a name stands for.
#[derive(Clone, Debug)]
struct Found<'a> {
    what: What<'a>,
    /// How many labels of the name are the pod's own, when there is a search domain behind them and
    /// they do stand for something as they are.
    written: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Service(&'a Arc<Bound>),
    /// One workload of a service without addresses.
    Pod(&'a Bound, &'a Member),
}

/// Answers `question`; `dice` gives 64 random bits at each call.
pub fn answer(asker: Asker<'_>, question: &Question, dice: impl FnMut() -> u64) -> Answer {
    let host = (question.class == INTERNET).then(|| question.name.host()).flatten();
    let found = host.and_then(|host| asker.find(&host));
    let Some(Found { what, written }) = found else { return Answer::Forward { known: false } };
    if !matches!(question.kind, kind::A | kind::AAAA) {
        return Answer::Forward { known: true };
    }
    let mut ips = asker.addresses(what, question.kind);
    if ips.is_empty() {
        return Answer::Empty;
    }
    shuffle(&mut ips, dice);
    let canonical = written.map(|labels| question.name.first_labels(labels));
    Answer::Records(Records { canonical, ips: ips.into() })
}

impl<'a> Asker<'a> {
    fn find(self, host: &str) -> Option<Found<'a>> {
        self.domains.aliases(host, self.namespace).into_iter().find_map(|alias| {
            let service = names::wildcards(&alias.host).find_map(|candidate| {
                let service = self.service(&candidate)?;
                // What falls under a wildcard has the addresses by itself.
                let written = alias.written.filter(|_| candidate == alias.host);
                Some(Found { what: What::Service(service), written })
            });
            service.or_else(|| {
                let (bound, member) = self.pod(&alias.host)?;
                Some(Found { what: What::Pod(bound, member), written: alias.written })
            })
        })
    }

    /// The service of this very name that the asker means.
    fn service(self, host: &str) -> Option<&'a Arc<Bound>> {
        let claims = self.snapshot.services_named(host);
        let usable = claims.filter(|bound| {
            let is_visible = bound.service.is_visible_from(self.namespace);
            is_visible && (has_address(bound) || self.is_headless(bound))
        });
        // Of those that are alike, the first: they come in the order of their namespaces.
        usable.min_by_key(|bound| {
            let service = &bound.service;
            (*service.host.namespace != *self.namespace, !service.canonical)
        })
    }

    fn pod(self, host: &str) -> Option<(&'a Bound, &'a Member)> {
        let (pod, service) = self.domains.pod_of(host)?;
        let bound = self.service(service).filter(|bound| self.is_headless(bound))?;
        let mut members = bound.endpoints.iter().map(|endpoint| &*endpoint.known.member);
        let member = members.find(|member| {
            let name = &member.name;
            *name.name == *pod && name.namespace == bound.service.host.namespace
        })?;
        Some((bound, member))
    }

    /// Whether its name stands for its endpoints' addresses. A host outside of the cluster without
    /// addresses is what the pod's resolver says it is.
    fn is_headless(self, bound: &Bound) -> bool {
        bound.service.vips.is_empty() && self.domains.is_of_cluster(&bound.service.host.hostname)
    }

    /// Those the asker can reach, of the family that is asked for.
    fn addresses(self, what: What<'_>, kind: u16) -> Vec<IpAddr> {
        let service = match what {
            What::Service(bound) => &bound.service,
            What::Pod(bound, _) => &bound.service,
        };
        let is_offered = match service.families {
            Families::Automatic | Families::Dual => true,
            Families::V4 => kind == kind::A,
            Families::V6 => kind == kind::AAAA,
        };
        let is_wanted = |ip: &IpAddr| is_offered && ip.is_ipv4() == (kind == kind::A);
        match what {
            What::Pod(_, member) => self.reachable(member).filter(is_wanted).collect(),
            What::Service(bound) if bound.service.vips.is_empty() => {
                let all = bound.service.balance.health == HealthPolicy::AllowAll;
                let members = bound.endpoints.iter().map(|endpoint| &*endpoint.known.member);
                let members = members.filter(|member| all || member.health == Health::Healthy);
                members.flat_map(|member| self.reachable(member)).filter(is_wanted).collect()
            }
            What::Service(bound) => {
                let own = &self.snapshot.mesh().network;
                let vips = bound.service.vips.iter().filter(|vip| vip.network == *own);
                vips.filter_map(|vip| vip.single()).filter(is_wanted).collect()
            }
        }
    }

    fn reachable(self, member: &Member) -> impl Iterator<Item = IpAddr> {
        let is_near = member.network == self.snapshot.mesh().network;
        member.addresses.iter().copied().filter(move |_| is_near)
    }
}

/// Whether it has an address that can be told, though perhaps in another network: a whole range
/// is none.
fn has_address(bound: &Bound) -> bool {
    bound.service.vips.iter().any(|vip| vip.single().is_some())
}

fn shuffle<T>(items: &mut [T], mut dice: impl FnMut() -> u64) {
    for last in (1..items.len()).rev() {
        // Below `last + 1`, which is a `usize`.
        let place = usize::try_from(dice() % (last as u64 + 1)).unwrap_or_default();
        items.swap(last, place);
    }
}
