//! What there is of one type, for all who are connected.
use crate::{
    origin,
    resource::{Name, Resource},
};
use culvert_model::{authz::Origin, shards::Shards};
use culvert_proto::{Any, Message as _, envoy::service::discovery::v3 as ads};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt::{self, Write as _},
    sync::Arc,
};

/// So many changes back a subscriber is told only what changed; further back everything is
/// compared.
const REMEMBERED: usize = 256;

/// Every resource of one type, ready to be sent; a change makes a new one.
///
/// Cheap to clone: what did not change is shared.
#[derive(Clone, Debug)]
pub struct World {
    type_url: &'static str,
    entries: Shards<Name, Arc<Entry>>,
    by_alias: Shards<Name, Arc<BTreeSet<Name>>>,
    sequence: u64,
    /// What the last changes changed, the newest at the back.
    changes: VecDeque<Arc<[Name]>>,
}

/// One resource, ready to be sent.
pub(crate) struct Entry {
    pub(crate) name: Name,
    /// Of the content, so that the same is the same after a restart and on another replica.
    pub(crate) version: String,
    pub(super) aliases: Vec<Name>,
    pub(super) origin: Option<Origin>,
    follows_origin: bool,
    pub(crate) body: Any,
}

/// A resource that somebody else has written already.
#[derive(Clone, PartialEq)]
pub struct Made {
    pub name: Name,
    /// Of the content.
    pub version: Arc<str>,
    pub body: Any,
}

impl World {
    /// One in which there is nothing.
    #[must_use]
    pub fn empty<R: Resource>() -> Self {
        Self::of(R::TYPE_URL)
    }

    /// The same, by the name of the type.
    #[must_use]
    pub fn of(type_url: &'static str) -> Self {
        Self {
            type_url,
            entries: Shards::default(),
            by_alias: Shards::default(),
            sequence: 0,
            changes: VecDeque::new(),
        }
    }

