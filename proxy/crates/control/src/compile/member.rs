//! Workloads: pods, entries, and endpoints that are written down.
use super::{
    Settings,
    enrolment::Wish,
    mesh::{MeshConfig, Wanted},
    policies::Policies,
    registry::Registry,
    select::Labels,
    service::{Draft, hostname},
    store::{Kind, Store},
    workload::{NATIVE_TUNNEL, Names, RECORDED},
};
use crate::{
    object::{
        meta::Meta,
        pod::{Phase, Pod},
        port::TargetPort,
        service_entry::ServiceEntry,
        slice::EndpointSlice,
        workload_entry::{Address, Endpoint, WorkloadEntry},
    },
    problem::Problem,
};
use culvert_model::{
    identity::Identity,
    locality::Locality,
    member::{Health, Member, NetworkMode, Services, Tunnel},
    name::{ObjectName, ServiceName, WorkloadUid},
    service::{AppProtocol, Port},
    workload::Enrolment,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU16,
    sync::Arc,
};

/// What is looked up when a workload is compiled.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) settings: &'a Settings,
    pub(super) config: &'a MeshConfig,
    pub(super) store: &'a Store,
    pub(super) registry: &'a Registry,
    pub(super) policies: &'a Policies,
    /// The slices that list a pod.
    pub(super) listing: &'a BTreeMap<ObjectName, BTreeSet<ObjectName>>,
}

impl<'a> World<'a> {
    /// The workload that `pod` is.
    pub(super) fn pod(&self, pod: &'a Pod, wish: &Wish) -> Result<Wanted, Box<Problem>> {
        let meta = &pod.meta;
        let labels = labels_of(meta);
        let names = Names::of_pod(pod);
        let node = pod.node.as_deref().unwrap_or(&self.settings.node_name);
        let is_ready = pod.ready.unwrap_or(pod.phase != Phase::Pending) && !meta.is_leaving;
        let uid = WorkloadUid::pod(&self.settings.cluster, &meta.name);
        let identity = self.identity_of(pod)?;
        let member = Member {
            addresses: pod.ips.iter().map(|ip| ip.value).collect(),
            network: Arc::clone(&self.config.network),
            network_mode: match pod.uses_host_network {
                true => NetworkMode::Host,
                false => NetworkMode::Own,
            },
            node: node.into(),
            locality: self.locality(node).into(),
            services: self.services_of_pod(pod, &labels),
            policies: self.policies.choosing(&meta.name.namespace, &labels, self.config),
            health: if is_ready { Health::Healthy } else { Health::Unhealthy },
            ..self.named(uid, meta, identity, names)
        };
        let is_recorded = meta.annotation(RECORDED) == Some("enabled");
        let enrolled = wish.enrolment == Enrolment::Enrolled;
        Ok(self.wanted(member, (meta, &labels), enrolled, is_recorded))
    }

    /// Who `pod` is.
    pub(super) fn identity_of(&self, pod: &Pod) -> Result<Identity, Box<Problem>> {
        self.identity(&pod.meta, Some(&pod.service_account))
    }

    /// The workload that `entry` is; `None`: it has no address that can be dialled.
    pub(super) fn entry(
        &self,
        entry: &'a WorkloadEntry,
        notes: &mut Vec<Problem>,
    ) -> Result<Option<Wanted>, Box<Problem>> {
        let (meta, endpoint) = (&entry.meta, &entry.endpoint);
        let labels: Labels<'_> = entry.labels().collect();
        let Some(dialled) = dialled(endpoint, meta, notes) else { return Ok(None) };
        let chosen = self.registry.choosing(&meta.name.namespace, &labels);
        let services = chosen.into_iter().map(|draft| endpoint_ports(draft, endpoint)).collect();
        let uid = self.uid("networking.istio.io/WorkloadEntry", meta, None);
        let member = Member { services, ..self.endpoint(uid, (meta, &labels), endpoint, dialled)? };
        Ok(Some(self.wanted(member, (meta, &labels), false, false)))
    }

