//! All policies, and which workloads they choose.
use super::{
    authorization,
    mesh::{Closing, MeshConfig},
    peer::{self, Demand},
    select::{Labels, Selector, Selectors},
    store::Store,
};
use crate::{
    object::{
        authorization_policy::Selects,
        peer_authentication::{Mode, PeerAuthentication},
    },
    problem::Problem,
};
use culvert_model::{authz::Authorization, name::ObjectName};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Every policy.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// Those with a selector, which is needed to take them away.
    selecting: HashMap<ObjectName, Arc<Selector>>,
    selectors: Selectors<ObjectName>,
    /// The modes in force in a namespace, without the mesh's.
    wide: HashMap<Arc<str>, Mode>,
    mesh_wide: Mode,
    demands: BTreeMap<ObjectName, Arc<Held>>,
    /// The `PeerAuthentication`s of a namespace of which something may have been told.
    told: HashMap<Arc<str>, Vec<ObjectName>>,
    demand_selectors: Selectors<ObjectName>,
}

/// What a `PeerAuthentication` with a selector came to.
#[derive(Debug)]
struct Held {
    policy: Arc<PeerAuthentication>,
    selector: Arc<Selector>,
    demand: Demand,
}

/// What a change of some policies has changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) policies: BTreeMap<ObjectName, Option<Arc<Authorization>>>,
    pub(super) closing: BTreeMap<ObjectName, Option<Arc<Closing>>>,
    pub(super) notes: Vec<(ObjectName, Vec<Problem>)>,
    /// Namespaces in which workloads may be chosen by others than before.
    pub(super) namespaces: BTreeSet<Arc<str>>,
}

impl Policies {
    /// Translates the `AuthorizationPolicy`s called `names` anew.
    pub(super) fn authorizations(
        &mut self,
        names: &BTreeSet<ObjectName>,
        store: &Store,
        (config, l7): (&MeshConfig, bool),
    ) -> Changed {
        let mut changed = Changed::default();
        for name in names {
            if let Some(selector) = self.selecting.remove(name) {
                self.selectors.remove(&name.namespace, name, &selector);
                changed.namespaces.insert(Arc::clone(&name.namespace));
            }
            let Some(policy) = store.authorization_policies.get(name) else {
                changed.policies.insert(name.clone(), None);
                changed.closing.insert(name.clone(), None);
                changed.notes.push((name.clone(), Vec::new()));
                continue;
            };
            let translated = authorization::translate(policy, &config.root_namespace, l7);
            if let (Some(_), Selects::Labels(labels)) = (&translated.policy, &policy.selects) {
                let selector = Arc::new(labels.clone());
                self.selectors.insert(&name.namespace, name.clone(), &selector);
                self.selecting.insert(name.clone(), selector);
                changed.namespaces.insert(Arc::clone(&name.namespace));
            }
            changed.policies.insert(name.clone(), translated.policy.map(Arc::new));
            changed.closing.insert(name.clone(), translated.closing.map(Arc::new));
            changed.notes.push((name.clone(), translated.notes));
        }
        changed
    }

    /// Works out anew what the `PeerAuthentication`s of some namespaces demand.
    pub(super) fn peers(
        &mut self,
        namespaces: &BTreeSet<Arc<str>>,
        store: &Store,
        config: &MeshConfig,
    ) -> Changed {
        let mut changed = Changed::default();
        let of = |namespace: &str| {
            store.peer_authentications.of(namespace).map(AsRef::as_ref).collect::<Vec<_>>()
        };
        let root = &config.root_namespace;
        self.mesh_wide = peer::wide(of(root)).unwrap_or_default();
        for namespace in namespaces {
            let here = of(namespace);
            // The root's own mode is the mesh's.
            let wide = peer::wide(here.iter().copied()).filter(|_| namespace != root);
            match wide {
                Some(mode) => self.wide.insert(Arc::clone(namespace), mode),
                None => self.wide.remove(namespace),
            };
            let first = ObjectName::new(Arc::clone(namespace), "");
            let held: Vec<ObjectName> = (self.demands.range(first..))
                .map(|(name, _)| name)
                .take_while(|name| name.namespace == *namespace)
                .cloned()
                .collect();
            for name in held {
                let Some(held) = self.demands.remove(&name) else { continue };
                self.demand_selectors.remove(namespace, &name, &held.selector);
                if let Demand::Own(policy) = &held.demand {
                    changed.policies.insert(policy.name.clone(), None);
                }
            }
            let gone = self.told.remove(namespace).unwrap_or_default();
            changed.notes.extend(gone.into_iter().map(|name| (name, Vec::new())));
            let names: Vec<_> = here.iter().map(|policy| policy.meta.name.clone()).collect();
            if !names.is_empty() {
                self.told.insert(Arc::clone(namespace), names);
            }
            for policy in store.peer_authentications.of(namespace) {
                let notes = peer::notes(policy, here.iter().copied(), root);
                changed.notes.push((policy.meta.name.clone(), notes));
                if !policy.selector.is_empty() && namespace != root {
                    self.hold(policy, &mut changed);
                }
            }
            changed.namespaces.insert(Arc::clone(namespace));
        }
        changed
    }

    fn hold(&mut self, policy: &Arc<PeerAuthentication>, changed: &mut Changed) {
        let name = &policy.meta.name;
        let demand = peer::demand(policy, self.wider(&name.namespace));
        if let Demand::Own(policy) = &demand {
            changed.policies.insert(policy.name.clone(), Some(Arc::new(policy.clone())));
        }
        let selector = Arc::new(policy.selector.clone());
        self.demand_selectors.insert(&name.namespace, name.clone(), &selector);
        let held = Held { policy: Arc::clone(policy), selector, demand };
        self.demands.insert(name.clone(), Arc::new(held));
    }

    /// Where `PeerAuthentication`s choose workloads.
    pub(super) fn demanding_namespaces(&self) -> impl Iterator<Item = Arc<str>> {
        let of_modes = self.wide.keys().chain(self.told.keys()).cloned();
        of_modes.chain(self.demands.keys().map(|name| Arc::clone(&name.namespace)))
    }

    /// The mode of workloads of a namespace that nothing chooses.
    fn wider(&self, namespace: &str) -> Mode {
        self.wide.get(namespace).copied().unwrap_or_default().or(self.mesh_wide)
    }

    /// The authorization policies that choose a workload.
    pub(super) fn choosing(
        &self,
        namespace: &str,
        labels: &Labels<'_>,
        config: &MeshConfig,
    ) -> Arc<[ObjectName]> {
        let mut all = self.selectors.choosing(namespace, labels);
        if *namespace != *config.root_namespace {
            all.extend(self.selectors.choosing(&config.root_namespace, labels));
            all.sort_unstable();
        }
        all.into()
    }

    /// The policies that refuse plain text to a workload.
    pub(super) fn demanding(
        &self,
        namespace: &str,
        labels: &Labels<'_>,
        config: &MeshConfig,
    ) -> Box<[ObjectName]> {
        let chosen = self.demand_selectors.choosing(namespace, labels);
        let held = chosen.iter().filter_map(|name| self.demands.get(name));
        let oldest = held.min_by(|a, b| a.policy.meta.seniority().cmp(&b.policy.meta.seniority()));
        match oldest.map(|held| &held.demand) {
            Some(Demand::Nothing) => Box::default(),
            Some(Demand::Own(policy)) => [policy.name.clone()].into(),
            Some(Demand::Everywhere) => [peer::static_name(config)].into(),
            None if self.wider(namespace).is_strict() => [peer::static_name(config)].into(),
            None => Box::default(),
        }
    }
}
