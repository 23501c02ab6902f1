//! What L7 is told, step by step: services and workloads as they were compiled, the plan when
//! something changed that it is made of, and what must pass L7 for that.
//!
//! A pod that comes or goes has nothing planned anew. Of a route of Istio that changed, the services
//! are planned that it speaks of; all of them when it is which services there are, or what
//! gateways listen on; those of the Gateway API when one of theirs did, a service,
//! a namespace or a secret; each policy by itself.
use super::{
    emit::{
        asks,
        scene::{Changed, Dep, Edit, Scene},
    },
    gateway_api::{self, Outcome, status::Standing},
    istio::{self, Asked, hosts::Hosts},
    join::{Shadowed, join},
    plan::{Plan, policy::Policy},
    told,
};
use crate::{
    compile::{
        incremental::{Changes, Compiler, Looked},
        registry::Registry,
        store::Store,
        touched::Touched,
    },
    object::{Objects, authorization_policy::Selects},
    problem::Problem,
};
use culvert_model::{
    l7::L7Ports,
    name::{ObjectName, ServiceName, WorkloadUid},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

/// What names of services end in, of Kubernetes.
const DOMAIN: &str = "cluster.local";

/// What L7 is told, as it was compiled last.
#[derive(Debug, Default)]
pub(in crate::compile) struct L7 {
    scene: Scene,
    hosts: Hosts,
    istio: Asked,
    gateway_api: Plan,
    standings: Arc<[Standing]>,
    policies: BTreeMap<ObjectName, Spoken>,
    shadowed: BTreeSet<Shadowed>,
    /// What is to be told of all that.
    notes: Vec<Problem>,
    /// The same of services with ports that do not say what is spoken there, or where TLS may be
    /// spoken twice.
    unclear: BTreeMap<ServiceName, Vec<Problem>>,
    /// What must pass: of services and of workloads, where anything must.
    services: BTreeMap<ServiceName, L7Ports>,
    workloads: BTreeMap<WorkloadUid, L7Ports>,
    effort: Effort,
}

/// What an `AuthorizationPolicy` comes to.
#[derive(Debug, Default)]
struct Spoken {
    policies: Vec<Arc<Policy>>,
    notes: Vec<Problem>,
}

/// How often something was planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Everything of Istio but policies.
    pub istio: usize,
    /// Single services that objects of Istio ask something else of.
    pub services: usize,
    /// Everything of the Gateway API.
    pub gateway_api: usize,
    /// Single policies.
    pub policies: usize,
    /// Services and workloads of which it was asked what must pass L7.
    pub asked: usize,
}

/// What must pass L7 otherwise than before.
#[derive(Default)]
struct Passing {
    services: BTreeMap<ServiceName, L7Ports>,
    workloads: BTreeMap<WorkloadUid, L7Ports>,
}

impl Compiler {
    /// What L7 is made of, as far as anybody serves it.
    #[must_use]
    pub fn scene(&self) -> &Scene {
        &self.l7.scene
    }

    /// What became of objects of the Gateway API.
    #[must_use]
    pub fn standings(&self) -> &Arc<[Standing]> {
        &self.l7.standings
    }

    /// How much was planned so far.
    #[must_use]
    pub fn effort(&self) -> Effort {
        self.l7.effort
    }

    /// Follows what was compiled.
    pub(in crate::compile) fn plan(&mut self, touched: &Touched, changes: &mut Changes) {
        let looked = mem::take(&mut self.looked);
        if !self.settings.l7 {
            return;
        }
        let mut l7 = mem::take(&mut self.l7);
        let planned = l7.replan(touched, &self.store, &self.mesh().config.root_namespace);
        let mut deps = Changed::new();
        let mut push = |edit: Edit| {
            let changed = l7.scene.apply(&edit);
            if !changed.is_empty() {
                changes.l7.push(edit);
                deps.extend(changed);
            }
        };
        let config = &self.mesh().config;
        push(Edit::Mesh(Arc::clone(&config.root_namespace), config.certificates));
        for name in &looked.services {
            push(Edit::Service(name.clone(), self.service_facts(name).map(Arc::new)));
        }
        for (uid, key) in &looked.workloads {
            push(Edit::Workload(uid.clone(), self.workload_facts(uid, key).map(Arc::new)));
        }
        for name in &touched.secrets {
            push(Edit::Secret(name.clone(), self.store.secrets.get(name).cloned()));
        }
        for name in &touched.roots {
            push(Edit::Roots(name.clone(), self.store.roots.get(name).cloned()));
        }
        if let Some(plan) = planned {
            push(Edit::Plan(Arc::new(plan)));
        }
        let Passing { services, workloads } = l7.pass(looked, &deps, &self.registry);
        self.l7 = l7;
        for (name, ports) in services {
            self.pass_service(&name, ports, changes);
        }
        for (uid, ports) in workloads {
            self.pass_member(&uid, ports, changes);
        }
    }