    pub fn type_url(&self) -> &'static str {
        self.type_url
    }

    /// Grows with each change.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The version of what goes by this name.
    pub fn version(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|entry| &*entry.version)
    }

    /// Sets and removes some; returns whether that changed anything.
    ///
    /// Of two with one name the last counts.
    pub fn change<'a, R: Resource>(
        &mut self,
        set: impl IntoIterator<Item = &'a R>,
        removed: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        let mut changed = BTreeSet::new();
        for name in removed {
            changed.extend(self.remove(name));
        }
        for resource in set {
            changed.extend(self.set(Entry::new(resource)));
        }
        self.log(changed)
    }

    /// Like [`change`](Self::change), of resources that do not know themselves where they were
    /// written.
    pub fn change_written<'a, R: Resource>(
        &mut self,
        set: impl IntoIterator<Item = (&'a R, Arc<str>)>,
        removed: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        let mut changed = BTreeSet::new();
        for name in removed {
            changed.extend(self.remove(name));
        }
        for (resource, origin) in set {
            changed.extend(self.set(Entry { origin: Some(origin.into()), ..Entry::new(resource) }));
        }
        self.log(changed)
    }

    /// Like [`change`](Self::change), of resources as others have written them.
    pub fn change_made<'a>(
        &mut self,
        set: impl IntoIterator<Item = Made>,
        removed: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        let mut changed = BTreeSet::new();
        for name in removed {
            changed.extend(self.remove(name));
        }
        for made in set {
            changed.extend(self.set(made.into()));
        }
        self.log(changed)
    }

    /// Makes `all` of it what there is; returns whether that changed anything.
    pub fn replace<'a, R: Resource>(&mut self, all: impl IntoIterator<Item = &'a R>) -> bool {
        let mut gone: BTreeSet<Name> = self.names().cloned().collect();
        let mut changed = BTreeSet::new();
        for resource in all {
            let entry = Entry::new(resource);
            gone.remove(&entry.name);
            changed.extend(self.set(entry));
        }
        for name in gone {
            changed.extend(self.remove(&name));
        }
        self.log(changed)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.get(name)
    }

    /// Names of all that go by this name or alias.
    pub(super) fn find<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Name> {
        let own = self.entries.get(name).map(|entry| &entry.name).into_iter();
        own.chain(self.by_alias.get(name).into_iter().flat_map(|names| names.iter()))
    }

    /// In no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.entries.values().map(|entry| &entry.name)
    }

    /// Names of what changed since; `None` when that is too long ago to be remembered.
    pub(super) fn since(&self, sequence: u64) -> Option<impl Iterator<Item = &Name>> {
        let behind = usize::try_from(self.sequence.checked_sub(sequence)?).ok()?;
        let from = self.changes.len().checked_sub(behind)?;
        Some(self.changes.range(from..).flat_map(|names| names.iter()))
    }

    fn set(&mut self, entry: Entry) -> Option<Name> {
        let name = Name::clone(&entry.name);
        let before = self.entries.get(&*name);
        if let Some(before) = before.filter(|before| before.is(&entry)) {
            // Whoever asks from now on learns where it is written now.
            if before.origin != entry.origin {
                self.entries.insert(name, Arc::new(entry));
            }
            return None;
        }
        self.remove(&name);
        for alias in &entry.aliases {
            let mut names = self.by_alias.get(&**alias).cloned().unwrap_or_default();
            Arc::make_mut(&mut names).insert(Name::clone(&name));
            self.by_alias.insert(Name::clone(alias), names);
        }
        self.entries.insert(Name::clone(&name), Arc::new(entry));
        Some(name)
    }

    fn remove(&mut self, name: &str) -> Option<Name> {
        let entry = self.entries.remove(name)?;
        for alias in &entry.aliases {
            let Some(mut names) = self.by_alias.remove(&**alias) else { continue };
            Arc::make_mut(&mut names).remove(name);
            if !names.is_empty() {
                self.by_alias.insert(Name::clone(alias), names);
            }
        }
        Some(Name::clone(&entry.name))
    }

    fn log(&mut self, changed: BTreeSet<Name>) -> bool {
        if changed.is_empty() {
            return false;
        }
        self.sequence += 1;
        self.changes.push_back(changed.into_iter().collect());
        if self.changes.len() > REMEMBERED {
            self.changes.pop_front();
        }
        true
    }
}

impl Entry {
    fn new<R: Resource>(resource: &R) -> Self {
        let value = resource.encode().encode_to_vec();
        Self {
            name: resource.name(),
            version: version(&value),
            aliases: resource.aliases(),
            origin: resource.origin().cloned(),
            follows_origin: R::FOLLOWS_ORIGIN,
            body: Any { type_url: R::TYPE_URL.to_owned(), value },
        }
    }

    /// Whether who knows `self` need not be told of `newer`.
    pub(super) fn is(&self, newer: &Self) -> bool {
        self.version == newer.version && (self.origin == newer.origin || !newer.follows_origin)
    }

    pub(super) fn to_message(&self) -> ads::Resource {
        ads::Resource {
            version: self.version.clone(),
            resource: Some(self.body.clone()),
            name: (*self.name).to_owned(),
            aliases: self.aliases.iter().map(|alias| (**alias).to_owned()).collect(),
            ttl: None,
            cache_control: None,
            metadata: self.origin.as_ref().map(origin::write),
        }
    }
}

// Content may be nobody's to see.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, .. } = self;
        f.debug_struct("Entry")
            .field("name", name)
            .field("version", version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, .. } = self;
        f.debug_struct("Made").field("name", name).field("version", version).finish_non_exhaustive()
    }
}

impl From<Made> for Entry {
    fn from(made: Made) -> Self {
        let Made { name, version, body } = made;
        Self {
            name,
            version: (*version).to_owned(),
            aliases: Vec::new(),
            origin: None,
            follows_origin: false,
            body,
        }
    }
}

/// 128 bits of the content's hash: nobody finds two contents with one version.
fn version(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    digest.iter().take(16).fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        _ = write!(hex, "{byte:02x}");
        hex
    })
}
