//! The control plane's side: what one connected node was told of one type of resource.
//!
//! Pure: requests go in, responses come out, whoever holds the stream carries them.
//! While a response is unanswered, changes gather and go out as one; what is asked for by name is
//! answered at once.
use crate::resource::Name;
use culvert_proto::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

mod connection;
mod told;
mod world;

pub use connection::{Connection, UnknownType, Worlds};
use told::{Draft, Told, Unanswered, is_named};
pub use told::{Manner, Removals};
pub(crate) use world::Entry;
pub use world::{Made, World};

/// Everything there is.
const WILDCARD: &str = "*";

/// One type of resource of one connected node.
#[derive(Debug, Default)]
pub struct Subscriber {
    manner: Manner,
    everything: bool,
    /// What was asked for by name or alias, and whether it was said not to exist.
    names: BTreeMap<Name, bool>,
    /// What the node was told last.
    told: BTreeMap<Name, Told>,
    unanswered: VecDeque<Unanswered>,
    nonces: u64,
    /// The sequence of the world that the node was told all of.
    seen: Option<u64>,
    acked: u64,
    refused: BTreeSet<Name>,
    refusal: Option<Arc<str>>,
    started: bool,
    /// What it holds and is to be told of all the same.
    again: BTreeSet<Name>,
}

/// How far a node is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Changes of the world it has not answered.
    pub changes: u64,
    /// Responses it has not answered.
    pub unanswered: usize,
}

impl Subscriber {
    #[must_use]
    pub fn new(manner: Manner) -> Self {
        Self { manner, ..Self::default() }
    }

    /// Takes a request in: an answer to a response, a change of what is wanted, or both.
    ///
    /// What comes out answers what is wanted; a [`push`](Self::push) may follow.
    pub fn request(&mut self, request: &Request, world: &World) -> Option<Response> {
        self.answered(request);
        if !self.started {
            let mut draft = Draft::new(self.manner.removals);
            self.start(request);
            self.compare_all(world, &mut draft);
            self.miss(world, &mut draft);
            // Also when there is nothing to say: the node waits for it.
            let seen = (self.manner.removals == Removals::AtOnce).then(|| world.sequence());
            return Some(self.respond(draft, seen, world));
        }
        // Of what it asks for, a node is told at once that it does not exist; of what it holds, where
        // nothing else is meant by that, when it is time.
        let Manner { removals, farewell, .. } = self.manner;
        let mut draft = Draft::new(if farewell { Removals::AtOnce } else { removals });
        self.subscribe(request, world, &mut draft);
        self.unsubscribe(request, world, &mut draft);
        if !farewell {
            self.miss(world, &mut draft);
        }
        let seen = self.seen;
        (!draft.is_empty()).then(|| self.respond(draft, seen, world))
    }

    /// What changed since the last push; `None` when nothing did, or when it waits for an answer.
    pub fn push(&mut self, world: &World) -> Option<Response> {
        self.push_with(Removals::AtOnce, world)
    }

    /// Like [`push`](Self::push), without what is gone.
    pub fn push_sets(&mut self, world: &World) -> Option<Response> {
        self.push_with(Removals::Late, world)
    }

    /// Whether there is something to push, or may be.
    pub fn is_behind(&self, world: &World) -> bool {
        self.started && (self.seen != Some(world.sequence()) || !self.again.is_empty())
    }

