//! Things by name and by alias.
use crate::resource::Name;
use std::collections::{BTreeMap, HashMap};

/// Things by name; several may share an alias.
///
/// There are thousands, so nothing is kept of those that have no alias but themselves.
#[derive(Debug)]
pub(super) struct Holding<T> {
    by_name: HashMap<Name, T>,
    /// The aliases of what has any.
    aliases: HashMap<Name, Box<[Name]>>,
    /// The names that go by an alias, mostly one; sorted.
    by_alias: HashMap<Name, Box<[Name]>>,
}

impl<T> Default for Holding<T> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), aliases: HashMap::new(), by_alias: HashMap::new() }
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
        if !aliases.is_empty() {
            self.aliases.insert(Name::clone(&name), aliases.into());
        }
        self.by_name.insert(name, value);
    }

    /// Removes what goes by `name`, and returns its aliases.
    pub(super) fn remove(&mut self, name: &str) -> Option<Box<[Name]>> {
        self.by_name.remove(name)?;
        let aliases = self.aliases.remove(name).unwrap_or_default();
        for alias in &aliases {
            if let Some(names) = self.by_alias.get_mut(alias) {
                let others = names.iter().filter(|one| ***one != *name).cloned().collect();
                *names = others;
                if names.is_empty() {
                    self.by_alias.remove(alias);
                }
            }
        }
        Some(aliases)
    }

    /// Removes what `unwanted` says of a name and its aliases, and returns the names in their order.
    pub(super) fn drain_where(&mut self, unwanted: impl Fn(&Name, &[Name]) -> bool) -> Vec<Name> {
        let aliases = |name: &Name| self.aliases.get(name).map_or(&[][..], |aliases| aliases);
        let names = self.by_name.keys().filter(|name| unwanted(name, aliases(name)));
        let mut names: Vec<_> = names.cloned().collect();
        names.sort_unstable();
        for name in &names {
            self.remove(name);
        }
        names
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.by_name.get(name)
    }

    /// All that go by this name or alias.
    pub(super) fn find(&self, name: &str) -> impl Iterator<Item = &T> {
        let by_alias = self.by_alias.get(name).into_iter().flatten();
        let aliased = by_alias.filter(move |other| ***other != *name);
        let own = self.get(name).into_iter();
        own.chain(aliased.filter_map(|name| self.get(name)))
    }

    /// In the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &T)> {
        self.by_name.iter().collect::<BTreeMap<_, _>>().into_iter()
    }
}
