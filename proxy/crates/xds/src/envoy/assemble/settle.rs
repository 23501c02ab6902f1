//! What is ready comes into force.
use super::{Assembler, Decoded, Held, Key, Kind, Layer, Needs, Now, Parents, Resource, Snapshot};
use culvert_model::http::{
    runtime::{RuntimeLayer, RuntimeValues},
    snapshot::Table,
};
use std::{collections::BTreeSet, sync::Arc, time::Instant};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Settled {
    /// `None`: nothing that an engine sees has changed.
    pub snapshot: Option<Snapshot>,
    /// When something happens by itself: patience ends, or a resource does.
    pub next: Option<Instant>,
}

impl Assembler {
    /// Brings into force what is ready; to be called after updates, and when [`Settled::next`] is.
    pub fn settle(&mut self, now: Now) -> Settled {
        self.expire(now);
        let mut changed = self.step(now);
        self.sweep();
        while !self.touched.is_empty() {
            changed |= self.step(now);
            self.sweep();
        }
        if std::mem::take(&mut self.layers_changed) {
            changed |= self.show_runtime();
        }
        let expiries = || self.held.values().filter_map(|held| held.expires).min();
        let expiry = self.mortal.then(expiries).flatten();
        self.mortal = expiry.is_some();
        let snapshot = changed.then(|| {
            self.snapshot.generation += 1;
            self.snapshot.clone()
        });
        let patience = self.warming.values().filter_map(|wait| match wait {
            Wait::Until(at) => Some(*at),
            Wait::Over | Wait::ForEver => None,
        });
        Settled { snapshot, next: patience.chain(expiry).min() }
    }

    fn step(&mut self, now: Now) -> bool {
        let mut changed = false;
        let touched = std::mem::take(&mut self.touched);
        for key in touched.iter().filter(|(kind, _)| !is_parent(*kind)) {
            changed |= self.show(key);
        }
        let is_over = |wait: &Wait| matches!(wait, Wait::Until(at) if *at <= now.instant);
        let out_of_patience = self.warming.iter().filter(|(_, wait)| is_over(wait));
        let parents: BTreeSet<Key> = out_of_patience
            .map(|(key, _)| key)
            .chain(touched.iter().filter(|(kind, _)| is_parent(*kind)))
            .cloned()
            .collect();
        for key in parents {
            changed |= self.promote(&key, now);
        }
        changed
    }

    /// Brings a listener or cluster into force if it is ready, or takes it out.
    fn promote(&mut self, key: &Key, now: Now) -> bool {
        if !self.held.contains_key(key) {
            return self.show(key);
        }
        if !self.warming.contains_key(key) {
            return false;
        }
        let wait = self.waits_until(key, now);
        if wait != Wait::Over {
            self.warming.insert(key.clone(), wait);
            return false;
        }
        self.warming.remove(key);
        let old = self.old_needs.remove(key).unwrap_or_default();
        self.let_go(key, &old);
        self.show(key)
    }

    /// Listeners and clusters that wait for something, and what they wait for.
    pub fn waiting(&self) -> impl Iterator<Item = (&Key, Vec<&Key>)> {
        self.warming.keys().map(|key| {
            let needs = self.all_needs(key);
            (key, needs.into_iter().filter(|needed| !self.is_known(needed)).collect())
        })
    }

