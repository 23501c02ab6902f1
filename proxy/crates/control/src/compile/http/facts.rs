//! What L7 knows of services and workloads, from what was compiled of them.
use super::{
    emit::scene::{Resolution, ServiceFacts, WorkloadFacts},
    plan::Labels,
};
use crate::{
    compile::{
        incremental::Compiler,
        l7,
        store::{Key, Kind},
    },
    object::{meta::Meta, service_entry, workload_entry::Address},
};
use culvert_model::{
    l7::L7Ports,
    member::Member,
    name::{ServiceName, WorkloadUid},
    service::Service,
};
use std::sync::Arc;

impl Compiler {
    pub(super) fn service_facts(&self, name: &ServiceName) -> Option<ServiceFacts> {
        let offered = self.mesh().services.get(name)?;
        let draft = self.registry.get(name)?;
        let (kind, object) = &draft.key;
        let entry = self.store.service_entries.get(object);
        let entry = entry.filter(|_| *kind == Kind::ServiceEntry);
        let service = self.store.services.get(object).filter(|_| *kind == Kind::Service);
        let meta = entry.map(|entry| &entry.meta).or(service.map(|service| &service.meta));
        let namespace = self.store.namespace(&name.namespace);
        let resolution = entry.map(|entry| match entry.resolution {
            service_entry::Resolution::None => Resolution::Original,
            service_entry::Resolution::Static | service_entry::Resolution::DynamicDns => {
                Resolution::Known
            }
            service_entry::Resolution::Dns => Resolution::Names,
            service_entry::Resolution::DnsRoundRobin => Resolution::OneName,
        });
        Some(ServiceFacts {
            service: match offered.service.l7.is_empty() {
                true => Arc::clone(&offered.service),
                false => {
                    Arc::new(Service { l7: L7Ports::default(), ..Service::clone(&offered.service) })
                }
            },
            resolution: resolution.unwrap_or_default(),
            labelled: l7::is_asked(meta, namespace.map(|namespace| &namespace.meta)),
        })
    }

    pub(super) fn workload_facts(&self, uid: &WorkloadUid, key: &Key) -> Option<WorkloadFacts> {
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
            member: match wanted.member.l7.is_empty() {
                true => Arc::clone(&wanted.member),
                false => {
                    Arc::new(Member { l7: L7Ports::default(), ..Member::clone(&wanted.member) })
                }
            },
            labels: Arc::new(labels.unwrap_or_default()),
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
}

fn of(meta: &Meta) -> Labels {
    meta.labels.iter().map(|(key, label)| (key.clone(), label.value.clone())).collect()
}
