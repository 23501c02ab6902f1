//! Compiles what changed, and nothing else.
//!
//! One way for both: a whole compile is a change from nothing. Objects are kept by name; what a
//! change touches is worked out level by level (settings, services, policies, workloads), each
//! telling the next where workloads may mean something else than before.
use super::{
    Settings,
    http::{emit::scene::Edit, steps::L7},
    member::World,
    mesh::{Closing, Expected, Mesh, Offered, Wanted},
    policies::Policies,
    registry::Registry,
    root,
    store::{Diffs, Key, Kind, Store},
    told::Level,
    touched::Touched,
    unique::Unique,
};
use crate::{
    object::{Objects, Skipped},
    problem::{Problem, Severity},
    status::Counts,
};
use culvert_model::{
    authz::Authorization,
    l7::L7Ports,
    name::{ObjectName, ServiceName, WorkloadUid},
    pod::LocalPod,
    service::Service,
};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    mem,
    sync::Arc,
};

/// Compiles sets of objects, one after the other.
#[derive(Debug)]
pub struct Compiler {
    pub(super) settings: Settings,
    /// Those that were applied last, where whole sets are.
    objects: Objects,
    pub(super) store: Store,
    pub(super) registry: Registry,
    pub(super) policies: Policies,
    pub(super) listing: Listing,
    mesh: Mesh,
    /// Which objects made which members.
    pub(super) made: BTreeMap<Key, Vec<WorkloadUid>>,
    pub(super) addresses: Unique,
    pub(super) netns: Unique,
    /// What is to be told of an object, level by level.
    pub(super) told: BTreeMap<(Level, Key), Vec<Problem>>,
    /// What was looked at in a step, for L7 to follow.
    pub(super) looked: Looked,
    pub(super) l7: L7,
}

/// Services and workloads that may be something else than before.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) services: BTreeSet<ServiceName>,
    /// And which object makes them.
    pub(super) workloads: BTreeMap<WorkloadUid, Key>,
}

/// What a step changed; `None` is what is no longer there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub config: bool,
    pub local: bool,
    pub members: BTreeMap<WorkloadUid, Option<Arc<Wanted>>>,
    pub expected: BTreeMap<WorkloadUid, Option<Arc<Expected>>>,
    pub services: BTreeMap<ServiceName, Option<Arc<Offered>>>,
    pub policies: BTreeMap<ObjectName, Option<Arc<Authorization>>>,
    pub closing: BTreeMap<ObjectName, Option<Arc<Closing>>>,
    /// What L7 is made of; nothing where nobody serves it.
    pub l7: Vec<Edit>,
}

/// Which slices list a pod.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) by_pod: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    by_slice: BTreeMap<ObjectName, Vec<ObjectName>>,
}