    /// Whether anything was asked for so far.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Has these told with the next push, as far as the node was told of them, though it knows
    /// them as they are.
    pub fn recall<'a>(&mut self, names: impl IntoIterator<Item = &'a Name>) {
        let told = names.into_iter().filter(|name| self.told.contains_key(*name));
        self.again.extend(told.cloned());
    }

    /// Names of what the last response spoke of that is not answered.
    pub(crate) fn last(&self) -> &[Name] {
        self.unanswered.back().map_or(&[], |last| &last.names)
    }

    /// All that the node was told of on this stream, in the order of names.
    pub(crate) fn told(&self) -> impl Iterator<Item = &Entry> {
        self.told.values().filter_map(|told| match told {
            Told::Entry(entry) => Some(&**entry),
            Told::Version(_) => None,
        })
    }

    /// Whether the next push waits for an answer.
    pub fn is_waiting(&self) -> bool {
        !self.unanswered.is_empty()
    }

    pub(crate) fn push_with(&mut self, removals: Removals, world: &World) -> Option<Response> {
        if !self.is_behind(world) || self.is_waiting() {
            return None;
        }
        let mut draft = Draft::new(removals);
        match self.seen.and_then(|seen| world.since(seen)) {
            Some(changed) => {
                for name in changed {
                    self.compare(name, world, false, &mut draft);
                }
                self.compare_names(world, &mut draft);
            }
            None => self.compare_all(world, &mut draft),
        }
        for name in std::mem::take(&mut self.again) {
            self.compare(&name, world, true, &mut draft);
        }
        let seen = match removals {
            Removals::AtOnce => Some(world.sequence()),
            Removals::Late => self.seen,
        };
        if draft.is_empty() {
            self.seen = seen;
            self.acked = seen.unwrap_or(self.acked);
            return None;
        }
        Some(self.respond(draft, seen, world))
    }

    pub fn lag(&self, world: &World) -> Lag {
        Lag {
            changes: world.sequence().saturating_sub(self.acked),
            unanswered: self.unanswered.len(),
        }
    }

    /// Whether the node has accepted what the world of `sequence` said of `name`.
    ///
    /// A response refused in part leaves doubt about everything in it.
    pub fn confirms(&self, sequence: u64, name: &str) -> bool {
        sequence <= self.acked && !self.refused.contains(name)
    }

    /// The sequence of the world that the node has answered all of.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// What the node refused and has not accepted since; doubtful all of a response refused in part.
    pub fn refused(&self) -> impl Iterator<Item = &Name> {
        self.refused.iter()
    }

    /// What the node said when it last refused something, until it accepts all that it refused.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    fn start(&mut self, request: &Request) {
        self.started = true;
        let subscribe = &request.resource_names_subscribe;
        let named = |names: &[String]| names.iter().any(|name| name == WILDCARD);
        let unnamed = self.manner.wildcard && subscribe.is_empty();
        self.everything =
            (unnamed || named(subscribe)) && !named(&request.resource_names_unsubscribe);
        let names = subscribe.iter().filter(|name| *name != WILDCARD);
        self.names = names.map(|name| ((**name).into(), false)).collect();
        for name in &request.resource_names_unsubscribe {
            self.names.remove(&**name);
        }
        for (name, version) in &request.initial_resource_versions {
            // Asked for by name, and answered as such.
            if !(version.is_empty() && self.names.contains_key(&**name)) {
                self.told.insert((**name).into(), Told::Version(version.clone()));
            }
        }
    }

    /// Takes in an answer alone.
    pub(crate) fn answered(&mut self, request: &Request) {
        let nonce = &request.response_nonce;
        let Some(at) = self.unanswered.iter().position(|one| one.nonce == *nonce) else { return };
        for Unanswered { nonce: one, sequence, names } in self.unanswered.drain(..=at) {
            self.acked = self.acked.max(sequence);
            match &request.error_detail {
                // Only the last is what the answer speaks of.
                Some(status) if one == *nonce => {
                    self.refusal = Some((*status.message).into());
                    self.refused.extend(names);
                }
                Some(_) | None => names.iter().for_each(|name| _ = self.refused.remove(name)),
            }
        }
        if self.refused.is_empty() {
            self.refusal = None;
        }
    }

    fn subscribe(&mut self, request: &Request, world: &World, draft: &mut Draft) {
        for name in &request.resource_names_subscribe {
            if name == WILDCARD {
                self.everything = true;
                self.compare_all(world, draft);
                continue;
            }
            self.names.insert((**name).into(), false);
            // Also what it was told already: whoever asks waits for an answer.
            for found in world.find(name) {
                self.compare(found, world, true, draft);
            }
        }
        if !request.resource_names_subscribe.is_empty() {
            self.compare_names(world, draft);
        }
    }

    fn unsubscribe(&mut self, request: &Request, world: &World, draft: &mut Draft) {
        let names = &request.resource_names_unsubscribe;
        if names.iter().any(|name| name == WILDCARD) {
            self.everything = false;
        }
        for name in names {
            self.names.remove(&**name);
            if self.everything {
                // Still covered: the node may have dropped it.
                let mut found = world.find(name).peekable();
                if found.peek().is_none() {
                    draft.removed.insert((**name).into());
                }
                found.for_each(|found| self.compare(found, world, true, draft));
            }
        }
        if self.everything || names.is_empty() {
            return;
        }
        if self.manner.farewell {
            // The node drops by itself what it no longer wants, but by what it holds: an update it
            // refused, or has not got yet, may go by other names.
            let told: Vec<Name> = self.told.keys().cloned().collect();
            told.iter().for_each(|name| self.compare(name, world, false, draft));
        } else {
            let Self { names, told, .. } = self;
            told.retain(|name, told| match told {
                Told::Entry(entry) => is_named(names, entry),
                Told::Version(_) => names.contains_key(name),
            });
        }
    }

    /// Drafts whatever the node does not know yet.
    fn compare_all(&mut self, world: &World, draft: &mut Draft) {
        let told: BTreeSet<Name> = self.told.keys().cloned().collect();
        let names: BTreeSet<&Name> = world.names().chain(&told).collect();
        for name in names {
            self.compare(name, world, false, draft);
        }
        self.compare_names(world, draft);
    }

    /// Drafts one resource if the node does not know it as it is, or if `anyway`.
    fn compare(&mut self, name: &Name, world: &World, anyway: bool, draft: &mut Draft) {
        let entry = world.get(name).filter(|entry| self.everything || is_named(&self.names, entry));
        match (entry, self.told.get(name)) {
            (Some(entry), told) => {
                if anyway || !told.is_some_and(|told| told.is(entry)) {
                    draft.removed.remove(name);
                    draft.set.insert(Name::clone(name), Arc::clone(entry));
                    self.exists(entry);
                }
                self.told.insert(Name::clone(name), Told::Entry(Arc::clone(entry)));
            }
            (None, Some(_)) if draft.removals == Removals::AtOnce => {
                draft.set.remove(name);
                draft.removed.insert(Name::clone(name));
                self.told.remove(name);
            }
            (None, _) => {}
        }
    }

    /// The node is told of `entry`: should its names lead nowhere one day, it must be told again.
    fn exists(&mut self, entry: &Entry) {
        for key in entry.aliases.iter().chain([&entry.name]) {
            if let Some(said) = self.names.get_mut(key) {
                *said = false;
            }
        }
    }

    /// Drafts which of the names asked for lead nowhere.
    fn compare_names(&mut self, world: &World, draft: &mut Draft) {
        if draft.removals == Removals::Late {
            return;
        }
        let mut absent = BTreeSet::new();
        for (name, said) in &mut self.names {
            if world.find(name).next().is_some() {
                *said = false;
            } else if !*said {
                *said = true;
                absent.insert(Name::clone(name));
            }
        }
        for name in &absent {
            self.told.remove(name);
        }
        if !self.everything && !absent.is_empty() {
            // What the node wanted for the sake of such a name alone it drops; told again it knows.
            for told in self.told.values_mut().filter(|told| told.goes_by(&absent)) {
                *told = Told::Version(String::new());
            }
        }
        draft.removed.extend(absent);
    }

    /// Drafts which of the names first asked for lead nowhere and never did: nobody speaks of them.
    fn miss(&mut self, world: &World, draft: &mut Draft) {
        for (name, said) in &mut self.names {
            if !*said && !self.told.contains_key(name) && world.find(name).next().is_none() {
                *said = true;
                draft.removed.insert(Name::clone(name));
            }
        }
    }

    /// `seen`: what of the world the node has been told of in full thereafter.
    fn respond(&mut self, draft: Draft, seen: Option<u64>, world: &World) -> Response {
        let Draft { removals: _, set, removed } = draft;
        self.seen = seen;
        self.nonces += 1;
        let nonce = self.nonces.to_string();
        self.unanswered.push_back(Unanswered {
            nonce: nonce.clone(),
            sequence: seen.unwrap_or(0),
            names: set.keys().chain(&removed).cloned().collect(),
        });
        Response {
            system_version_info: world.sequence().to_string(),
            resources: set.values().map(|entry| entry.to_message()).collect(),
            type_url: world.type_url().to_owned(),
            nonce,
            removed_resources: removed.iter().map(|name| (**name).to_owned()).collect(),
            control_plane: None,
        }
    }
}