    /// Which connections to a service must pass L7.
    pub(in crate::compile) fn l7_of_service(&self, name: &ServiceName) -> L7Ports {
        self.l7.services.get(name).cloned().unwrap_or_default()
    }

    /// Which connections to a workload must.
    pub(in crate::compile) fn l7_of_workload(&self, uid: &WorkloadUid) -> L7Ports {
        self.l7.workloads.get(uid).cloned().unwrap_or_default()
    }

    /// What is to be told of a policy, as L7 has it.
    pub(in crate::compile) fn plan_notes_of(&self, policy: &ObjectName) -> &[Problem] {
        self.l7.policies.get(policy).map(|spoken| spoken.notes.as_slice()).unwrap_or_default()
    }

    /// What is to be told of what was planned.
    pub(in crate::compile) fn plan_notes(&self) -> Vec<Problem> {
        if !self.settings.l7 {
            return told::unserved(&self.store).collect();
        }
        self.l7.notes.iter().chain(self.l7.unclear.values().flatten()).cloned().collect()
    }
}

impl L7 {
    /// The plan, if it may be another now.
    fn replan(&mut self, touched: &Touched, store: &Store, root: &Arc<str>) -> Option<Plan> {
        let mut is_new = false;
        let mut has_hosts = false;
        if touched.renew.hosts {
            let services = store.services.all().map(AsRef::as_ref);
            let entries = store.service_entries.all().map(AsRef::as_ref);
            let hosts = Hosts::of(services, entries);
            has_hosts = hosts != self.hosts;
            self.hosts = hosts;
        }
        is_new |= self.ask(touched, has_hosts, store, root);
        if touched.renew.gateway_api {
            let Outcome { plan, standings } = gateway_api::compile(&of_gateway_api(store), DOMAIN);
            self.effort.gateway_api += 1;
            is_new |= plan != self.gateway_api;
            self.gateway_api = plan;
            if *self.standings != *standings {
                self.standings = standings.into();
            }
        }
        let mut names = touched.authorization_policies.clone();
        if has_hosts {
            let all = store.authorization_policies.all();
            let named = all.filter(|policy| matches!(policy.selects, Selects::Targets(_)));
            names.extend(named.map(|policy| policy.meta.name.clone()));
        }
        for name in &names {
            is_new = true;
            self.effort.policies += 1;
            match store.authorization_policies.get(name) {
                None => drop(self.policies.remove(name)),
                Some(policy) => {
                    let mut notes = Vec::new();
                    let policies = istio::policies(policy, &self.hosts, &mut notes);
                    let object = format!("AuthorizationPolicy/{name}");
                    let notes = notes.into_iter().map(|note: Problem| note.of(&object)).collect();
                    let policies = policies.into_iter().map(Arc::new).collect();
                    self.policies.insert(name.clone(), Spoken { policies, notes });
                }
            }
        }
        let plan = is_new.then(|| {
            let policies = self.policies.values().flat_map(|spoken| &spoken.policies);
            let (mut plan, shadowed) = join(&self.istio, &self.gateway_api, policies);
            plan.keep(self.scene.plan());
            self.shadowed = shadowed;
            plan
        });
        // Where something was written may be another though the plan is not.
        if is_new || touched.asks() || touched.renew.gateway_api {
            self.notes = self.told(store);
        }
        plan
    }

