//! Workloads on their way to the wire.
use super::{bytes, gateway, l7, service::encode_port};
use culvert_model::{
    locality::Locality,
    member::{AppTunnel, AppTunnelProtocol, Health, Member, NetworkMode, OwnerKind, Tunnel},
    name::ServiceName,
    service::Port,
};
use culvert_proto::istio::workload as pb;

#[must_use]
pub fn encode(member: &Member) -> pb::Workload {
    let Member {
        uid,
        name,
        identity,
        addresses,
        hostname,
        network,
        network_mode,
        tunnel,
        native_tunnel,
        waypoint,
        network_gateway,
        app_tunnel,
        node,
        cluster,
        locality,
        canonical_name,
        canonical_revision,
        owner,
        owner_kind,
        services,
        l7,
        policies,
        health,
        capacity,
    } = member;
    pb::Workload {
        uid: uid.as_str().into(),
        name: (*name.name).into(),
        namespace: (*name.namespace).into(),
        addresses: addresses.iter().map(|ip| bytes(*ip).into()).collect(),
        hostname: (**hostname).into(),
        network: (**network).into(),
        tunnel_protocol: encode_tunnel(*tunnel).into(),
        trust_domain: identity.trust_domain().into(),
        service_account: identity.service_account().into(),
        waypoint: waypoint.as_deref().map(gateway::encode),
        network_gateway: network_gateway.as_deref().map(gateway::encode),
        node: (**node).into(),
        canonical_name: (**canonical_name).into(),
        canonical_revision: (**canonical_revision).into(),
        workload_type: encode_owner_kind(*owner_kind).into(),
        workload_name: (**owner).into(),
        native_tunnel: *native_tunnel,
        application_tunnel: app_tunnel.as_ref().map(encode_app_tunnel),
        services: services.iter().map(|(name, ports)| encode_endpoint(name, ports)).collect(),
        authorization_policies: policies.iter().map(ToString::to_string).collect(),
        status: encode_health(*health).into(),
        cluster_id: (**cluster).into(),
        locality: (**locality != Locality::default()).then(|| encode_locality(locality)),
        network_mode: encode_network_mode(*network_mode).into(),
        extensions: l7::encode(l7),
        capacity: Some(*capacity),
    }
}

fn encode_endpoint(name: &ServiceName, ports: &[Port]) -> (String, pb::PortList) {
    (name.to_string(), pb::PortList { ports: ports.iter().map(encode_port).collect() })
}

fn encode_tunnel(tunnel: Tunnel) -> pb::TunnelProtocol {
    match tunnel {
        Tunnel::None => pb::TunnelProtocol::None,
        Tunnel::Hbone => pb::TunnelProtocol::Hbone,
    }
}

fn encode_owner_kind(kind: OwnerKind) -> pb::WorkloadType {
    match kind {
        OwnerKind::Deployment => pb::WorkloadType::Deployment,
        OwnerKind::CronJob => pb::WorkloadType::Cronjob,
        OwnerKind::Pod => pb::WorkloadType::Pod,
        OwnerKind::Job => pb::WorkloadType::Job,
    }
}

fn encode_app_tunnel(AppTunnel { protocol, port }: &AppTunnel) -> pb::ApplicationTunnel {
    use pb::application_tunnel::Protocol;
    let protocol = match protocol {
        AppTunnelProtocol::None => Protocol::None,
        AppTunnelProtocol::Proxy => Protocol::Proxy,
    };
    pb::ApplicationTunnel {
        protocol: protocol.into(),
        port: port.map_or(0, |port| u32::from(port.get())),
    }
}

fn encode_health(health: Health) -> pb::WorkloadStatus {
    match health {
        Health::Healthy => pb::WorkloadStatus::Healthy,
        Health::Unhealthy => pb::WorkloadStatus::Unhealthy,
    }
}

fn encode_network_mode(mode: NetworkMode) -> pb::NetworkMode {
    match mode {
        NetworkMode::Own => pb::NetworkMode::Standard,
        NetworkMode::Host => pb::NetworkMode::HostNetwork,
    }
}

fn encode_locality(Locality { region, zone, subzone }: &Locality) -> pb::Locality {
    pb::Locality { region: (**region).into(), zone: (**zone).into(), subzone: (**subzone).into() }
}
