//! What of a scene is another: told by whoever compiles, to whoever has a scene of their own.
use super::{
    super::super::plan::Plan, Certificates, Changed, Dep, Scene, ServiceFacts, WorkloadFacts,
};
use crate::object::{roots::Roots, secret::Secret};
use culvert_model::name::{ObjectName, ServiceName, WorkloadUid};
use std::{collections::BTreeMap, sync::Arc};

/// One thing that is another than before; `None`: it is no longer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The namespace of what holds everywhere, and what applications are told of certificates.
    Mesh(Arc<str>, Certificates),
    Service(ServiceName, Option<Arc<ServiceFacts>>),
    Workload(WorkloadUid, Option<Arc<WorkloadFacts>>),
    Plan(Arc<Plan>),
    Secret(ObjectName, Option<Arc<Secret>>),
    Roots(ObjectName, Option<Arc<Roots>>),
}

impl Scene {
    /// Takes an edit in; gives what depends on it.
    pub fn apply(&mut self, edit: &Edit) -> Changed {
        match edit {
            Edit::Mesh(root, certificates) => self.set_mesh(root, *certificates),
            Edit::Service(name, facts) => self.set_service(name, facts.clone()),
            Edit::Workload(uid, facts) => self.set_workload(uid, facts.clone()),
            Edit::Plan(plan) => self.set_plan(Arc::clone(plan)),
            Edit::Secret(name, secret) => {
                set(&mut self.secrets, name, secret.as_ref(), Dep::Secret)
            }
            Edit::Roots(name, roots) => set(&mut self.roots, name, roots.as_ref(), Dep::Roots),
        }
    }

    /// What takes away from a scene like this one all that `other` does not have, and has both plan
    /// the same.
    pub(crate) fn without(&self, other: &Self) -> Vec<Edit> {
        let services = gone(&self.services, &other.services);
        let workloads = gone(&self.workloads, &other.workloads);
        let secrets = gone(&self.secrets, &other.secrets);
        let roots = gone(&self.roots, &other.roots);
        let services = services.map(|name| Edit::Service(name.clone(), None));
        let workloads = workloads.map(|uid| Edit::Workload(uid.clone(), None));
        let secrets = secrets.map(|name| Edit::Secret(name.clone(), None));
        let roots = roots.map(|name| Edit::Roots(name.clone(), None));
        let mesh = Edit::Mesh(Arc::clone(&other.root_namespace), other.certificates);
        let rest = [Edit::Plan(Arc::clone(&other.plan)), mesh];
        services.chain(workloads).chain(secrets).chain(roots).chain(rest).collect()
    }

    fn set_mesh(&mut self, root: &Arc<str>, certificates: Certificates) -> Changed {
        let before = std::mem::replace(&mut self.certificates, certificates);
        if self.root_namespace == *root && before == certificates {
            return Changed::new();
        }
        let before = std::mem::replace(&mut self.root_namespace, Arc::clone(root));
        // Who has looked at policies, as everybody does who looks at pods, has looked at the root's.
        [Dep::Policies(before), Dep::Policies(Arc::clone(root))].into()
    }
}

fn set<T: PartialEq>(
    all: &mut BTreeMap<ObjectName, Arc<T>>,
    name: &ObjectName,
    new: Option<&Arc<T>>,
    dep: fn(ObjectName) -> Dep,
) -> Changed {
    if all.get(name) == new {
        return Changed::new();
    }
    match new {
        Some(new) => drop(all.insert(name.clone(), Arc::clone(new))),
        None => drop(all.remove(name)),
    }
    [dep(name.clone())].into()
}

fn gone<'a, K: Ord, V>(
    all: &'a BTreeMap<K, V>,
    other: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    all.keys().filter(|key| !other.contains_key(key))
}
