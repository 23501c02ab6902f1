//! A look at a scene that notes what it sees.
use super::{
    super::plan::{
        Labels, ServicePlan,
        gateway::{Chosen, GatewayPlan},
        policy::Policy,
    },
    scene::{Dep, Door, Place, Scene, ServiceFacts, WorkloadFacts},
};
use crate::{
    compile::mesh::Certificates,
    object::{roots::Roots, secret::Secret},
};
use culvert_model::name::{ObjectName, ServiceName, WorkloadUid};
use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

/// A look at a scene.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    scene: &'a Scene,
    seen: RefCell<BTreeSet<Dep>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(scene: &'a Scene) -> Self {
        Self { scene, seen: RefCell::default() }
    }

    /// What was looked at.
    pub(super) fn into_seen(self) -> BTreeSet<Dep> {
        self.seen.into_inner()
    }

    fn see(&self, dep: Dep) {
        self.seen.borrow_mut().insert(dep);
    }

    pub(super) fn service(&self, name: &ServiceName) -> Option<&'a Arc<ServiceFacts>> {
        self.see(Dep::Service(name.clone()));
        self.scene.services.get(name)
    }

    pub(super) fn service_plan(&self, name: &ServiceName) -> Option<&'a ServicePlan> {
        self.see(Dep::Service(name.clone()));
        self.scene.plan.services.get(name).map(AsRef::as_ref)
    }

    /// Where clients connect to a service.
    pub(super) fn doors(&self, name: &ServiceName) -> BTreeSet<Door> {
        self.see(Dep::Service(name.clone()));
        self.scene.doors_of.get(name).cloned().unwrap_or_default()
    }

    /// Who listens at a door.
    pub(super) fn behind(&self, door: Door) -> impl Iterator<Item = &'a ServiceName> {
        self.see(Dep::Door(door));
        self.scene.doors.get(&door).into_iter().flatten()
    }

    /// Whether a host's name alone means another service for clients of `namespace`.
    pub(super) fn is_shared(&self, name: &ServiceName, namespace: &str) -> bool {
        self.see(Dep::Host(Arc::clone(&name.hostname)));
        let Some(namespaces) = self.scene.hosts.get(&name.hostname) else { return false };
        let meant = namespaces.get(namespace).or_else(|| namespaces.first());
        meant.is_some_and(|meant| *meant != name.namespace)
    }

    pub(super) fn endpoints(
        &self,
        name: &ServiceName,
    ) -> impl Iterator<Item = (&'a WorkloadUid, &'a Arc<WorkloadFacts>)> + use<'a> {
        self.see(Dep::Endpoints(name.clone()));
        let uids = self.scene.endpoints.get(name).into_iter().flatten();
        uids.filter_map(|uid| Some((uid, self.scene.workloads.get(uid)?)))
    }

    /// The workloads of a namespace on a node.
    pub(super) fn pods(
        &self,
        place: &Place,
    ) -> impl Iterator<Item = &'a Arc<WorkloadFacts>> + use<'a> {
        self.see(Dep::Pods(place.clone()));
        let uids = self.scene.pods.get(place).into_iter().flatten();
        uids.filter_map(|uid| self.scene.workloads.get(uid))
    }

    /// What is said for a gateway by its name.
    pub(super) fn gateway(&self, name: &ObjectName) -> Option<&'a GatewayPlan> {
        self.see(Dep::Gateway(name.clone()));
        self.scene.plan.gateways.get(name).map(AsRef::as_ref)
    }

    pub(super) fn roots(&self, name: &ObjectName) -> Option<&'a Roots> {
        self.see(Dep::Roots(name.clone()));
        self.scene.roots.get(name).map(AsRef::as_ref)
    }

    /// Labels of the pods whose service account is called so.
    pub(super) fn labels(&self, account: &ObjectName) -> Labels {
        self.see(Dep::Account(account.clone()));
        let first = (Arc::clone(&account.namespace), Arc::from(""));
        let here = self.scene.pods.range(first..);
        let here = here.take_while(|((namespace, _), _)| *namespace == account.namespace);
        let all = here.flat_map(|(_, uids)| uids).filter_map(|uid| self.scene.workloads.get(uid));
        let own = all.filter(|pod| pod.account() == *account);
        own.flat_map(|pod| (*pod.labels).clone()).collect()
    }

    /// What is said for one that has these labels, or has the name of who says it; the oldest first.
    pub(super) fn chosen(&self, name: &ObjectName, labels: &Labels) -> Vec<&'a Chosen> {
        self.see(Dep::Chosen);
        let all = self.scene.plan.chosen.iter();
        let mut all: Vec<_> = all.filter(|(of, one)| *of == name || one.is_for(labels)).collect();
        all.sort_by_key(|(of, one)| (&one.since, *of));
        all.into_iter().map(|(_, one)| &**one).collect()
    }

    pub(super) fn secret(&self, name: &ObjectName) -> Option<&'a Secret> {
        self.see(Dep::Secret(name.clone()));
        self.scene.secrets.get(name).map(AsRef::as_ref)
    }

    /// What applications are told of their clients' certificates; who asks for policies hears when it
    /// changes.
    pub(super) fn certificates(&self) -> Certificates {
        self.scene.certificates
    }

    /// Those that may be about something of `namespace`: the root's, and its own.
    pub(super) fn policies(
        &self,
        namespace: &Arc<str>,
    ) -> impl Iterator<Item = &'a Policy> + use<'a> {
        let root = &self.scene.root_namespace;
        self.see(Dep::Policies(Arc::clone(root)));
        self.see(Dep::Policies(Arc::clone(namespace)));
        let own = (root != namespace).then(|| self.scene.policies.get(namespace));
        let all = self.scene.policies.get(root).into_iter().chain(own.flatten());
        all.flatten().map(AsRef::as_ref)
    }
}
