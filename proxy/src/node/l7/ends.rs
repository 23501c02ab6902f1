//! Who asked whom: the two ends of a request, from what is known of its connection and of the mesh.
use culvert_l7::ledger::Over;
use culvert_model::{
    facts::{ConnFacts, Direction},
    http::value::{Metadata, Value},
    name::ServiceName,
    path::Path,
    service::Service,
    snapshot::Snapshot,
};
use culvert_policy::http::route::without_port;
use std::{net::IpAddr, sync::Arc};

/// The facts of one request that came by the connection of `origin`.
pub(super) fn ends(origin: &ConnFacts, over: &Over<'_>, mesh: &Snapshot) -> ConnFacts {
    match origin.direction {
        Direction::Outbound => outbound(origin, over, mesh),
        Direction::Inbound => {
            let host = over.head.map(|head| head.authority).unwrap_or_default();
            let service = asked_for(origin, host, mesh).or_else(|| origin.service.clone());
            ConnFacts { service, ..origin.clone() }
        }
    }
}

/// Where it was made: the destination is the endpoint it went to.
///
/// Of a request that went nowhere, no more is known than for which service it was; what was proven
/// of either end, a handshake with the other has proven.
fn outbound(origin: &ConnFacts, over: &Over<'_>, mesh: &Snapshot) -> ConnFacts {
    let of_cluster = by_metadata(&over.metadata, mesh)
        .or_else(|| by_name(over.cluster?, own_namespace(origin), mesh));
    let endpoint = over.endpoint.as_ref();
    let address = endpoint.and_then(|endpoint| endpoint.address);
    let path = endpoint.and_then(|endpoint| endpoint.path).unwrap_or(Path::L7);
    let workload = address.and_then(|address| mesh.at(address.ip())).map(Arc::clone);
    let is_proven = matches!(path, Path::Tunnel | Path::Local);
    let identity = workload.as_ref().filter(|_| is_proven).map(|to| to.identity.clone());
    ConnFacts {
        destination: address.unwrap_or(origin.destination),
        destination_workload: workload,
        destination_identity: identity,
        source_identity: origin.source_identity.clone().filter(|_| is_proven),
        service: of_cluster.or_else(|| origin.service.clone()),
        path,
        ..origin.clone()
    }
}

fn own_namespace(origin: &ConnFacts) -> &str {
    origin.source_workload.as_ref().map_or("", |source| &source.name.namespace)
}

/// What Istio's control plane and ours attach to a cluster: the services it stands for.
fn by_metadata(metadata: &Metadata, mesh: &Snapshot) -> Option<Arc<Service>> {
    let Value::List(services) = metadata.find("istio", ["services"])? else { return None };
    let first = services.first()?;
    let text = |key: &str| first.get(key).and_then(Value::as_str);
    let (namespace, host) = (text("namespace")?, text("host")?);
    let host = ServiceName::new(namespace, host);
    let known = mesh.service(&host).map(|bound| Arc::clone(&bound.service));
    Some(known.unwrap_or_else(|| Arc::new(Service::new(host, text("name").unwrap_or_default()))))
}

/// `outbound|PORT|SUBSET|HOST`, and perhaps `@NAMESPACE`, and for which clients (`~tls`, `~app=web`).
fn by_name(cluster: &str, own: &str, mesh: &Snapshot) -> Option<Arc<Service>> {
    let mut parts = cluster.strip_prefix("outbound|")?.splitn(3, '|');
    let (_port, _subset, host) = (parts.next()?, parts.next()?, parts.next()?);
    let host = host.split_once('~').map_or(host, |(host, _clients)| host);
    let (host, namespace) = host.split_once('@').unwrap_or((host, own));
    let mut named = mesh.services_named(host);
    let first = named.next()?;
    let all = std::iter::once(first).chain(named);
    let in_namespace = |service: &&Arc<Service>| *service.host.namespace == *namespace;
    let found = all.map(|bound| &bound.service).find(in_namespace);
    Some(Arc::clone(found.unwrap_or(&first.service)))
}

/// Where it was served: the service of that host, or address, that the pod is behind, for it may be
/// behind several, and only the request tells which one is meant; else one that has the port.
fn asked_for(origin: &ConnFacts, host: &str, mesh: &Snapshot) -> Option<Arc<Service>> {
    let known = mesh.known(&origin.destination_workload.as_ref()?.uid)?;
    let services = || {
        let names = known.member.services.iter();
        names.filter_map(|(name, _)| mesh.service(name)).map(|bound| &bound.service)
    };
    let host = without_port(host).trim_matches(['[', ']']).to_ascii_lowercase();
    let port = origin.destination.port();
    let leads_here = |service: &Service| {
        let own = known.member.services.get(&service.host);
        let ports = own.into_iter().flat_map(|ports| ports.iter()).chain(&service.ports);
        ports.filter_map(|port| port.target).any(|target| target.get() == port)
    };
    let address = host.parse::<IpAddr>().ok();
    let is_at = |service: &Service| {
        address.is_some_and(|at| service.vips.iter().any(|vip| vip.range.contains(&at)))
    };
    let named = services().find(|one| is_called(&one.host.hostname, &host) || is_at(one));
    named.or_else(|| services().find(|one| leads_here(one))).map(Arc::clone)
}

/// Whether a host is asked for in whole, or by what it begins with: `cart`, `cart.shop`.
fn is_called(hostname: &str, host: &str) -> bool {
    let rest = hostname.strip_prefix(host);
    !host.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests;