    fn expire(&mut self, now: Now) {
        if !self.mortal {
            return;
        }
        let is_over = |held: &Held| held.expires.is_some_and(|at| at <= now.instant);
        let over: Vec<Key> = (self.held.iter())
            .filter(|(_, held)| is_over(held))
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            let Some(from) = self.held.get(&key).map(|held| held.from.clone()) else { continue };
            self.remove(&key, &from);
        }
    }

    /// What a listener or cluster needs, and what its secrets need.
    fn all_needs(&self, key: &Key) -> Vec<&Key> {
        let direct = self.needs.get(key).into_iter().flat_map(Needs::keys);
        direct
            .flat_map(|needed| {
                let more = self.needs.get(needed).into_iter().flat_map(Needs::keys);
                std::iter::once(needed).chain(more)
            })
            .collect()
    }

    fn is_known(&self, key: &Key) -> bool {
        self.held.contains_key(key) || self.absent.contains(key)
    }

    fn waits_until(&mut self, key: &Key, now: Now) -> Wait {
        let missing: Vec<Key> = (self.all_needs(key).into_iter())
            .filter(|needed| !self.is_known(needed))
            .cloned()
            .collect();
        let mut wait = Wait::Over;
        for needed in missing {
            let since = *self.missing.entry(needed.clone()).or_insert(now.instant);
            let parents = self.needed_by.get(&needed).into_iter().flat_map(Parents::iter);
            let mut needs = parents.filter_map(|parent| self.needs.get(parent)?.get(&needed));
            let patience = needs.next().and_then(|need| need.patience);
            wait = match patience.map(|patience| since + patience) {
                Some(at) if at <= now.instant => {
                    self.absent.insert(needed);
                    wait
                }
                at => wait.and(at.map_or(Wait::ForEver, Wait::Until)),
            };
        }
        wait
    }

    /// Whether the snapshot changed.
    fn show(&mut self, key: &Key) -> bool {
        let (kind, name) = key;
        let Some(held) = self.held.get(key) else {
            let snapshot = &mut self.snapshot;
            return match kind {
                Kind::Cluster => take(snapshot.clusters_mut(), name),
                Kind::Endpoint => take(snapshot.assignments_mut(), name),
                Kind::Listener => take(snapshot.listeners_mut(), name),
                Kind::Route => take(snapshot.routes_mut(), name),
                Kind::Secret => take(snapshot.secrets_mut(), name),
                Kind::Extension => take(snapshot.filters_mut(), name),
                Kind::Runtime => false,
            };
        };
        let (version, snapshot) = (&held.version, &mut self.snapshot);
        match &held.made.decoded {
            Decoded::Cluster(value) => put(snapshot.clusters_mut(), name, version, value),
            Decoded::Endpoint(value) => put(snapshot.assignments_mut(), name, version, value),
            Decoded::Listener(value) => put(snapshot.listeners_mut(), name, version, value),
            Decoded::Route(value) => put(snapshot.routes_mut(), name, version, value),
            Decoded::Secret(value) => put(snapshot.secrets_mut(), name, version, value),
            Decoded::Extension(value) => put(snapshot.filters_mut(), name, version, value),
            Decoded::Runtime(_) => false,
        }
    }

    fn show_runtime(&mut self) -> bool {
        let layers = self.layers.iter().map(|layer| match layer {
            Layer::Fixed(layer) => layer.clone(),
            Layer::Discovered { name, resource, .. } => {
                let held = self.held.get(&(Kind::Runtime, Arc::clone(resource)));
                let values = match held.map(|held| &held.made.decoded) {
                    Some(Decoded::Runtime(layer)) => Arc::clone(&layer.values),
                    Some(_) | None => Arc::default(),
                };
                RuntimeLayer { name: Arc::clone(name), values }
            }
        });
        let values = RuntimeValues::new(layers.collect());
        let differs = **self.snapshot.runtime() != values;
        if differs {
            self.snapshot.set_runtime(Arc::new(values));
        }
        differs
    }

    /// `key` does not need these, unless its version held does.
    pub(super) fn let_go(&mut self, key: &Key, needs: &Needs) {
        for needed in needs.keys() {
            if self.needs.get(key).is_some_and(|needs| needs.contains_key(needed)) {
                continue;
            }
            let Some(parents) = self.needed_by.get_mut(needed) else { continue };
            if !parents.remove(key) {
                continue;
            }
            self.needed_by.remove(needed);
            self.orphans.insert(needed.clone());
        }
    }

    /// Forgets what nobody needs; whoever came back for it meanwhile finds it still there.
    fn sweep(&mut self) {
        while let Some(orphan) = self.orphans.pop_first() {
            if self.needed_by.contains_key(&orphan) {
                continue;
            }
            self.absent.remove(&orphan);
            self.missing.remove(&orphan);
            self.refused.remove(&orphan);
            let held = self.held.get(&orphan);
            if held.is_some_and(|held| held.from != super::Asked::Static) {
                self.forget(&orphan);
            }
        }
    }
}

/// How long something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Over,
    Until(Instant),
    ForEver,
}

impl Wait {
    /// Both must be over; of moments the earlier one is where to look again.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Over, wait) | (wait, Self::Over) => wait,
            (Self::Until(a), Self::Until(b)) => Self::Until(a.min(b)),
            (Self::Until(at), Self::ForEver) | (Self::ForEver, Self::Until(at)) => Self::Until(at),
            (Self::ForEver, Self::ForEver) => Self::ForEver,
        }
    }
}

const fn is_parent(kind: Kind) -> bool {
    matches!(kind, Kind::Cluster | Kind::Listener)
}

fn put<T>(table: &mut Table<T>, name: &Arc<str>, version: &Arc<str>, value: &Arc<T>) -> bool {
    let is_same = table.get(name).is_some_and(|held| Arc::ptr_eq(&held.value, value));
    if !is_same {
        let resource = Resource { version: Arc::clone(version), value: Arc::clone(value) };
        table.insert(Arc::clone(name), resource);
    }
    !is_same
}

fn take<T>(table: &mut Table<T>, name: &str) -> bool {
    let is_there = table.get(name).is_some();
    if is_there {
        table.remove(name);
    }
    is_there
}
