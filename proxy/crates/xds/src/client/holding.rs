//! Things by name and by alias.
use crate::resource::Name;
use std::collections::{BTreeMap, HashMap};

/// Things by name; several may share an alias.
#[derive(Debug)]
pub(super) struct Holding<T> {
    by_name: BTreeMap<Name, Kept<T>>,
    /// The names that go by an alias, mostly one; sorted.
    by_alias: HashMap<Name, Box<[Name]>>,
}

/// One thing and its aliases.
#[derive(Debug)]
struct Kept<T> {
    aliases: Box<[Name]>,
    value: T,
}

impl<T> Default for Holding<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), by_alias: HashMap::new() }
    }
}

impl<T> Holding<T> {
    /// Replaces what went by `name`.
    pub(super) fn insert(&mut self, name: Name, aliases: Vec<Name>, value: T) {
        self.remove(&name);
        for alias in &aliases {
            let names = self.by_alias.entry(Name::clone(alias)).or_default();
            if let Err(at) = names.binary_search(&name) {
                *names = names[..at].iter().chain([&name]).chain(&names[at..]).cloned().collect();
            }
        }
        self.by_name.insert(name, Kept { aliases: aliases.into(), value });
    }

    /// Removes what goes by `name`, and returns its aliases.
    pub(super) fn remove(&mut self, name: &str) -> Option<Box<[Name]>> {
        let kept = self.by_name.remove(name)?;
        for alias in &kept.aliases {
            if let Some(names) = self.by_alias.get_mut(alias) {
                let others = names.iter().filter(|one| ***one != *name).cloned().collect();
                *names = others;
                if names.is_empty() {
                    self.by_alias.remove(alias);
                }
            }
        }
        Some(kept.aliases)
    }

    /// Removes what `unwanted` says of a name and its aliases, and returns the names.
    pub(super) fn drain_where(&mut self, unwanted: impl Fn(&Name, &[Name]) -> bool) -> Vec<Name> {
        let names: Vec<_> = (self.by_name.iter())
            .filter(|(name, kept)| unwanted(name, &kept.aliases))
            .map(|(name, _)| Name::clone(name))
            .collect();
        for name in &names {
            self.remove(name);
        }
        names
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.by_name.get(name).map(|kept| &kept.value)
    }

    /// All that go by this name or alias.
    pub(super) fn find(&self, name: &str) -> impl Iterator<Item = &T> {
        let by_alias = self.by_alias.get(name).into_iter().flatten();
        let aliased = by_alias.filter(move |other| ***other != *name);
        let own = self.get(name).into_iter();
        own.chain(aliased.filter_map(|name| self.get(name)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &T)> {
        self.by_name.iter().map(|(name, kept)| (name, &kept.value))
    }
}