    /// The workloads that the endpoints of `entry` are.
    pub(super) fn entry_endpoints(
        &self,
        entry: &'a ServiceEntry,
        notes: &mut Vec<Problem>,
    ) -> Result<Vec<Wanted>, Box<Problem>> {
        let meta = &entry.meta;
        let drafts: Vec<_> = self.registry.of(Kind::ServiceEntry, &meta.name).collect();
        let written = entry.endpoints.iter().map(|endpoint| (endpoint.clone(), drafts.as_slice()));
        // A host that is resolved is its own endpoint.
        let implied =
            entry.resolution.by_dns() && entry.endpoints.is_empty() && entry.selector.is_none();
        let implied = drafts.iter().filter(|_| implied).map(|draft| {
            let host = draft.service.host.hostname.to_string();
            (Endpoint::host(host, entry.meta.origin.mark()), std::slice::from_ref(draft))
        });
        let labels = labels_of(meta);
        let mut wanted: BTreeMap<WorkloadUid, Wanted> = BTreeMap::new();
        for (endpoint, drafts) in written.chain(implied) {
            let Some((addresses, host)) = dialled(&endpoint, meta, notes) else { continue };
            let place = addresses.first().map_or_else(|| host.to_string(), ToString::to_string);
            if host.starts_with('*') {
                let message = format!("`{host}` cannot be resolved: it has no endpoint");
                notes.push(meta.named().warning(message));
                continue;
            }
            let uid = self.uid("networking.istio.io/ServiceEntry", meta, Some(&place));
            if wanted.contains_key(&uid) {
                let at = meta.at(endpoint.address.at);
                notes.push(at.warning(format!("the endpoint {place} is there already: ignored")));
                continue;
            }
            let dialled = (addresses, host);
            let member = Member {
                services: drafts.iter().map(|draft| endpoint_ports(draft, &endpoint)).collect(),
                ..self.endpoint(uid.clone(), (meta, &labels), &endpoint, dialled)?
            };
            wanted.insert(uid, self.wanted(member, (meta, &labels), false, false));
        }
        Ok(wanted.into_values().collect())
    }

