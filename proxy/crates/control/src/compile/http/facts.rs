//! What L7 knows of services and workloads, from what was compiled of them.
use super::{
    emit::scene::{Changed, Resolution, Scene, ServiceFacts, WorkloadFacts},
    plan::Labels,
};
use crate::{
    compile::{
        incremental::{Compiler, Looked},
        store::{Key, Kind},
    },
    object::{meta::Meta, service_entry, workload_entry::Address},
};
use culvert_model::name::{ServiceName, WorkloadUid};
use std::sync::Arc;

/// Asks for L7 without any rule, for what it tells.
const ASKS: &str = "culvert.dev/l7";

impl Compiler {
    /// Everything there is, for L7; without a plan so far.
    pub fn scene(&mut self) -> Scene {
        self.looked = Looked::default();
        let mut scene = Scene::new(Arc::clone(&self.mesh().config.root_namespace));
        let services: Vec<ServiceName> = self.mesh().services.keys().cloned().collect();
        for name in services {
            scene.set_service(&name, self.service_facts(&name).map(Arc::new));
        }
        let made = self.made.iter().flat_map(|(key, uids)| uids.iter().map(move |uid| (key, uid)));
        let workloads: Vec<(WorkloadUid, Option<WorkloadFacts>)> =
            made.map(|(key, uid)| (uid.clone(), self.workload_facts(uid, key))).collect();
        for (uid, facts) in workloads {
            scene.set_workload(&uid, facts.map(Arc::new));
        }
        scene
    }

    /// Takes into a scene what was applied since it was made, or followed last.
    pub fn follow(&mut self, scene: &mut Scene) -> Changed {
        let Looked { services, workloads } = std::mem::take(&mut self.looked);
        let mut changed = Changed::new();
        for name in services {
            changed.extend(scene.set_service(&name, self.service_facts(&name).map(Arc::new)));
        }
        for (uid, key) in workloads {
            let facts = self.workload_facts(&uid, &key).map(Arc::new);
            changed.extend(scene.set_workload(&uid, facts));
        }
        changed
    }

    fn service_facts(&self, name: &ServiceName) -> Option<ServiceFacts> {
        let offered = self.mesh().services.get(name)?;
        let draft = self.registry.get(name)?;
        let (kind, object) = &draft.key;
        let entry = self.store.service_entries.get(object);
        let entry = entry.filter(|_| *kind == Kind::ServiceEntry);
        let service = self.store.services.get(object).filter(|_| *kind == Kind::Service);
        let meta = entry.map(|entry| &entry.meta).or(service.map(|service| &service.meta));
        let resolution = entry.map(|entry| match entry.resolution {
            service_entry::Resolution::None => Resolution::Original,
            service_entry::Resolution::Static | service_entry::Resolution::DynamicDns => {
                Resolution::Known
            }
            service_entry::Resolution::Dns => Resolution::Names,
            service_entry::Resolution::DnsRoundRobin => Resolution::OneName,
        });
        Some(ServiceFacts {
            service: Arc::clone(&offered.service),
            resolution: resolution.unwrap_or_default(),
            labelled: self.is_labelled(meta, &name.namespace),
        })
    }

    fn workload_facts(&self, uid: &WorkloadUid, key: &Key) -> Option<WorkloadFacts> {
        let wanted = self.mesh().members.get(uid)?;
        let (kind, name) = key;
        let pod = self.store.pods.get(name).filter(|_| *kind == Kind::Pod);
        let entry = self.store.workload_entries.get(name);
        let entry = entry.filter(|_| *kind == Kind::WorkloadEntry);
        let labels = pod.map(|pod| of(&pod.meta)).or_else(|| {
            let labels = entry?.labels();
            Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        });
        let is_entry = *kind == Kind::ServiceEntry;
        let labels = labels.or_else(|| self.endpoint_labels(uid, key).filter(|_| is_entry));
        Some(WorkloadFacts {
            member: Arc::clone(&wanted.member),
            labels: Arc::new(labels.unwrap_or_default()),
            labelled: self.is_labelled(None, &name.namespace),
        })
    }

    /// Labels of an endpoint that is written in an entry: it is told by its place.
    fn endpoint_labels(&self, uid: &WorkloadUid, (_, name): &Key) -> Option<Labels> {
        let entry = self.store.service_entries.get(name)?;
        let place = uid.as_str().rsplit('/').next()?;
        let is_it = |address: &Address| match address {
            Address::Ip(ip) => ip.to_string() == place,
            Address::Host(host) => host == place,
            Address::Unix(_) | Address::None => false,
        };
        let found = entry.endpoints.iter().find(|endpoint| is_it(&endpoint.address.value))?;
        Some(found.labels.clone())
    }

    /// Whether an object's label asks for L7, or else its namespace's.
    fn is_labelled(&self, meta: Option<&Meta>, namespace: &str) -> bool {
        let own = meta.and_then(|meta| meta.label(ASKS));
        let of_namespace = || self.store.namespace(namespace)?.meta.label(ASKS);
        own.or_else(of_namespace) == Some("enabled")
    }
}

fn of(meta: &Meta) -> Labels {
    meta.labels.iter().map(|(key, label)| (key.clone(), label.value.clone())).collect()
}
