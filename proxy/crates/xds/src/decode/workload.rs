//! Workloads off the wire.
use super::{
    DecodeError, Problem, at, each, gateway, ip, known, l7, or, pair, port_or_none,
    service::decode_port,
};
use culvert_model::{
    identity::{Identity, NotAnIdentity},
    locality::Locality,
    member::{
        AppTunnel, AppTunnelProtocol, Health, Member, NetworkMode, OwnerKind, Services, Tunnel,
    },
    name::{ObjectName, ServiceName, WorkloadUid},
};
use culvert_proto::istio::workload as pb;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// What an empty trust domain stands for.
const TRUST_DOMAIN: &str = "cluster.local";

/// What an empty service account stands for.
const SERVICE_ACCOUNT: &str = "default";

/// What an empty cluster stands for.
const CLUSTER: &str = "Kubernetes";

/// Turns a workload off the wire into one that can be reached and asked about.
///
/// # Errors
///
/// On anything not understood, but for the kind of its owner.
#[expect(clippy::too_many_lines, reason = "a line for each field")]
pub fn decode(message: pb::Workload) -> Result<Member, DecodeError> {
    let pb::Workload {
        uid,
        name,
        namespace,
        addresses,
        hostname,
        network,
        tunnel_protocol,
        trust_domain,
        service_account,
        waypoint,
        network_gateway,
        node,
        canonical_name,
        canonical_revision,
        workload_type,
        workload_name,
        native_tunnel,
        application_tunnel,
        services,
        authorization_policies,
        status,
        cluster_id,
        locality,
        network_mode,
        extensions,
        capacity,
    } = message;
    if uid.is_empty() {
        return Err(at("uid", Problem::Empty));
    }
    Ok(Member {
        identity: decode_identity(&trust_domain, &namespace, &service_account)?,
        uid: WorkloadUid::new(uid),
        name: ObjectName::new(namespace, name),
        addresses: each("addresses", addresses, |bytes| decode_ip(&bytes))?,
        hostname: hostname.into(),
        network: network.into(),
        network_mode: match known("network_mode", network_mode)? {
            pb::NetworkMode::Standard => NetworkMode::Own,
            pb::NetworkMode::HostNetwork => NetworkMode::Host,
        },
        tunnel: decode_tunnel(tunnel_protocol)?,
        native_tunnel,
        waypoint: gateway::decode_some("waypoint", waypoint)?.map(Arc::new),
        network_gateway: gateway::decode_some("network_gateway", network_gateway)?.map(Arc::new),
        app_tunnel: application_tunnel
            .map(decode_app_tunnel)
            .transpose()
            .map_err(|error| error.within("application_tunnel"))?,
        node: node.into(),
        cluster: or(&cluster_id, CLUSTER).into(),
        locality: locality.map(decode_locality).unwrap_or_default().into(),
        canonical_name: canonical_name.into(),
        canonical_revision: canonical_revision.into(),
        owner: workload_name.into(),
        owner_kind: decode_owner_kind(workload_type),
        services: decode_services(services)?,
        l7: l7::decode(&extensions)?,
        policies: each("authorization_policies", authorization_policies, |name| {
            decode_policy(&name)
        })?,
        health: match known("status", status)? {
            pb::WorkloadStatus::Healthy => Health::Healthy,
            pb::WorkloadStatus::Unhealthy => Health::Unhealthy,
        },
        capacity: capacity.unwrap_or(1),
    })
}

fn decode_identity(
    trust_domain: &str,
    namespace: &str,
    service_account: &str,
) -> Result<Identity, DecodeError> {
    let (td, sa) = (or(trust_domain, TRUST_DOMAIN), or(service_account, SERVICE_ACCOUNT));
    Identity::try_new(td, namespace, sa).map_err(|error| {
        let field = match error {
            NotAnIdentity::Empty(part)
            | NotAnIdentity::TooLong(part)
            | NotAnIdentity::Slash(part) => part.replace(' ', "_"),
            NotAnIdentity::Scheme | NotAnIdentity::Path => String::new(),
        };
        at(field, Problem::NotAnIdentity(error))
    })
}

/// An address that can be dialled without coming back to whoever dials.
fn decode_ip(bytes: &[u8]) -> Result<IpAddr, DecodeError> {
    let ip = ip(bytes).map_err(DecodeError::whole)?;
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return Err(DecodeError::whole(Problem::Address(ip)));
    }
    Ok(ip)
}

fn decode_tunnel(protocol: i32) -> Result<Tunnel, DecodeError> {
    match known("tunnel_protocol", protocol)? {
        pb::TunnelProtocol::None => Ok(Tunnel::None),
        pb::TunnelProtocol::Hbone => Ok(Tunnel::Hbone),
        pb::TunnelProtocol::LegacyIstioMtls => Err(at("tunnel_protocol", Problem::Unsupported)),
    }
}

fn decode_app_tunnel(message: pb::ApplicationTunnel) -> Result<AppTunnel, DecodeError> {
    use pb::application_tunnel::Protocol;
    let pb::ApplicationTunnel { protocol, port } = message;
    Ok(AppTunnel {
        protocol: match known("protocol", protocol)? {
            Protocol::None => AppTunnelProtocol::None,
            Protocol::Proxy => AppTunnelProtocol::Proxy,
        },
        port: port_or_none(port).map_err(|problem| at("port", problem))?,
    })
}

fn decode_locality(message: pb::Locality) -> Locality {
    let pb::Locality { region, zone, subzone } = message;
    Locality { region: region.into(), zone: zone.into(), subzone: subzone.into() }
}

/// For telemetry only, so that an unknown one is no reason to refuse a workload.
fn decode_owner_kind(kind: i32) -> OwnerKind {
    match pb::WorkloadType::try_from(kind) {
        Ok(pb::WorkloadType::Deployment) | Err(_) => OwnerKind::Deployment,
        Ok(pb::WorkloadType::Cronjob) => OwnerKind::CronJob,
        Ok(pb::WorkloadType::Pod) => OwnerKind::Pod,
        Ok(pb::WorkloadType::Job) => OwnerKind::Job,
    }
}

fn decode_services(services: BTreeMap<String, pb::PortList>) -> Result<Services, DecodeError> {
    (services.into_iter())
        .map(|(name, pb::PortList { ports })| {
            let field = format!("services[{name}]");
            let (namespace, hostname) =
                pair(&name, "namespace/hostname").map_err(|problem| at(&*field, problem))?;
            let ports: Arc<[_]> =
                each("ports", ports, decode_port).map_err(|error| error.within(&field))?;
            Ok((ServiceName::new(namespace, hostname), ports))
        })
        .collect()
}

pub(super) fn decode_policy(name: &str) -> Result<ObjectName, DecodeError> {
    let (namespace, name) = pair(name, "namespace/name").map_err(DecodeError::whole)?;
    Ok(ObjectName::new(namespace, name))
}
