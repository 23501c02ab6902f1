//! From resources as they come to what an engine runs with.
//!
//! Pure: resources and the time go in; out come snapshots, each sharing what did not change, what
//! must be asked for, and what was refused. The rules:
//! * A resource that is not understood is refused by itself; its earlier version stays in force.
//! * A cluster is used once its endpoints and secrets are there, a listener once its routes, filters
//!   and secrets are; until then the earlier version stays. What is held already is enough: nothing
//!   is waited for that is known. Patience that ends lets them go on without.
//! * What nobody needs any more is forgotten.
//! * What the bootstrap says can be neither changed nor removed by discovery.
use super::{
    decode::{Around, Wrong},
    kind::Kind,
    wanted::{self, Asked, Need, Needs},
};
use culvert_model::http::{
    cluster::Cluster,
    endpoint::Assignment,
    filter::HttpFilter,
    listener::Listener,
    route::RouteTable,
    runtime::RuntimeLayer,
    secret::Secret,
    snapshot::{Resource, Snapshot},
};
use culvert_proto::api::google::protobuf::Any;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

mod common;

mod held;

mod parents;

mod settle;

mod understand;

pub use common::{Common, Made};
pub use held::{Held, Refused, State, Wants};
use parents::Parents;
pub use settle::Settled;
use settle::Wait;

#[cfg(test)]
mod tests;

/// Names a resource.
pub type Key = (Kind, Arc<str>);

/// A resource as it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    pub name: Arc<str>,
    pub version: Arc<str>,
    pub any: Any,
    /// It is dropped after so long, unless it comes again.
    pub ttl: Option<Duration>,
}

/// What somebody says about resources of one type.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub kind: Kind,
    pub from: Asked,
    pub set: Vec<Incoming>,
    pub removed: Vec<Arc<str>>,
    /// What is not named does not exist: state of the world, of a type that is taken whole.
    pub is_whole: bool,
}

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    pub wall: SystemTime,
}

/// A resource, decoded.
#[derive(Clone, Debug)]
pub enum Decoded {
    Cluster(Arc<Cluster>),
    Endpoint(Arc<Assignment>),
    Listener(Arc<Listener>),
    Route(Arc<RouteTable>),
    Secret(Arc<Secret>),
    Extension(Arc<HttpFilter>),
    Runtime(Arc<RuntimeLayer>),
}

/// Everything that is held, and what is made of it.
#[derive(Debug)]
pub struct Assembler {
    around: Arc<dyn Around + Send + Sync>,
    /// What others have decoded already.
    common: Option<Common>,
    held: BTreeMap<Key, Held>,
    refused: BTreeMap<Key, Refused>,
    /// What each listener and cluster needs: the version held, and the one in force.
    needs: BTreeMap<Key, Needs>,
    needed_by: HashMap<Key, Parents>,
    /// Since when something needed is missing.
    missing: HashMap<Key, Instant>,
    /// Of these it is known that there are none.
    absent: BTreeSet<Key>,
    /// What versions in force need, of those that are warming.
    old_needs: HashMap<Key, Needs>,
    /// Listeners and clusters whose version held is not in force, and until when they wait.
    warming: BTreeMap<Key, Wait>,
    touched: BTreeSet<Key>,
    /// Nobody needs these since the last time that all was settled.
    orphans: BTreeSet<Key>,
    layers: Vec<Layer>,
    layers_changed: bool,
    /// Something may end by itself.
    mortal: bool,
    /// Something may be wanted that was not before, or the other way round.
    wants_changed: bool,
    /// Who has said something of a type, if only that there is nothing.
    answered: BTreeSet<(Kind, Asked)>,
    snapshot: Snapshot,
}

/// A layer of the runtime.
#[derive(Clone, Debug)]
pub enum Layer {
    /// It does not change, or somebody sets it by [`Assembler::set_layer`].
    Fixed(RuntimeLayer),
    Discovered {
        name: Arc<str>,
        resource: Arc<str>,
        need: Need,
    },
}

impl std::fmt::Debug for dyn Around + Send + Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Around")
    }
}

