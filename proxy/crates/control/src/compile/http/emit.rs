//! A plan, with the services and workloads there are, as Envoy's messages.
//!
//! Each [`Scope`] (a namespace on a node, or a gateway) has resources of its own: what it can see,
//! and of servers only its own pods. They are made in [`Unit`]s, each of which notes what it looked at;
//! a change makes those anew that looked at what changed, and nobody is told of what came out
//! the same. Versions are made of content; where something was written is no part of them.
//!
//! Reading order: [`names`] (what resources are called), `scope` (for whom), [`scene`] (what goes in), `reader`, `words` (small
//! parts), `clients` (for whom rules are), `matching`, `action`, `rewrite`, `route` (requests), `cluster`,
//! `pool`, `tls`, `assignment` (endpoints), `rbac` (policies), `manager` (filters), `outbound`,
//! `chains`, `inbound`, `gateway` (listeners), `services`, `passed` (TLS from elsewhere), `api` (clients without a proxy), `secrets`, `out` (resources), `unit` (what is made in one go), `decoded` (the same as an engine reads it), [`asks`] (who must pass L7 at all).
use culvert_model::{name::ServiceName, service::AppProtocol};
use culvert_proto::api::google::protobuf::Any;
use culvert_xds::envoy::kind::Kind;
use reader::Reader;
use scene::{Changed, Dep, Door, Scene};
pub use scope::Scope;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};
use unit::Built;
pub use unit::Unit;

pub mod names;

mod scope;

pub mod scene;

mod reader;

mod words;

mod clients;

mod matching;

mod action;

mod rewrite;

mod route;

mod cluster;

mod pool;

mod tls;

mod assignment;

mod rbac;

mod manager;

mod outbound;

mod chains;

mod inbound;

mod gateway;

pub mod asks;

mod services;

mod passed;

pub(in crate::compile::http) mod secrets;

mod api;

mod unit;

mod out;

mod decoded;

pub(super) use {action::LARGEST_BODY, tls::CIPHERS};

#[cfg(test)]
pub(crate) mod tests;

/// Names a resource.
pub type Key = (Kind, Arc<str>);

/// One resource, as it is served.
#[derive(Clone, PartialEq)]
pub struct Resource {
    pub kind: Kind,
    pub name: Arc<str>,
    /// Of the content, but for where it was written.
    pub version: Arc<str>,
    pub any: Any,
}

/// Resources as they were before a change, where they may be another now.
type Touched = BTreeMap<Key, Option<Arc<Resource>>>;

/// What one change has changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    pub set: Vec<Arc<Resource>>,
    pub removed: Vec<Key>,
    /// What was made anew, whether or not it came out the same.
    pub made: Vec<Unit>,
}

/// The resources of one scope.
#[derive(Clone, Debug)]
pub struct Emitter {
    scope: Scope,
    units: BTreeMap<Unit, Built>,
    /// Which units looked at something.
    index: BTreeMap<Dep, BTreeSet<Unit>>,
    /// How many units need a service.
    needed: BTreeMap<ServiceName, usize>,
    /// The same for TLS that comes from elsewhere.
    passed: BTreeMap<ServiceName, usize>,
    /// How many units name a secret.
    named: BTreeMap<Arc<str>, usize>,
    /// Doors of services that ask for L7, by service.
    open: BTreeMap<ServiceName, BTreeSet<Door>>,
    /// How many services are at a door.
    doors: BTreeMap<Door, usize>,
    resources: BTreeMap<Key, Arc<Resource>>,
}