impl Compiler {
    /// Without any objects yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            objects: Objects::default(),
            store: Store::default(),
            registry: Registry::default(),
            policies: Policies::default(),
            listing: Listing::default(),
            mesh: Mesh::default(),
            made: BTreeMap::new(),
            addresses: Unique::new("the address"),
            netns: Unique::new("the network namespace"),
            told: BTreeMap::new(),
            looked: Looked::default(),
            l7: L7::default(),
        }
    }

    /// What the objects mean that were applied last.
    #[must_use]
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    #[must_use]
    pub fn into_mesh(self) -> Mesh {
        self.mesh
    }

    /// Takes `objects` in the place of those before.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them, sorted by place. Nothing has changed then: half a set
    /// could leave pods out of the mesh.
    pub fn apply(&mut self, objects: &Objects) -> Result<Changes, Vec<Problem>> {
        let before = mem::take(&mut self.objects);
        let changes = self.change(&before, objects, &objects.skipped);
        self.objects = if changes.is_ok() { objects.clone() } else { before };
        changes
    }

    /// Takes `new` in the place of `gone`, of a set that has these `skipped`.
    ///
    /// # Errors
    ///
    /// As of [`apply`](Self::apply): everything that is wrong with the set.
    pub fn change<'a>(
        &mut self,
        gone: &Objects,
        new: &Objects,
        skipped: impl IntoIterator<Item = &'a Skipped>,
    ) -> Result<Changes, Vec<Problem>> {
        let is_first = self.is_new();
        let diffs = Diffs::between(gone, new);
        let changes = self.step(&diffs);
        let mut problems = self.problems();
        problems.extend(skipped.into_iter().filter_map(Skipped::note));
        problems.sort();
        problems.dedup();
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            if is_first {
                *self = Self::new(self.settings.clone());
            } else {
                self.step(&diffs.reversed());
            }
            return Err(problems);
        }
        self.mesh.notes = problems;
        Ok(changes)
    }

    /// Takes `new` in the place of `gone`, of a set whose objects come one by one.
    ///
    /// What is wrong with one holds up no other: it is told, and means as much as it can.
    /// A compiler is used either so, or by [`change`](Self::change), or by [`apply`](Self::apply).
    pub fn replace(&mut self, gone: &Objects, new: &Objects) -> Changes {
        let changes = self.step(&Diffs::of(gone, new));
        let mut notes = self.problems();
        notes.sort();
        notes.dedup();
        self.mesh.notes = notes;
        changes
    }

    fn step(&mut self, diffs: &Diffs) -> Changes {
        let mut changes = Changes::default();
        let mut touched = Touched::of(&mut self.store, diffs);
        self.configure(&mut touched, &mut changes);
        self.tell_namespaces(&touched);
        self.offer(&mut touched, &mut changes);
        self.list(&mut touched);
        self.judge(&mut touched, &mut changes);
        self.populate(&mut touched, &mut changes);
        self.plan(&touched, &mut changes);
        changes
    }

    fn configure(&mut self, touched: &mut Touched, changes: &mut Changes) {
        let (config, notes) = root::config(&self.store, &self.settings);
        let key = (Kind::Settings, ObjectName::new("", ""));
        self.tell(Level::Settings, key, notes);
        if config != *self.mesh.config || self.is_new() {
            self.mesh.config = Arc::new(config);
            changes.config = true;
            touched.everything(&self.store);
        }
    }

    /// How much there is.
    pub(crate) fn counts(&self) -> Counts {
        let Store { namespaces, pods, .. } = &self.store;
        let local = self.mesh.local.pods.len();
        Counts { namespaces: namespaces.len(), pods: pods.len(), local, skipped: 0 }
    }

    /// Whether nothing was applied so far: one policy is always there.
    fn is_new(&self) -> bool {
        self.mesh.policies.is_empty()
    }

    /// What everything that is looked up by workloads is now.
    pub(super) fn world(&self) -> World<'_> {
        World {
            settings: &self.settings,
            config: &self.mesh.config,
            store: &self.store,
            registry: &self.registry,
            policies: &self.policies,
            listing: &self.listing.by_pod,
        }
    }

    /// Replaces the members that an object makes.
    pub(super) fn set_members(&mut self, key: Key, wanted: Vec<Wanted>, changes: &mut Changes) {
        let uids: Vec<_> = wanted.iter().map(|one| one.member.uid.clone()).collect();
        let looked = uids.iter().chain(self.made.get(&key).into_iter().flatten());
        self.looked.workloads.extend(looked.map(|uid| (uid.clone(), key.clone())));
        let before = match uids.is_empty() {
            true => self.made.remove(&key),
            false => self.made.insert(key, uids.clone()),
        };
        for gone in before.into_iter().flatten().filter(|uid| !uids.contains(uid)) {
            self.mesh.members.remove(&gone);
            changes.members.insert(gone, None);
        }
        for mut one in wanted {
            let uid = one.member.uid.clone();
            let l7 = self.l7_of_workload(&uid);
            if !l7.is_empty() {
                Arc::make_mut(&mut one.member).l7 = l7;
            }
            change(&mut self.mesh.members, &mut changes.members, uid, Some(Arc::new(one)));
        }
    }

    pub(super) fn set_local(
        &mut self,
        uid: &WorkloadUid,
        local: Option<LocalPod>,
        changes: &mut Changes,
    ) {
        let pods = &mut self.mesh.local.pods;
        changes.local |= match local {
            None => pods.remove(uid).is_some(),
            Some(local) if pods.get(uid).is_some_and(|before| **before == local) => false,
            Some(local) => {
                pods.insert(uid.clone(), Arc::new(local));
                true
            }
        };
    }

    pub(super) fn set_expected(
        &mut self,
        uid: WorkloadUid,
        expected: Option<Expected>,
        changes: &mut Changes,
    ) {
        change(&mut self.mesh.expected, &mut changes.expected, uid, expected.map(Arc::new));
    }

    pub(super) fn set_service(
        &mut self,
        name: ServiceName,
        mut offered: Option<Arc<Offered>>,
        changes: &mut Changes,
    ) {
        if let Some(offered) = &mut offered {
            *offered = passing(offered, self.l7_of_service(&name));
        }
        change(&mut self.mesh.services, &mut changes.services, name, offered);
    }

    /// Has connections to a service pass L7, or no longer.
    pub(super) fn pass_service(&mut self, name: &ServiceName, l7: L7Ports, changes: &mut Changes) {
        let Some(offered) = self.mesh.services.get(name) else { return };
        let offered = passing(offered, l7);
        change(&mut self.mesh.services, &mut changes.services, name.clone(), Some(offered));
    }

    /// The same of a workload.
    pub(super) fn pass_member(&mut self, uid: &WorkloadUid, l7: L7Ports, changes: &mut Changes) {
        let Some(wanted) = self.mesh.members.get(uid) else { return };
        let mut wanted = Wanted::clone(wanted);
        Arc::make_mut(&mut wanted.member).l7 = l7;
        change(&mut self.mesh.members, &mut changes.members, uid.clone(), Some(Arc::new(wanted)));
    }

    pub(super) fn set_policy(
        &mut self,
        name: ObjectName,
        policy: Option<Arc<Authorization>>,
        changes: &mut Changes,
    ) {
        change(&mut self.mesh.policies, &mut changes.policies, name, policy);
    }

    pub(super) fn set_closing(
        &mut self,
        name: ObjectName,
        closing: Option<Arc<Closing>>,
        changes: &mut Changes,
    ) {
        change(&mut self.mesh.closing, &mut changes.closing, name, closing);
    }
}