impl Assembler {
    #[must_use]
    pub fn new(around: Arc<dyn Around + Send + Sync>, layers: Vec<Layer>) -> Self {
        Self {
            around,
            common: None,
            held: BTreeMap::new(),
            refused: BTreeMap::new(),
            needs: BTreeMap::new(),
            needed_by: HashMap::new(),
            missing: HashMap::new(),
            absent: BTreeSet::new(),
            old_needs: HashMap::new(),
            warming: BTreeMap::new(),
            touched: BTreeSet::new(),
            orphans: BTreeSet::new(),
            layers,
            layers_changed: true,
            mortal: false,
            wants_changed: true,
            answered: BTreeSet::new(),
            snapshot: Snapshot::default(),
        }
    }

    /// From now on, what has the same bytes is decoded once for all who share `common`; their
    /// bootstraps must say the same of ADS and secrets.
    pub fn share(&mut self, common: Common) {
        self.common = Some(common);
    }

    pub fn around(&self) -> Arc<dyn Around + Send + Sync> {
        Arc::clone(&self.around)
    }

    /// Takes an update in; what was refused of it comes out, by name.
    pub fn apply(&mut self, update: Update, now: Now) -> Vec<(Arc<str>, Wrong)> {
        let Update { kind, from, set, removed, is_whole } = update;
        self.answered.insert((kind, from.clone()));
        let mut errors = Vec::new();
        let mut named: HashMap<Arc<str>, usize> = HashMap::new();
        for incoming in &set {
            *named.entry(Arc::clone(&incoming.name)).or_default() += 1;
        }
        for name in removed {
            self.remove(&(kind, name), &from);
        }
        if is_whole {
            let gone: Vec<Key> = (self.held.range((kind, "".into())..))
                .map(|(key, held)| (key, &held.from))
                .chain(
                    self.refused
                        .range((kind, "".into())..)
                        .map(|(key, refused)| (key, &refused.from)),
                )
                .filter(|((of, name), by)| *of == kind && **by == from && !named.contains_key(name))
                .map(|(key, _)| key.clone())
                .collect();
            gone.iter().for_each(|key| self.remove(key, &from));
        }
        for incoming in set {
            let name = Arc::clone(&incoming.name);
            let result = match named.get(&name) {
                Some(2..) => Err(Box::new((incoming, Wrong::whole("named twice in one response")))),
                Some(_) | None => self.set(kind, &from, incoming, now),
            };
            if let Err(refused) = result {
                let (Incoming { version, any, .. }, error) = *refused;
                let (from, at, error_said) = (from.clone(), now.wall, error.clone());
                let refused = Refused { from, version, any, error: error_said, at };
                self.refused.insert((kind, Arc::clone(&name)), refused);
                errors.push((name, error));
            }
        }
        errors
    }

    /// What changes from now on is of what the control plane calls so as a whole.
    pub fn set_version(&mut self, version: &str) {
        if !version.is_empty() && *self.snapshot.version != *version {
            self.snapshot.version = version.into();
        }
    }

    /// Of the snapshot that was made last.
    pub const fn generation(&self) -> u64 {
        self.snapshot.generation
    }

    /// What the control plane calls the whole of what it told last; empty: it has not said.
    pub fn version(&self) -> &Arc<str> {
        &self.snapshot.version
    }

    /// Of something that is needed it is known that there is none, or that nobody can say.
    pub fn set_absent(&mut self, key: Key) {
        if !self.held.contains_key(&key) {
            self.touch_parents(&key);
            self.absent.insert(key);
        }
    }

    /// Replaces a layer that somebody sets.
    pub fn set_layer(&mut self, layer: &RuntimeLayer) {
        for held in &mut self.layers {
            if let Layer::Fixed(of) = held
                && of.name == layer.name
                && of != layer
            {
                of.clone_from(layer);
                self.layers_changed = true;
            }
        }
    }

    /// A secret that somebody read from files.
    pub fn set_secret(&mut self, name: Arc<str>, from: Asked, secret: Secret, now: Now) {
        let decoded = Decoded::Secret(Arc::new(secret));
        let made = Made { name: Arc::clone(&name), any: Any::default(), decoded, alone: false };
        let (made, version, at) = (Arc::new(made), "".into(), now.wall);
        self.hold((Kind::Secret, name), Held { from, version, made, at, expires: None });
    }

