//! What a `Service` and a `ServiceEntry` offer, each by itself.
use super::{
    l7,
    mesh::MeshConfig,
    select::Selector,
    store::{Key, Object as _},
};
use crate::{
    object::{
        meta::Meta,
        namespace::Namespace,
        port::TargetPort,
        service::{self, Distribution, Family, Vip},
        service_entry::{Resolution, ServiceEntry},
    },
    problem::{Origin, Problem},
};
use culvert_model::{
    identity::Identity,
    l7::L7Ports,
    locality::{Balance, BalanceMode, HealthPolicy, Nearness},
    name::ServiceName,
    network::NetworkRange,
    service::{Families, Port, Service, Visibility},
};
use std::{net::IpAddr, num::NonZeroU16, sync::Arc};

/// What host names of the cluster end in.
const DOMAIN: &str = "svc.cluster.local";

const DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";
const EXPORT_TO: &str = "networking.istio.io/exportTo";
const AUTO_ALLOCATE: &str = "networking.istio.io/enable-autoallocate-ip";
const WAYPOINT: &str = "istio.io/use-waypoint";

/// One service as its object says it: others may say the same host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) key: Key,
    /// Still without addresses that are allocated and without L7, and not canonical.
    pub(super) service: Service,
    pub(super) network: Arc<str>,
    /// It has no addresses, and should.
    pub(super) allocate: bool,
    /// Which workloads it is served by; without labels: those that are listed.
    pub(super) selector: Arc<Selector>,
    pub(super) ports: Arc<[DraftPort]>,
    pub(super) created: Option<String>,
    pub(super) origin: Origin,
}

/// A port, and how its endpoints know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DraftPort {
    pub(super) name: String,
    pub(super) number: NonZeroU16,
    pub(super) target: TargetPort,
}

/// The host name of a Kubernetes service.
pub(super) fn hostname(namespace: &str, name: &str) -> Arc<str> {
    format!("{name}.{namespace}.{DOMAIN}").into()
}

/// What `service` offers, and what a person has to know of it.
pub(super) fn of_service(
    service: &service::Service,
    namespace: Option<&Namespace>,
    config: &MeshConfig,
    l7: bool,
) -> (Vec<Draft>, Vec<Problem>) {
    let meta = &service.meta;
    let mut notes = Vec::new();
    let given = match &service.vips {
        // DNS knows the name that it is an alias for.
        Vip::External => return (Vec::new(), notes),
        Vip::Given(ips) => ips.iter().map(|ip| ip.value).collect(),
        Vip::ToAllocate | Vip::Headless => Vec::new(),
    };
    waypoint_note(meta, &mut notes);
    notes.extend(l7::notes(meta, l7));
    let exported = meta.annotation(EXPORT_TO).map(|list| list.split(',').map(str::trim).collect());
    let exported: Vec<&str> = exported.unwrap_or_default();
    let Some(visibility) = visibility(&exported, meta, &mut notes) else {
        return (Vec::new(), notes);
    };
    let balance = balance(service, namespace, &mut notes);
    let ports = service.ports.iter().map(|port| Port {
        port: port.number,
        target: match port.target {
            TargetPort::Number(number) => Some(number),
            TargetPort::Name(_) => None,
        },
        protocol: port.protocol,
    });
    let ports: Box<[Port]> = ports.collect();
    let offered = Service {
        host: ServiceName::new(
            Arc::clone(&meta.name.namespace),
            hostname(&meta.name.namespace, &meta.name.name),
        ),
        name: Arc::clone(&meta.name.name),
        vips: vips(&given, config),
        l7: L7Ports::default(),
        ports,
        accepted: Box::default(),
        waypoint: None,
        weighted_waypoints: Box::default(),
        balance,
        families: families(&service.families),
        canonical: false,
        ingress_use_waypoint: false,
        visibility,
    };
    let ports = service.ports.iter().map(|port| DraftPort {
        name: port.name.clone(),
        number: port.number,
        target: port.target.clone(),
    });
    let draft = Draft {
        key: service.key(),
        service: offered,
        network: Arc::clone(&config.network),
        allocate: service.vips == Vip::ToAllocate,
        selector: Arc::new(service.selector.clone()),
        ports: ports.collect(),
        created: meta.created.clone(),
        origin: meta.origin.clone(),
    };
    (vec![draft], notes)
}