    /// What Istio's objects ask for; whether it is something else than before.
    fn ask(&mut self, touched: &Touched, has_hosts: bool, store: &Store, root: &str) -> bool {
        if !has_hosts && !touched.asks() {
            return false;
        }
        let objects = istio::Objects {
            virtual_services: store.virtual_services.all().map(AsRef::as_ref).collect(),
            destination_rules: store.destination_rules.all().map(AsRef::as_ref).collect(),
            gateways: store.istio_gateways.all().map(AsRef::as_ref).collect(),
            hosts: &self.hosts,
            root,
            only: None,
        };
        let Touched { virtual_services, destination_rules, renew, .. } = touched;
        if !has_hosts && !renew.istio {
            let changed = istio::Changed { virtual_services, destination_rules };
            if let Some(others) = self.istio.follow(&objects, changed) {
                self.effort.services += others;
                return others > 0;
            }
        }
        self.istio = istio::asked(&objects);
        self.effort.istio += 1;
        true
    }

    fn told(&self, store: &Store) -> Vec<Problem> {
        let mut notes = self.istio.notes.clone();
        notes.extend(self.policies.values().flat_map(|spoken| &spoken.notes).cloned());
        notes.extend(told::standings(&self.standings, store));
        notes.extend(told::unheeded(&self.standings, store));
        notes.extend(told::shadowed(&self.shadowed, store));
        notes
    }

    /// Finds out again what must pass, of what may be another now.
    fn pass(&mut self, looked: Looked, deps: &Changed, registry: &Registry) -> Passing {
        let Looked { mut services, workloads } = looked;
        let mut workloads: BTreeSet<WorkloadUid> = workloads.into_keys().collect();
        for dep in deps {
            match dep {
                Dep::Service(name) => {
                    services.insert(name.clone());
                    workloads.extend(self.scene.endpoints_of(name).cloned());
                }
                Dep::Policies(namespace) => {
                    workloads.extend(self.scene.concerned(namespace).cloned());
                }
                Dep::Endpoints(_)
                | Dep::Host(_)
                | Dep::Door(_)
                | Dep::Pods(_)
                | Dep::Account(_)
                | Dep::Gateway(_)
                | Dep::Chosen
                | Dep::Secret(_)
                | Dep::Roots(_) => {}
            }
        }
        self.effort.asked += services.len() + workloads.len();
        let mut passing = Passing::default();
        for name in services {
            let unclear = asks::unclear(&name, &self.scene);
            let is_unreached = asks::is_unreached(&name, &self.scene);
            let draft = registry.get(&name);
            let notes = draft.map_or_else(Vec::new, |draft| match is_unreached {
                true => vec![told::unreached(&name, &draft.origin)],
                false => {
                    let twofold = asks::twofold(&name, &self.scene);
                    let mut notes = told::twofold(&name, &twofold, &draft.origin);
                    if !unclear.is_empty() {
                        notes.push(told::unclear(&name, &unclear, &draft.origin));
                    }
                    notes
                }
            });
            match notes.is_empty() {
                true => drop(self.unclear.remove(&name)),
                false => drop(self.unclear.insert(name.clone(), notes)),
            }
            let ports = asks::of_service(&name, &self.scene);
            if replace(&mut self.services, &name, &ports) {
                passing.services.insert(name, ports);
            }
        }
        for uid in workloads {
            let ports = asks::of_workload(&uid, &self.scene);
            if replace(&mut self.workloads, &uid, &ports) {
                passing.workloads.insert(uid, ports);
            }
        }
        passing
    }
}

/// Says whether it is another than before; what is empty is not kept.
fn replace<K: Ord + Clone>(all: &mut BTreeMap<K, L7Ports>, key: &K, ports: &L7Ports) -> bool {
    let before = match ports.is_empty() {
        true => all.remove(key),
        false => all.insert(key.clone(), ports.clone()),
    };
    before.unwrap_or_default() != *ports
}

/// What its objects are planned with.
fn of_gateway_api(store: &Store) -> Objects {
    Objects {
        namespaces: store.namespaces.all().cloned().collect(),
        services: store.services.all().cloned().collect(),
        secrets: store.secrets.all().cloned().collect(),
        roots: store.roots.all().cloned().collect(),
        gateway_classes: store.gateway_classes.all().cloned().collect(),
        kubernetes_gateways: store.kubernetes_gateways.all().cloned().collect(),
        http_routes: store.http_routes.all().cloned().collect(),
        grpc_routes: store.grpc_routes.all().cloned().collect(),
        tls_routes: store.tls_routes.all().cloned().collect(),
        tcp_routes: store.tcp_routes.all().cloned().collect(),
        reference_grants: store.reference_grants.all().cloned().collect(),
        backend_tls_policies: store.backend_tls_policies.all().cloned().collect(),
        ..Objects::default()
    }
}
