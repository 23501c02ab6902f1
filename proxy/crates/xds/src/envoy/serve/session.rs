//! All types of one stream, in the order in which they must arrive.
//!
//! Clusters come before the routes that lead to them, and go after; what is sent first is to be
//! answered before what needs it is sent, so that nothing leads to what is not there yet. Whoever
//! does not answer is told less and less, and nobody waits for it.
use super::{
    channel::{Channel, Stamp},
    offer::Offer,
};
use crate::{
    envoy::kind::Kind,
    resource::Name,
    server::{Lag, Removals},
};
use std::{collections::BTreeMap, sync::Arc};

/// What others refer to: told first, and taken away last.
const FIRST: [Kind; 3] = [Kind::Cluster, Kind::Endpoint, Kind::Secret];

/// What refers to it.
const SECOND: [Kind; 4] = [Kind::Listener, Kind::Route, Kind::Extension, Kind::Runtime];

/// One stream.
#[derive(Debug)]
pub struct Session<C> {
    channels: BTreeMap<Kind, C>,
    /// Of the last offer that was accepted, or refused, as a whole.
    answered: u64,
}

/// How far a client is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// It has answered all that there is for it.
    pub is_current: bool,
    /// Of the last that it has answered all of.
    pub generation: u64,
    /// Changes that it has not answered.
    pub behind: u64,
    /// Responses that it has not answered.
    pub unanswered: usize,
    /// What it said when it last refused something of a type, and has not accepted since.
    pub refused: BTreeMap<Kind, Arc<str>>,
}

impl<C> Default for Session<C> {
    fn default() -> Self {
        Self { channels: BTreeMap::new(), answered: 0 }
    }
}

impl<C: Channel> Session<C> {
    /// Takes a request in; a [`push`](Self::push) may follow. Of types that there are not nothing is
    /// ever said.
    pub fn request(
        &mut self,
        request: &C::Request,
        offer: &Offer,
        from: &str,
    ) -> Option<C::Response> {
        let kind = Kind::of(C::head(request).type_url)?;
        let channel = self.channels.entry(kind).or_insert_with(|| C::new(kind));
        channel.request(request, offer.world(kind), stamp(offer, from))
    }

    /// What can be sent now of what changed; the rest when what was sent is answered.
    ///
    /// `at_once`: what waits for answers about something else waits no longer.
    pub fn push(&mut self, offer: &Offer, from: &str, at_once: bool) -> Vec<C::Response> {
        let mut responses = Vec::new();
        for kind in FIRST {
            let told = self.tell(kind, Removals::Late, offer, from);
            if told.is_some() && kind == Kind::Cluster {
                self.tell_endpoints_again();
            }
            responses.extend(told);
        }
        if !at_once && self.waits_for(&[Kind::Cluster, Kind::Endpoint]) {
            return responses;
        }
        responses.extend(
            SECOND.into_iter().filter_map(|kind| self.tell(kind, Removals::AtOnce, offer, from)),
        );
        if !at_once && self.waits_for(&SECOND) {
            return responses;
        }
        let rest = FIRST.into_iter();
        responses.extend(rest.filter_map(|kind| self.tell(kind, Removals::AtOnce, offer, from)));
        if self.is_current(offer) {
            self.answered = offer.generation;
        }
        responses
    }

    /// Whether something could be sent that waits for an answer about something else.
    pub fn is_held_up(&self, offer: &Offer) -> bool {
        self.channels.iter().any(|(kind, channel)| {
            let subscriber = channel.subscriber();
            subscriber.is_behind(offer.world(*kind)) && !subscriber.is_waiting()
        })
    }

    pub fn progress(&self, offer: &Offer) -> Progress {
        let mut progress = Progress {
            is_current: self.is_current(offer),
            generation: self.answered,
            ..Progress::default()
        };
        for (kind, channel) in &self.channels {
            let subscriber = channel.subscriber();
            let Lag { changes, unanswered } = subscriber.lag(offer.world(*kind));
            if subscriber.is_behind(offer.world(*kind)) || subscriber.is_waiting() {
                progress.behind = progress.behind.max(changes);
            }
            progress.unanswered += unanswered;
            if let Some(refusal) = subscriber.refusal() {
                progress.refused.insert(*kind, refusal.into());
            }
        }
        progress
    }

    fn is_current(&self, offer: &Offer) -> bool {
        self.channels.iter().all(|(kind, channel)| {
            let subscriber = channel.subscriber();
            !subscriber.is_waiting() && !subscriber.is_behind(offer.world(*kind))
        })
    }

    fn tell(
        &mut self,
        kind: Kind,
        removals: Removals,
        offer: &Offer,
        from: &str,
    ) -> Option<C::Response> {
        let channel = self.channels.get_mut(&kind)?;
        channel.push(removals, offer.world(kind), stamp(offer, from))
    }

    /// Of a cluster that is another, a client wants to hear the endpoints again before it uses it.
    fn tell_endpoints_again(&mut self) {
        let clusters = self.channels.get(&Kind::Cluster).map(|channel| channel.subscriber().last());
        let names: Vec<Name> = clusters.unwrap_or_default().to_vec();
        if let Some(endpoints) = self.channels.get_mut(&Kind::Endpoint) {
            endpoints.subscriber_mut().recall(&names);
        }
    }

    fn waits_for(&self, kinds: &[Kind]) -> bool {
        let channels = kinds.iter().filter_map(|kind| self.channels.get(kind));
        channels.into_iter().any(|channel| channel.subscriber().is_waiting())
    }
}

fn stamp<'a>(offer: &Offer, from: &'a str) -> Stamp<'a> {
    Stamp { from, generation: offer.generation }
}