    /// The workloads that a slice lists and that are no pods.
    pub(super) fn slice(&self, slice: &'a EndpointSlice) -> Result<Vec<Wanted>, Box<Problem>> {
        let Some(draft) = self.listed_service(slice) else { return Ok(Vec::new()) };
        let (host, ports) = (draft.service.host.clone(), slice_ports(draft, slice));
        let meta = &slice.meta;
        let mut wanted: BTreeMap<WorkloadUid, Wanted> = BTreeMap::new();
        // Pods say more of themselves, and where one is gone there is nothing left.
        for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.pod.is_none()) {
            let place = endpoint.ip.value.to_string();
            let uid = self.uid("discovery.k8s.io/EndpointSlice", meta, Some(&place));
            let node = endpoint.node.as_deref().unwrap_or_default();
            let names = Names::of_entry(&meta.name.name, &Labels::new());
            let mut locality = self.locality(node);
            if let (true, Some(zone)) = (locality.zone.is_empty(), &endpoint.zone) {
                locality.zone = zone.as_str().into();
            }
            let member = Member {
                addresses: [endpoint.ip.value].into(),
                network: Arc::clone(&self.config.network),
                // It may be anybody's address: it is not taken as the name of a workload.
                network_mode: NetworkMode::Host,
                node: node.into(),
                locality: locality.into(),
                services: [(host.clone(), ports.clone())].into_iter().collect(),
                health: if endpoint.ready { Health::Healthy } else { Health::Unhealthy },
                ..self.named(uid.clone(), meta, self.identity(meta, None)?, names)
            };
            let origin = meta.at(endpoint.ip.at).to_string().into();
            let member = Arc::new(member);
            let mtls = Box::default();
            let one = Wanted { member, enrolled: false, recorded: false, mtls, origin };
            wanted.entry(uid).or_insert(one);
        }
        Ok(wanted.into_values().collect())
    }

    /// The service whose endpoints a slice lists, when it does not choose them itself.
    fn listed_service(&self, slice: &EndpointSlice) -> Option<&'a Arc<Draft>> {
        let namespace = &slice.meta.name.namespace;
        let host = hostname(namespace, slice.service()?);
        let draft = self.registry.get(&ServiceName::new(Arc::clone(namespace), host))?;
        (draft.key.0 == Kind::Service && draft.selector.is_empty()).then_some(draft)
    }

    fn services_of_pod(&self, pod: &Pod, labels: &Labels<'_>) -> Services {
        let chosen = self.registry.choosing(&pod.meta.name.namespace, labels);
        let mut services: BTreeMap<ServiceName, Box<[Port]>> = chosen
            .into_iter()
            .map(|draft| (draft.service.host.clone(), pod_ports(draft, pod)))
            .collect();
        for name in self.listing.get(&pod.meta.name).into_iter().flatten() {
            let Some(slice) = self.store.slices.get(name) else { continue };
            let Some(draft) = self.listed_service(slice) else { continue };
            let ports = services.entry(draft.service.host.clone()).or_default();
            let mut all: Vec<Port> = ports.to_vec();
            for port in slice_ports(draft, slice) {
                if all.iter().all(|one| one.port != port.port) {
                    all.push(port);
                }
            }
            *ports = all.into();
        }
        services.into_iter().collect()
    }

    /// What all workloads have.
    fn named(&self, uid: WorkloadUid, meta: &Meta, identity: Identity, names: Names) -> Member {
        Member {
            cluster: Arc::clone(&self.settings.cluster),
            canonical_name: names.canonical_name,
            canonical_revision: names.canonical_revision,
            owner: names.owner,
            owner_kind: names.owner_kind,
            ..Member::new(uid, meta.name.clone(), identity)
        }
    }

    /// A workload that is written down.
    fn endpoint(
        &self,
        uid: WorkloadUid,
        (meta, labels): (&Meta, &Labels<'_>),
        endpoint: &Endpoint,
        (addresses, hostname): (Box<[IpAddr]>, Arc<str>),
    ) -> Result<Member, Box<Problem>> {
        let identity = self.identity(meta, endpoint.service_account.as_deref())?;
        let network = endpoint.network.as_deref().map(Arc::from);
        Ok(Member {
            addresses,
            hostname,
            network: network.unwrap_or_else(|| Arc::clone(&self.config.network)),
            locality: written_locality(endpoint.locality.as_deref().unwrap_or_default()).into(),
            capacity: endpoint.weight.max(1),
            policies: self.policies.choosing(&meta.name.namespace, labels, self.config),
            ..self.named(uid, meta, identity, Names::of_entry(&meta.name.name, labels))
        })
    }

    fn wanted(
        &self,
        mut member: Member,
        (meta, labels): (&Meta, &Labels<'_>),
        enrolled: bool,
        recorded: bool,
    ) -> Wanted {
        let mtls = self.policies.demanding(&meta.name.namespace, labels, self.config);
        if labels.get(NATIVE_TUNNEL) == Some(&"http") {
            member.tunnel = Tunnel::Hbone;
            member.native_tunnel = true;
            member.policies = member.policies.iter().chain(&mtls).cloned().collect();
        }
        let enrolled = enrolled && !member.native_tunnel;
        let origin = meta.origin.to_string().into();
        Wanted { member: Arc::new(member), enrolled, recorded, mtls, origin }
    }

    fn identity(&self, meta: &Meta, account: Option<&str>) -> Result<Identity, Box<Problem>> {
        let account = account.unwrap_or("default");
        Identity::try_new(&self.config.trust_domain, &meta.name.namespace, account)
            .map_err(|error| Box::new(meta.named().error(error.to_string())))
    }

    fn uid(&self, kind: &str, meta: &Meta, section: Option<&str>) -> WorkloadUid {
        let cluster = &self.settings.cluster;
        let ObjectName { namespace, name } = &meta.name;
        WorkloadUid::new(match section {
            Some(section) => format!("{cluster}/{kind}/{namespace}/{name}/{section}"),
            None => format!("{cluster}/{kind}/{namespace}/{name}"),
        })
    }

    /// Where a node is, by its labels.
    fn locality(&self, node: &str) -> Locality {
        let Some(host) = self.store.hosts.get(&ObjectName::new("", node)) else {
            return Locality::default();
        };
        let label = |key| host.meta.label(key).unwrap_or_default().into();
        Locality {
            region: label("topology.kubernetes.io/region"),
            zone: label("topology.kubernetes.io/zone"),
            subzone: label("topology.istio.io/subzone"),
        }
    }
}

/// What says which pods a slice lists.
pub(super) fn listed(slice: &EndpointSlice) -> impl Iterator<Item = &ObjectName> {
    slice.endpoints.iter().filter_map(|endpoint| endpoint.pod.as_ref())
}

fn labels_of(meta: &Meta) -> Labels<'_> {
    meta.labels.iter().map(|(key, value)| (&**key, &*value.value)).collect()
}

