//! The answer to "why can this reach that, or not?", from whatever snapshot: the one a node runs
//! with or one made of manifests.
//!
//! It asks what the data path asks, in its order: the source's node for the way, the destination's
//! for the verdict of policy.
use crate::{
    Facts,
    authz::Decision,
    balance::{Choice, Idle, Place},
    explain::{self, explain},
    route::{self, Asking, Hop, To, is_own_port},
};
use culvert_model::{
    identity::Identity,
    member::{Member, Tunnel},
    name::{ObjectName, WorkloadUid},
    snapshot::{Known, Snapshot},
    tunnel::Authority,
};
use std::{net::SocketAddr, sync::Arc};

mod ends;

mod question;

mod through;

mod text;

pub use {
    ends::{NoAnswer, Source},
    question::{NotAParty, Party, Question},
    through::{Elsewhere, Engines, Leg, Passing, Server, Through},
};

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    pub source: Source,
    /// Several when a host name has several addresses, and never none.
    pub ways: Vec<Way>,
}

/// What becomes of a connection to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub destination: SocketAddr,
    /// `None`: the source is not in the mesh, and dials by itself.
    pub route: Option<route::Explanation>,
    /// What is said where it arrives, by each kind of workload it may arrive at; none where that is
    /// not for the mesh to say.
    pub arrivals: Vec<Arrival>,
}

/// Workloads that say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Them, and where.
    pub at: Vec<(Arc<Known>, SocketAddr)>,
    /// What the source proves there; `None`: it comes in plain text.
    pub peer: Option<Identity>,
    pub said: Said,
}

/// What is said to a connection where it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// What policy says.
    Policy(explain::Explanation),
    /// The workload is not in the mesh: nobody asks.
    Nothing,
    /// The port is one of the proxy's own.
    OwnPort,
}

/// The answer in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    Permitted,
    /// By policy, or for want of a way.
    Denied,
    /// On which endpoint is chosen, or on a waypoint.
    Depends,
}

impl Answer {
    /// The one that somebody else wrote down; what is no such word says nothing for sure.
    #[must_use]
    pub fn read(word: &str) -> Self {
        let known = [Self::Permitted, Self::Denied].into_iter();
        known.into_iter().find(|answer| answer.to_string() == word).unwrap_or(Self::Depends)
    }
}

impl Question {
    /// Answers it.
    ///
    /// # Errors
    ///
    /// When it names what is not there, or leaves open what cannot be guessed.
    pub fn ask(&self, snapshot: &Snapshot) -> Result<Why, NoAnswer> {
        let source = Source::find(snapshot, &self.source)?;
        let addresses = ends::destinations(snapshot, &source, &self.destination, self.port)?;
        let ways = addresses.into_iter().map(|to| Way::find(snapshot, &source, to)).collect();
        Ok(Why { source, ways })
    }
}

impl Why {
    pub fn answer(&self) -> Answer {
        agreed(self.ways.iter().map(Way::answer))
    }
}

impl Way {
    fn find(snapshot: &Snapshot, source: &Source, destination: SocketAddr) -> Self {
        match source.known() {
            Some(known) if known.member.tunnel == Tunnel::Hbone => {
                Self::routed(snapshot, source, known, destination)
            }
            Some(_) | None => Self::dialled(snapshot, source, destination),
        }
    }

    /// By the proxy of the source's node.
    fn routed(
        snapshot: &Snapshot,
        source: &Source,
        known: &Arc<Known>,
        destination: SocketAddr,
    ) -> Self {
        let dice = &mut || 0;
        let asking = Asking { source: known, destination, failed: &[], load: &Idle, dice };
        let route = route::explain(snapshot, asking);
        let mut arrivals = Arrivals { source, list: vec![] };
        if let Ok(found) = &route.outcome {
            match (&found.to, &found.endpoint) {
                (To::Hbone(Hop { is_waypoint: true, .. }), _) | (_, None) => {}
                (_, Some(_)) if route.candidates().next().is_some() => {
                    for (known, place) in route.candidates() {
                        arrivals.add(known, place);
                    }
                }
                (
                    To::Hbone(Hop { authority: Authority::Addr(at), .. }) | To::Plain(at),
                    Some(to),
                ) => {
                    arrivals.add(to, &Place::Addr(*at));
                }
                (To::Hbone(_) | To::Host(..), Some(_)) => {}
            }
        }
        Self { destination, arrivals: arrivals.list, route: Some(route) }
    }

