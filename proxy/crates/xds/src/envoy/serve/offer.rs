//! Everything that one scope is told: a namespace on a node, or a gateway.
use crate::{
    envoy::kind::Kind,
    resource::Name,
    server::{Made, World},
};
use std::collections::{BTreeMap, BTreeSet};

/// All of it, by type; cheap to clone.
#[derive(Clone, Debug)]
pub struct Offer {
    worlds: [World; Kind::ALL.len()],
    /// Of what it was made from; says nothing of its content.
    pub generation: u64,
}

impl Default for Offer {
    fn default() -> Self {
        Self { worlds: Kind::ALL.map(|kind| World::of(kind.type_url())), generation: 0 }
    }
}

impl Offer {
    #[must_use]
    pub fn world(&self, kind: Kind) -> &World {
        &self.worlds[kind.place()]
    }

    /// Sets some and removes some; returns whether that changed anything.
    pub fn change(
        &mut self,
        set: impl IntoIterator<Item = (Kind, Made)>,
        removed: impl IntoIterator<Item = (Kind, Name)>,
    ) -> bool {
        let mut by_kind: BTreeMap<Kind, (Vec<Made>, Vec<Name>)> = BTreeMap::new();
        for (kind, made) in set {
            by_kind.entry(kind).or_default().0.push(made);
        }
        for (kind, name) in removed {
            by_kind.entry(kind).or_default().1.push(name);
        }
        let mut changed = false;
        for (kind, (set, removed)) in by_kind {
            let removed = removed.iter().map(AsRef::as_ref);
            changed |= self.worlds[kind.place()].change_made(set, removed);
        }
        changed
    }

    /// Makes `all` of it what there is; returns whether that changed anything.
    pub fn replace(&mut self, all: impl IntoIterator<Item = (Kind, Made)>) -> bool {
        let all: Vec<(Kind, Made)> = all.into_iter().collect();
        let names = |kind: Kind| self.world(kind).names().cloned().map(move |name| (kind, name));
        let mut gone: Vec<(Kind, Name)> = Kind::ALL.into_iter().flat_map(names).collect();
        let stays: BTreeSet<(Kind, &Name)> =
            all.iter().map(|(kind, made)| (*kind, &made.name)).collect();
        gone.retain(|(kind, name)| !stays.contains(&(*kind, name)));
        self.change(all, gone)
    }
}
