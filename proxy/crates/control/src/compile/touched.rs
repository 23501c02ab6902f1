//! Where a change may matter.
use super::store::{Diffs, Names, Object, Shelf, Store};
use culvert_model::name::ObjectName;
use std::{collections::BTreeSet, sync::Arc};

/// Objects and namespaces that have to be looked at again.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Namespaces that changed themselves.
    pub(super) namespaces: BTreeSet<Arc<str>>,
    pub(super) services: BTreeSet<ObjectName>,
    pub(super) service_entries: BTreeSet<ObjectName>,
    pub(super) slices: BTreeSet<ObjectName>,
    pub(super) pods: BTreeSet<ObjectName>,
    pub(super) workload_entries: BTreeSet<ObjectName>,
    pub(super) authorization_policies: BTreeSet<ObjectName>,
    /// Namespaces of which the `PeerAuthentication`s changed.
    pub(super) peers: BTreeSet<Arc<str>>,
    /// Machines that may be somewhere else.
    pub(super) hosts: BTreeSet<Arc<str>>,
    /// Namespaces of which every workload may mean something else.
    pub(super) within: BTreeSet<Arc<str>>,
    /// Every workload of every namespace may.
    pub(super) everywhere: bool,
    pub(super) virtual_services: BTreeSet<ObjectName>,
    pub(super) destination_rules: BTreeSet<ObjectName>,
    pub(super) renew: Renew,
    pub(super) secrets: BTreeSet<ObjectName>,
    pub(super) roots: BTreeSet<ObjectName>,
}

/// What of L7 is to be planned anew, all of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Renew {
    pub(super) istio: bool,
    pub(super) gateway_api: bool,
    /// Which services there are.
    pub(super) hosts: bool,
}

impl Touched {
    /// Takes a change into the store.
    pub(super) fn of(store: &mut Store, diffs: &Diffs) -> Self {
        let name = |name: ObjectName| name.name;
        let names = store.change(diffs);
        let renew = Renew::of(&names);
        let namespaces: BTreeSet<_> = names.namespaces.into_iter().map(name).collect();
        Self {
            within: namespaces.clone(),
            namespaces,
            hosts: names.hosts.into_iter().map(name).collect(),
            services: names.services,
            service_entries: names.service_entries,
            slices: names.slices,
            pods: names.pods,
            workload_entries: names.workload_entries,
            authorization_policies: names.authorization_policies,
            peers: names.peer_authentications.into_iter().map(|name| name.namespace).collect(),
            everywhere: false,
            virtual_services: names.virtual_services,
            destination_rules: names.destination_rules,
            secrets: names.secrets,
            roots: names.roots,
            renew,
        }
    }

    /// What holds for the whole mesh has changed.
    pub(super) fn everything(&mut self, store: &Store) {
        self.namespaces.extend(store.namespaces.all().map(|one| Arc::clone(&one.meta.name.name)));
        add_all(&mut self.services, &store.services);
        add_all(&mut self.service_entries, &store.service_entries);
        add_all(&mut self.authorization_policies, &store.authorization_policies);
        let peers = store.peer_authentications.all();
        self.peers.extend(peers.map(|one| Arc::clone(&one.meta.name.namespace)));
        self.everywhere = true;
        self.renew.istio = true;
    }

    /// Whether objects of Istio may ask for something else.
    pub(super) fn asks(&self) -> bool {
        let Self { virtual_services, destination_rules, renew, .. } = self;
        renew.istio || !virtual_services.is_empty() || !destination_rules.is_empty()
    }

    /// Adds the objects in which a namespace's settings matter.
    pub(super) fn offers(&mut self, store: &Store) {
        for namespace in &self.namespaces {
            add(&mut self.services, &store.services, namespace);
            add(&mut self.service_entries, &store.service_entries, namespace);
        }
    }

    /// Adds the objects that make workloads, wherever these may mean something else.
    pub(super) fn workloads(&mut self, store: &Store) {
        if self.everywhere {
            add_all(&mut self.pods, &store.pods);
            add_all(&mut self.workload_entries, &store.workload_entries);
            add_all(&mut self.service_entries, &store.service_entries);
            add_all(&mut self.slices, &store.slices);
            return;
        }
        for namespace in &self.within {
            add(&mut self.pods, &store.pods, namespace);
            add(&mut self.workload_entries, &store.workload_entries, namespace);
            add(&mut self.service_entries, &store.service_entries, namespace);
            add(&mut self.slices, &store.slices, namespace);
        }
        if self.hosts.is_empty() {
            return;
        }
        let is_there = |node: Option<&str>| node.is_some_and(|node| self.hosts.contains(node));
        let pods = store.pods.all().filter(|pod| is_there(pod.node.as_deref()));
        self.pods.extend(pods.map(|pod| pod.meta.name.clone()));
        let slices = store.slices.all().filter(|slice| {
            slice.endpoints.iter().any(|endpoint| is_there(endpoint.node.as_deref()))
        });
        self.slices.extend(slices.map(|slice| slice.meta.name.clone()));
    }
}

impl Renew {
    fn of(names: &Names) -> Self {
        let any = |all: &[&BTreeSet<ObjectName>]| all.iter().any(|names| !names.is_empty());
        Self {
            istio: any(&[&names.istio_gateways]),
            gateway_api: any(&[
                &names.gateway_classes,
                &names.kubernetes_gateways,
                &names.http_routes,
                &names.grpc_routes,
                &names.tls_routes,
                &names.tcp_routes,
                &names.reference_grants,
                &names.backend_tls_policies,
                &names.secrets,
                &names.roots,
                &names.services,
                &names.namespaces,
            ]),
            hosts: any(&[&names.services, &names.service_entries]),
        }
    }
}

fn add_all<T: Object>(names: &mut BTreeSet<ObjectName>, shelf: &Shelf<T>) {
    names.extend(shelf.all().map(|one| one.meta().name.clone()));
}

fn add<T: Object>(names: &mut BTreeSet<ObjectName>, shelf: &Shelf<T>, namespace: &str) {
    names.extend(shelf.of(namespace).map(|one| one.meta().name.clone()));
}