    /// By the source itself, in plain text.
    fn dialled(snapshot: &Snapshot, source: &Source, destination: SocketAddr) -> Self {
        let mut arrivals = Arrivals { source, list: vec![] };
        let stranger = || {
            let identity = Identity::try_new("none", "none", "none").expect("is one");
            Arc::new(Member::new(WorkloadUid::new(""), ObjectName::new("", ""), identity))
        };
        let member = source.known().map_or_else(stranger, |known| Arc::clone(&known.member));
        if let Some(known) = snapshot.known_at(destination.ip()) {
            arrivals.add(known, &Place::Addr(destination));
        } else if let Some(bound) = snapshot.service_at(destination.ip(), &member.name.namespace) {
            let choice = Choice {
                bound,
                source: &member,
                network: &snapshot.mesh().network,
                dialled: destination.ip(),
                port: destination.port(),
                gateways: false,
                failed: &[],
            };
            for (endpoint, fit) in choice.judged() {
                if let Ok(fit) = fit {
                    arrivals.add(&endpoint.known, &fit.place);
                }
            }
        }
        Self { destination, route: None, arrivals: arrivals.list }
    }

    pub fn answer(&self) -> Answer {
        match self.route.as_ref().map(|route| &route.outcome) {
            Some(Err(_)) => return Answer::Denied,
            Some(Ok(found)) => {
                if let To::Hbone(Hop { is_waypoint: true, .. }) = found.to {
                    return Answer::Depends;
                }
            }
            None => {}
        }
        agreed(self.arrivals.iter().map(Arrival::answer))
    }
}

impl Arrival {
    pub fn answer(&self) -> Answer {
        match &self.said {
            Said::Policy(explanation) if explanation.decision.verdict.is_err() => Answer::Denied,
            Said::Policy(_) | Said::Nothing => Answer::Permitted,
            Said::OwnPort => Answer::Denied,
        }
    }
}

/// What is said, once for all workloads that say the same.
struct Arrivals<'a> {
    source: &'a Source,
    list: Vec<Arrival>,
}

impl Arrivals<'_> {
    fn add(&mut self, known: &Arc<Known>, place: &Place) {
        // Nothing of ours is at a host that must be resolved first.
        let Place::Addr(at) = place else { return };
        let is_tunnelled = known.member.tunnel == Tunnel::Hbone;
        let source = self.source.known().filter(|source| source.member.tunnel == Tunnel::Hbone);
        let peer = source.filter(|_| is_tunnelled).map(|source| source.member.identity.clone());
        let facts = Facts::new(peer.as_ref(), self.source.ip(at.ip()), *at);
        let said = if !is_tunnelled {
            Said::Nothing
        } else if is_own_port(at.port()) {
            Said::OwnPort
        } else {
            Said::Policy(explain(&known.authz, &facts))
        };
        let alike = self.list.iter_mut().find(|other| {
            other.at.first().is_some_and(|(one, other)| {
                Arc::ptr_eq(&one.authz, &known.authz) && at.port() == other.port()
            }) && other.said.decision() == said.decision()
        });
        match alike {
            Some(other) => other.at.push((Arc::clone(known), *at)),
            None => self.list.push(Arrival { at: vec![(Arc::clone(known), *at)], peer, said }),
        }
    }
}

impl Said {
    fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Policy(explanation) => Some(&explanation.decision),
            Self::Nothing | Self::OwnPort => None,
        }
    }
}

/// What all say, if they agree; nobody forbids.
pub fn agreed(mut answers: impl Iterator<Item = Answer>) -> Answer {
    let first = answers.next().unwrap_or(Answer::Permitted);
    if answers.all(|other| other == first) { first } else { Answer::Depends }
}

#[cfg(test)]
mod tests;