/// Which endpoints of a Kubernetes service are chosen from.
fn balance(
    service: &service::Service,
    namespace: Option<&Namespace>,
    notes: &mut Vec<Problem>,
) -> Balance {
    let mut balance = match service.node_local {
        true => Balance {
            preference: [Nearness::Node].into(),
            mode: BalanceMode::Strict,
            health: HealthPolicy::OnlyHealthy,
        },
        false => preference(distribution(service.distribution, &service.meta, namespace, notes)),
    };
    if service.publish_not_ready {
        balance.health = HealthPolicy::AllowAll;
    }
    balance
}

/// What `entry` offers, one service for each host, and what a person has to know of it.
pub(super) fn of_entry(
    entry: &ServiceEntry,
    namespace: Option<&Namespace>,
    config: &MeshConfig,
    l7: bool,
) -> (Vec<Draft>, Vec<Problem>) {
    let meta = &entry.meta;
    let mut notes = Vec::new();
    waypoint_note(meta, &mut notes);
    notes.extend(l7::notes(meta, l7));
    let exported: Vec<&str> = entry.export_to.iter().map(String::as_str).collect();
    let Some(visibility) = visibility(&exported, meta, &mut notes) else {
        return (Vec::new(), notes);
    };
    let balance = entry_balance(entry, namespace, &mut notes);
    let accepted = accepted(entry, &mut notes);
    let ports: Box<[Port]> = (entry.ports.iter())
        .map(|port| Port { port: port.number, target: Some(port.target), protocol: port.protocol })
        .collect();
    let names: Arc<[DraftPort]> = (entry.ports.iter())
        .map(|port| DraftPort {
            name: port.name.clone(),
            number: port.number,
            target: TargetPort::Number(port.target),
        })
        .collect();
    let selector = Arc::new(entry.selector.clone().unwrap_or_default());
    let wants = entry.resolution != Resolution::None
        && entry.addresses.is_empty()
        && meta.label(AUTO_ALLOCATE) != Some("false");
    let draft = |host: &str| {
        let vips = if wants { allocated(entry, host, config) } else { given(entry, config) };
        let is_wild = host.starts_with('*');
        Draft {
            key: entry.key(),
            network: Arc::clone(&config.network),
            allocate: wants && !is_wild && vips.is_empty(),
            service: Service {
                host: ServiceName::new(Arc::clone(&meta.name.namespace), host),
                name: Arc::clone(&meta.name.name),
                vips,
                ports: ports.clone(),
                accepted: accepted.clone(),
                waypoint: None,
                weighted_waypoints: Box::default(),
                balance: balance.clone(),
                families: Families::Automatic,
                canonical: false,
                ingress_use_waypoint: false,
                visibility,
                l7: L7Ports::default(),
            },
            selector: Arc::clone(&selector),
            ports: Arc::clone(&names),
            created: meta.created.clone(),
            origin: meta.origin.clone(),
        }
    };
    let mut hosts: Vec<&str> = entry.hosts.iter().map(|host| host.value.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    (hosts.into_iter().map(draft).collect(), notes)
}

/// Which endpoints of an entry are chosen from.
fn entry_balance(
    entry: &ServiceEntry,
    namespace: Option<&Namespace>,
    notes: &mut Vec<Problem>,
) -> Balance {
    let meta = &entry.meta;
    let balance = match entry.resolution {
        Resolution::None => Balance {
            preference: Box::default(),
            mode: BalanceMode::Passthrough,
            health: HealthPolicy::AllowAll,
        },
        Resolution::Static
        | Resolution::Dns
        | Resolution::DnsRoundRobin
        | Resolution::DynamicDns => preference(distribution(None, meta, namespace, notes)),
    };
    if entry.resolution == Resolution::DynamicDns {
        let message = "resolution DYNAMIC_DNS is not done yet: its hosts have no endpoints";
        notes.push(meta.named().warning(message));
    }
    let is_static = entry.resolution == Resolution::Static;
    if is_static && entry.endpoints.is_empty() && entry.selector.is_none() {
        notes.push(meta.named().warning("resolution STATIC, and no endpoints"));
    }
    balance
}

/// The addresses that an entry says itself.
fn given(entry: &ServiceEntry, config: &MeshConfig) -> Box<[NetworkRange]> {
    let network = || Arc::clone(&config.network);
    entry.addresses.iter().map(|net| NetworkRange::new(network(), *net)).collect()
}

/// The addresses that somebody gave a host of an entry before.
fn allocated(entry: &ServiceEntry, host: &str, config: &MeshConfig) -> Box<[NetworkRange]> {
    let of_host = |of: &Option<String>| of.as_deref().is_none_or(|of| of == host);
    let ips = entry.allocated.iter().filter(|(of, _)| of_host(of)).map(|(_, ip)| *ip);
    vips(&ips.collect::<Vec<_>>(), config)
}

fn vips(ips: &[IpAddr], config: &MeshConfig) -> Box<[NetworkRange]> {
    let network = || Arc::clone(&config.network);
    ips.iter().map(|ip| NetworkRange::new(network(), (*ip).into())).collect()
}

fn families(families: &[Family]) -> Families {
    match families {
        [] => Families::Automatic,
        [Family::V4] => Families::V4,
        [Family::V6] => Families::V6,
        [_, _, ..] => Families::Dual,
    }
}

/// The field, else the annotation, else the namespace's.
fn distribution(
    field: Option<Distribution>,
    meta: &Meta,
    namespace: Option<&Namespace>,
    notes: &mut Vec<Problem>,
) -> Distribution {
    if let Some(field) = field {
        return field;
    }
    let of_namespace = namespace.map(|namespace| &namespace.meta);
    for (meta, is_own) in [(Some(meta), true), (of_namespace, false)] {
        let Some(written) = meta.and_then(|meta| meta.annotations.get(DISTRIBUTION)) else {
            continue;
        };
        match written.value.to_ascii_lowercase().as_str() {
            "any" => return Distribution::Any,
            "preferclose" | "prefersamezone" => return Distribution::PreferSameZone,
            "prefersamenode" => return Distribution::PreferSameNode,
            _ if is_own => {
                let message = format!("annotation {DISTRIBUTION} is `{}`: ignored", written.value);
                let note = meta.map(|meta| meta.at(written.at).warning(message));
                let want = "write Any, PreferSameZone or PreferSameNode";
                notes.extend(note.map(|note| note.with_fix(want)));
            }
            _ => {}
        }
    }
    Distribution::Any
}

fn preference(distribution: Distribution) -> Balance {
    use Nearness::{Network, Node, Region, Subzone, Zone};
    let preference: &[Nearness] = match distribution {
        Distribution::Any => return Balance::default(),
        Distribution::PreferSameZone => &[Network, Region, Zone],
        Distribution::PreferSameNode => &[Network, Region, Zone, Subzone, Node],
    };
    Balance {
        preference: preference.into(),
        mode: BalanceMode::Failover,
        health: HealthPolicy::OnlyHealthy,
    }
}

/// Who sees a service; `None`: nobody.
fn visibility(exported: &[&str], meta: &Meta, notes: &mut Vec<Problem>) -> Option<Visibility> {
    let own = |to: &&str| **to == *"." || **to == *meta.name.namespace;
    match exported {
        [] => Some(Visibility::Public),
        all if all.contains(&"*") => Some(Visibility::Public),
        ["~"] => None,
        all if all.iter().all(own) => Some(Visibility::Namespace),
        _ => {
            let message = "exportTo names other namespaces: its own is the only one that sees it";
            let note = meta.named().warning(message);
            notes.push(note.with_fix("write `*` for every namespace"));
            Some(Visibility::Namespace)
        }
    }
}

/// The identities that servers of an entry may prove; other names are for TLS without a mesh.
fn accepted(entry: &ServiceEntry, notes: &mut Vec<Problem>) -> Box<[Identity]> {
    let spiffe = entry.subject_alt_names.iter().filter(|san| san.value.starts_with("spiffe://"));
    let read = spiffe.filter_map(|san| match san.value.parse() {
        Ok(identity) => Some(identity),
        Err(error) => {
            let message = format!("`{}` is accepted from nobody: {error}", san.value);
            notes.push(entry.meta.at(san.at).warning(message));
            None
        }
    });
    read.collect()
}

/// A label that asks for something this control plane does not give.
pub(super) fn waypoint_note(meta: &Meta, notes: &mut Vec<Problem>) {
    if let Some(label) = meta.labels.get(WAYPOINT)
        && label.value != "none"
    {
        let message = format!("label {WAYPOINT}: this control plane has no waypoints: ignored");
        notes.push(meta.at(label.at).warning(message));
    }
}