    fn set(
        &mut self,
        kind: Kind,
        from: &Asked,
        incoming: Incoming,
        now: Now,
    ) -> Result<(), Box<(Incoming, Wrong)>> {
        let key = (kind, Arc::clone(&incoming.name));
        let expires = incoming.ttl.map(|ttl| now.instant + ttl);
        if let Some(held) = self.held.get_mut(&key) {
            if held.from == Asked::Static && *from != Asked::Static {
                let what = format!("the bootstrap has a {} of this name", kind.as_str());
                return Err(Box::new((incoming, Wrong::whole(what))));
            }
            // A sign of life, or the same once more.
            let is_same = incoming.any.value.is_empty() && incoming.any.type_url.is_empty()
                || held.made.any == incoming.any;
            if is_same {
                held.version = incoming.version;
                held.expires = expires;
                held.from = from.clone();
                self.mortal |= expires.is_some();
                self.refused.remove(&key);
                return Ok(());
            }
        }
        let version = Arc::clone(&incoming.version);
        let made = self.make(kind, incoming)?;
        self.mortal |= expires.is_some();
        let (from, at) = (from.clone(), now.wall);
        self.hold(key, Held { from, version, made, at, expires });
        Ok(())
    }

    /// Whether there is such a cluster, in force or warming.
    pub fn knows_cluster(&self, name: &str) -> bool {
        self.held.contains_key(&(Kind::Cluster, name.into()))
    }

    fn hold(&mut self, key: Key, held: Held) {
        self.refused.remove(&key);
        self.absent.remove(&key);
        self.missing.remove(&key);
        let own = held.from.clone();
        match &held.made.decoded {
            Decoded::Cluster(cluster) => self.need(&key, wanted::of_cluster(cluster, &own)),
            Decoded::Listener(listener) => self.need(&key, wanted::of_listener(listener, &own)),
            Decoded::Secret(secret) => {
                let mut needs = Needs::new();
                if let Secret::Validation(validation) = &**secret {
                    wanted::of_validation(validation, &own, &mut needs);
                }
                self.need(&key, needs);
            }
            Decoded::Endpoint(_) | Decoded::Route(_) | Decoded::Extension(_) => {}
            Decoded::Runtime(_) => self.layers_changed = true,
        }
        if matches!(key.0, Kind::Cluster | Kind::Listener) {
            self.warming.insert(key.clone(), Wait::ForEver);
        }
        self.touched.insert(key.clone());
        self.touch_parents(&key);
        self.held.insert(key, held);
    }

    /// What a new version needs; what only its earlier one did is kept until it is in force.
    fn need(&mut self, key: &Key, needs: Needs) {
        for needed in needs.keys() {
            let parents = self.needed_by.entry(needed.clone());
            parents.and_modify(|all| all.add(key)).or_insert_with(|| Parents::One(key.clone()));
            if !self.held.contains_key(needed) {
                self.absent.remove(needed);
            }
        }
        let before = self.needs.insert(key.clone(), needs).unwrap_or_default();
        self.wants_changed |= self.needs.get(key) != Some(&before);
        if matches!(key.0, Kind::Cluster | Kind::Listener) {
            self.old_needs.entry(key.clone()).or_default().extend(before);
        } else {
            self.let_go(key, &before);
        }
    }

    fn touch_parents(&mut self, key: &Key) {
        let parents = self.needed_by.get(key).map(|parents| parents.iter().cloned().collect());
        let parents: Vec<Key> = parents.unwrap_or_default();
        for parent in parents {
            self.touch_parents(&parent);
            self.touched.insert(parent);
        }
    }

    fn remove(&mut self, key: &Key, by: &Asked) {
        if self.refused.get(key).is_some_and(|refused| refused.from == *by) {
            self.refused.remove(key);
        }
        if self.held.get(key).is_some_and(|held| held.from == *by) {
            self.forget(key);
            self.touch_parents(key);
        }
        if self.needed_by.contains_key(key) {
            self.absent.insert(key.clone());
            self.touch_parents(key);
        }
    }

    fn forget(&mut self, key: &Key) {
        self.held.remove(key);
        self.warming.remove(key);
        self.touched.insert(key.clone());
        if key.0 == Kind::Runtime {
            self.layers_changed = true;
        }
        let old = self.old_needs.remove(key).unwrap_or_default();
        let needs = self.needs.remove(key).unwrap_or_default();
        self.wants_changed |= !needs.is_empty();
        self.let_go(key, &old);
        self.let_go(key, &needs);
    }
}