impl Emitter {
    /// Everything that `scope` is told of `scene`.
    #[must_use]
    pub fn new(scope: Scope, scene: &Scene) -> Self {
        let mut emitter = Self {
            scope: scope.placed(scene),
            units: BTreeMap::new(),
            index: BTreeMap::new(),
            needed: BTreeMap::new(),
            passed: BTreeMap::new(),
            named: BTreeMap::new(),
            open: BTreeMap::new(),
            doors: BTreeMap::new(),
            resources: BTreeMap::new(),
        };
        let first: &[Unit] = match emitter.scope.gateway {
            _ if emitter.scope.api => &[],
            Some(_) => &[Unit::Base, Unit::Gateway],
            None => &[Unit::Base, Unit::Inbound],
        };
        let services: BTreeSet<ServiceName> = scene.services().cloned().collect();
        emitter.make(first.iter().cloned().collect(), &services, scene);
        emitter
    }

    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    #[must_use]
    pub fn resources(&self) -> &BTreeMap<Key, Arc<Resource>> {
        &self.resources
    }

    /// How many parts they are made in.
    #[must_use]
    pub(crate) fn parts(&self) -> usize {
        self.units.len()
    }

    /// Follows a change of the scene.
    pub fn follow(&mut self, changed: &Changed, scene: &Scene) -> Delta {
        let seen = changed.iter().filter_map(|dep| self.index.get(dep)).flatten();
        let units: BTreeSet<Unit> = seen.cloned().collect();
        let services = changed.iter().filter_map(|dep| match dep {
            Dep::Service(name) => Some(name.clone()),
            // They are its doors.
            Dep::Endpoints(name) if scene.is_headless(name) => Some(name.clone()),
            Dep::Endpoints(_)
            | Dep::Host(_)
            | Dep::Door(_)
            | Dep::Pods(_)
            | Dep::Account(_)
            | Dep::Gateway(_)
            | Dep::Chosen
            | Dep::Policies(_)
            | Dep::Secret(_)
            | Dep::Roots(_) => None,
        });
        self.make(units, &services.collect(), scene)
    }

    /// Makes units anew, and whatever they ask for.
    fn make(
        &mut self,
        mut units: BTreeSet<Unit>,
        services: &BTreeSet<ServiceName>,
        scene: &Scene,
    ) -> Delta {
        let mut touched = Touched::new();
        let mut made = Vec::new();
        if self.scope.api {
            units.extend(services.iter().cloned().map(Unit::Api));
        } else if self.scope.gateway.is_none() {
            for name in services {
                units.extend(self.open_doors(name, scene));
            }
        }
        while let Some(unit) = units.pop_first() {
            if !self.is_wanted(&unit) {
                self.drop_unit(&unit, &mut units, &mut touched);
                continue;
            }
            let built = Built::of(&unit, &self.scope, scene);
            made.push(unit.clone());
            self.replace(unit, built, &mut units, &mut touched);
        }
        let mut delta = Delta { made, ..Delta::default() };
        for (key, old) in touched {
            match self.resources.get(&key) {
                None if old.is_some() => delta.removed.push(key),
                None => {}
                Some(new) if old.as_ref().is_some_and(|old| old.version == new.version) => {}
                Some(new) => delta.set.push(Arc::clone(new)),
            }
        }
        delta
    }

    /// Notes where a service is listened for now; gives what is to be made or dropped.
    fn open_doors(&mut self, name: &ServiceName, scene: &Scene) -> BTreeSet<Unit> {
        let reader = Reader::new(scene);
        let now = outbound::open(name, &self.scope, &reader);
        let old = match now.is_empty() {
            true => self.open.remove(name),
            false => self.open.insert(name.clone(), now.clone()),
        };
        let old = old.unwrap_or_default();
        // Whether or not it is the first one there, a door is made anew.
        drop(count(&mut self.doors, &old, &now));
        let mut units: BTreeSet<Unit> = old.union(&now).copied().map(Unit::Door).collect();
        if !old.is_empty() || !now.is_empty() {
            units.insert(Unit::Routes(name.clone()));
        }
        units
    }