/// Address or host name of an endpoint.
fn dialled(
    endpoint: &Endpoint,
    meta: &Meta,
    notes: &mut Vec<Problem>,
) -> Option<(Box<[IpAddr]>, Arc<str>)> {
    let here = |message: &str| meta.at(endpoint.address.at).warning(message);
    match &endpoint.address.value {
        Address::Ip(ip) => Some(([*ip].into(), "".into())),
        Address::Host(host) => Some((Box::default(), host.as_str().into())),
        Address::Unix(_) => {
            notes.push(here("a socket in the file system is no endpoint: ignored"));
            None
        }
        Address::None => {
            notes.push(here("an endpoint that only names its network is not used yet"));
            None
        }
    }
}

fn port(number: NonZeroU16, target: NonZeroU16) -> Port {
    Port { port: number, target: Some(target), protocol: AppProtocol::Unknown }
}

/// Where a pod has the ports of a service; those it does not have are left out.
fn pod_ports(draft: &Draft, pod: &Pod) -> Box<[Port]> {
    let ports = draft.ports.iter().filter_map(|one| match &one.target {
        TargetPort::Number(target) => Some(port(one.number, *target)),
        TargetPort::Name(name) => pod.named_ports.get(name).map(|target| port(one.number, *target)),
    });
    ports.collect()
}

/// Where an endpoint has the ports of a service.
///
/// A `Service` names its target, and the endpoint must know the name; for a `ServiceEntry` the
/// endpoint may say another number under the name of the port.
fn endpoint_ports(draft: &Arc<Draft>, endpoint: &Endpoint) -> (ServiceName, Box<[Port]>) {
    let ports = draft.ports.iter().filter_map(|one| match &one.target {
        TargetPort::Name(name) => endpoint.ports.get(name).map(|target| port(one.number, *target)),
        TargetPort::Number(target) if draft.key.0 == Kind::ServiceEntry => {
            Some(port(one.number, *endpoint.ports.get(&one.name).unwrap_or(target)))
        }
        TargetPort::Number(target) => Some(port(one.number, *target)),
    });
    (draft.service.host.clone(), ports.collect())
}

/// Ports of a slice have the names of the service's ports.
fn slice_ports(draft: &Draft, slice: &EndpointSlice) -> Box<[Port]> {
    let ports = draft.ports.iter().filter_map(|one| {
        let (_, target) = slice.ports.iter().find(|(name, _)| *name == one.name)?;
        Some(port(one.number, *target))
    });
    ports.collect()
}

/// `region/zone/subzone`.
fn written_locality(written: &str) -> Locality {
    let mut parts = written.split('/');
    let mut part = || parts.next().unwrap_or_default().into();
    Locality { region: part(), zone: part(), subzone: part() }
}