impl Listing {
    /// Notes which pods a slice lists; gives those it listed before.
    pub(super) fn replace(&mut self, slice: &ObjectName, pods: Vec<ObjectName>) -> Vec<ObjectName> {
        let before = self.by_slice.remove(slice).unwrap_or_default();
        for pod in &before {
            let Some(slices) = self.by_pod.get_mut(pod) else { continue };
            slices.remove(slice);
            if slices.is_empty() {
                self.by_pod.remove(pod);
            }
        }
        for pod in &pods {
            self.by_pod.entry(pod.clone()).or_default().insert(slice.clone());
        }
        if !pods.is_empty() {
            self.by_slice.insert(slice.clone(), pods);
        }
        before
    }
}

/// The same service, of which these connections must pass L7.
fn passing(offered: &Arc<Offered>, l7: L7Ports) -> Arc<Offered> {
    if offered.service.l7 == l7 {
        return Arc::clone(offered);
    }
    let Offered { service, origin } = &**offered;
    let service = Arc::new(Service { l7, ..Service::clone(service) });
    Arc::new(Offered { service, origin: Arc::clone(origin) })
}

/// Replaces what is called `key`, and notes it when it is something else than before.
fn change<K: Ord + Clone, V: PartialEq>(
    all: &mut BTreeMap<K, Arc<V>>,
    changes: &mut BTreeMap<K, Option<Arc<V>>>,
    key: K,
    new: Option<Arc<V>>,
) {
    match (all.entry(key.clone()), new) {
        (Entry::Vacant(_), None) => {}
        (Entry::Vacant(free), Some(new)) => {
            free.insert(Arc::clone(&new));
            changes.insert(key, Some(new));
        }
        (Entry::Occupied(taken), None) => {
            taken.remove();
            changes.insert(key, None);
        }
        (Entry::Occupied(taken), Some(new)) if *taken.get() == new => {}
        (Entry::Occupied(mut taken), Some(new)) => {
            taken.insert(Arc::clone(&new));
            changes.insert(key, Some(new));
        }
    }
}
