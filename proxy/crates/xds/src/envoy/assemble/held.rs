//! What is held and what was refused, for those who ask.
use super::{Assembler, Key, Made, Wrong};
use crate::envoy::{
    kind::Kind,
    wanted::{Asked, Need, Needs},
};
use culvert_model::http::snapshot::Snapshot;
use culvert_proto::api::google::protobuf::Any;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Instant, SystemTime},
};

/// A resource that is held.
#[derive(Clone, Debug)]
pub struct Held {
    pub from: Asked,
    pub version: Arc<str>,
    pub made: Arc<Made>,
    pub at: SystemTime,
    pub expires: Option<Instant>,
}

/// A resource that is not understood.
#[derive(Clone, Debug)]
pub struct Refused {
    pub from: Asked,
    pub version: Arc<str>,
    pub any: Any,
    pub error: Wrong,
    pub at: SystemTime,
}

/// What has become of a resource, with the names of Envoy's admin interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked for; no word yet.
    Requested,
    DoesNotExist,
    Acked,
    /// Refused; an earlier version may be in force.
    Nacked,
    /// Held, and waiting for something else.
    Warming,
}

/// What is to be asked for of somebody.
pub type Wants = BTreeMap<Asked, BTreeMap<Kind, BTreeSet<Arc<str>>>>;

impl Assembler {
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// In the order of kinds and names.
    pub fn held(&self) -> impl Iterator<Item = (&Key, &Held)> {
        self.held.iter()
    }

    /// In the order of kinds and names.
    pub fn refused(&self) -> impl Iterator<Item = (&Key, &Refused)> {
        self.refused.iter()
    }

    pub fn held_as(&self, key: &Key) -> Option<&Held> {
        self.held.get(key)
    }

    pub fn refused_as(&self, key: &Key) -> Option<&Refused> {
        self.refused.get(key)
    }

    /// Whether something else is asked for than when this was asked last.
    pub fn have_wants_changed(&mut self) -> bool {
        std::mem::take(&mut self.wants_changed)
    }

    /// What is asked for by name.
    pub fn wants(&self) -> Wants {
        let mut wants = Wants::new();
        let by_need = self.needs.values().flat_map(Needs::iter);
        let of_layers = self.layers.iter().filter_map(|layer| match layer {
            super::Layer::Discovered { resource, need, .. } => Some((resource, need)),
            super::Layer::Fixed(_) => None,
        });
        let mut add = |from: &Asked, kind: Kind, name: &Arc<str>| {
            let of = wants.entry(from.clone()).or_default();
            of.entry(kind).or_default().insert(Arc::clone(name));
        };
        for ((kind, name), Need { from, .. }) in by_need {
            add(from, *kind, name);
        }
        for (resource, need) in of_layers {
            add(&need.from, Kind::Runtime, resource);
        }
        wants.remove(&Asked::Static);
        wants
    }

    /// What has become of each resource, those asked for included.
    pub fn states(&self) -> BTreeMap<Key, State> {
        let asked = self.needed_by.keys().filter(|key| !self.held.contains_key(*key));
        let mut states: BTreeMap<Key, State> = asked
            .map(|key| {
                let is_absent = self.absent.contains(key);
                let state = if is_absent { State::DoesNotExist } else { State::Requested };
                (key.clone(), state)
            })
            .collect();
        states.extend(self.held.keys().map(|key| {
            let is_warming = self.warming.contains_key(key);
            (key.clone(), if is_warming { State::Warming } else { State::Acked })
        }));
        states.extend(self.refused.keys().map(|key| (key.clone(), State::Nacked)));
        states
    }

    /// Whether somebody has said anything of a type, if only that there is nothing.
    pub fn is_answered(&self, kind: Kind, by: &Asked) -> bool {
        self.answered.contains(&(kind, by.clone()))
    }

    /// The versions that are held of a type, from somebody.
    pub fn versions(&self, kind: Kind, from: &Asked) -> BTreeMap<String, String> {
        let held = self.held.range((kind, "".into())..).take_while(|((of, _), _)| *of == kind);
        held.filter(|(_, held)| held.from == *from)
            .map(|((_, name), held)| ((**name).to_owned(), (*held.version).to_owned()))
            .collect()
    }
}

impl State {
    /// Envoy's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::DoesNotExist => "DOES_NOT_EXIST",
            Self::Acked => "ACKED",
            Self::Nacked => "NACKED",
            Self::Warming => "WARMING",
        }
    }
}