    /// Whether there is still reason to make a unit.
    fn is_wanted(&self, unit: &Unit) -> bool {
        match unit {
            Unit::Base | Unit::Inbound | Unit::Gateway | Unit::Api(_) => true,
            Unit::Door(door) => self.doors.contains_key(door),
            Unit::Routes(name) => self.open.contains_key(name),
            Unit::Clusters(name) | Unit::Endpoints(name) => self.needed.contains_key(name),
            Unit::Passed(name) => self.passed.contains_key(name),
            Unit::Secret(name) => self.named.contains_key(name),
        }
    }

    fn drop_unit(&mut self, unit: &Unit, units: &mut BTreeSet<Unit>, touched: &mut Touched) {
        if self.units.contains_key(unit) {
            self.replace(unit.clone(), Built::default(), units, touched);
            self.units.remove(unit);
        }
    }

    /// Puts what a unit came to in the place of what it was before.
    fn replace(
        &mut self,
        unit: Unit,
        mut built: Built,
        units: &mut BTreeSet<Unit>,
        touched: &mut Touched,
    ) {
        let old = self.units.remove(&unit).unwrap_or_default();
        for dep in old.seen.difference(&built.seen) {
            if let Some(all) = self.index.get_mut(dep) {
                all.remove(&unit);
                if all.is_empty() {
                    self.index.remove(dep);
                }
            }
        }
        for dep in built.seen.difference(&old.seen) {
            self.index.entry(dep.clone()).or_default().insert(unit.clone());
        }
        for name in count(&mut self.needed, &old.needs, &built.needs) {
            units.extend([Unit::Clusters(name.clone()), Unit::Endpoints(name)]);
        }
        units.extend(count(&mut self.passed, &old.passed, &built.passed).map(Unit::Passed));
        units.extend(count(&mut self.named, &old.secrets, &built.secrets).map(Unit::Secret));
        for (key, resource) in &old.resources {
            touched.entry(key.clone()).or_insert_with(|| Some(Arc::clone(resource)));
            self.resources.remove(key);
        }
        for (key, resource) in &mut built.resources {
            let before = touched.entry(key.clone()).or_insert(None);
            // Whoever holds it need not be told again.
            if let Some(before) = before.as_ref().filter(|one| one.any == resource.any) {
                *resource = Arc::clone(before);
            }
            self.resources.insert(key.clone(), Arc::clone(resource));
        }
        self.units.insert(unit, built);
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, version, any: _ } = self;
        // Some of it is nobody's to see.
        f.debug_struct("Resource")
            .field("kind", kind)
            .field("name", name)
            .field("version", version)
            .finish_non_exhaustive()
    }
}

/// Whether a port says that HTTP is spoken there.
fn is_http(protocol: AppProtocol) -> bool {
    protocol != AppProtocol::Unknown && may_be_http(protocol)
}

fn may_be_tls(protocol: AppProtocol) -> bool {
    matches!(protocol, AppProtocol::Tls | AppProtocol::Unknown)
}

/// Counts who needs what; gives what came to be needed, or is no longer.
fn count<K: Ord + Clone>(
    all: &mut BTreeMap<K, usize>,
    old: &BTreeSet<K>,
    new: &BTreeSet<K>,
) -> impl Iterator<Item = K> + use<K> {
    let mut turned = Vec::new();
    for key in new.difference(old) {
        let count = all.entry(key.clone()).or_insert(0);
        *count += 1;
        if *count == 1 {
            turned.push(key.clone());
        }
    }
    for key in old.difference(new) {
        let Some(count) = all.get_mut(key) else { continue };
        *count -= 1;
        if *count == 0 {
            all.remove(key);
            turned.push(key.clone());
        }
    }
    turned.into_iter()
}

/// What may be spoken where a port says `protocol`.
fn may_be_http(protocol: AppProtocol) -> bool {
    match protocol {
        AppProtocol::Http1 | AppProtocol::Http2 | AppProtocol::Grpc | AppProtocol::Unknown => true,
        AppProtocol::Tcp | AppProtocol::Tls => false,
    }
}
