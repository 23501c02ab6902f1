//! What one node is told of one type of resource, and how.
use super::world::Entry;
use crate::resource::Name;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How a type of resource is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    pub removals: Removals,
    /// Who names nothing in its first request wants everything.
    pub wildcard: bool,
    /// Who lets go of a name is told what is gone for it with that: a resource may go by others.
    pub farewell: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { removals: Removals::AtOnce, wildcard: true, farewell: true }
    }
}

/// When a node is told what is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Removals {
    /// With everything else.
    #[default]
    AtOnce,
    /// In a push of their own, when nothing that the node holds speaks of it any more.
    Late,
}

/// What a node was told of one resource.
#[derive(Debug)]
pub(super) enum Told {
    Entry(Arc<Entry>),
    /// On an earlier stream; empty: it does not hold it, and wants to know.
    Version(String),
}

/// A response that the node has not answered.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) nonce: String,
    /// With it answered, the node is as far as this.
    pub(super) sequence: u64,
    pub(super) names: Box<[Name]>,
}

/// What goes into a response.
pub(super) struct Draft {
    pub(super) removals: Removals,
    pub(super) set: BTreeMap<Name, Arc<Entry>>,
    pub(super) removed: BTreeSet<Name>,
}

impl Draft {
    pub(super) fn new(removals: Removals) -> Self {
        Self { removals, set: BTreeMap::new(), removed: BTreeSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }
}

impl Told {
    /// Whether the node knows `entry` as it is.
    pub(super) fn is(&self, entry: &Entry) -> bool {
        match self {
            Self::Entry(told) => told.is(entry),
            Self::Version(version) => *version == entry.version,
        }
    }

    pub(super) fn goes_by(&self, names: &BTreeSet<Name>) -> bool {
        match self {
            Self::Entry(told) => told.aliases.iter().any(|alias| names.contains(alias)),
            Self::Version(_) => false,
        }
    }
}

pub(super) fn is_named(names: &BTreeMap<Name, bool>, entry: &Entry) -> bool {
    names.contains_key(&entry.name) || entry.aliases.iter().any(|alias| names.contains_key(alias))
}
