//! Services on their way to the wire.
use super::{gateway, l7};
use culvert_model::{
    locality::{Balance, BalanceMode, HealthPolicy, Nearness},
    service::{AppProtocol, Families, Port, Service, Visibility},
};
use culvert_proto::istio::workload as pb;

#[must_use]
pub fn encode(service: &Service) -> pb::Service {
    let Service {
        host,
        name,
        vips,
        ports,
        accepted,
        waypoint,
        weighted_waypoints,
        balance,
        families,
        canonical,
        ingress_use_waypoint,
        visibility,
        l7,
    } = service;
    let families = match families {
        Families::Automatic => pb::IpFamilies::Automatic,
        Families::V4 => pb::IpFamilies::Ipv4Only,
        Families::V6 => pb::IpFamilies::Ipv6Only,
        Families::Dual => pb::IpFamilies::Dual,
    };
    let visibility = match visibility {
        Visibility::Public => pb::ServiceVisibility::Public,
        Visibility::Namespace => pb::ServiceVisibility::Namespace,
    };
    let weighted = weighted_waypoints.iter().map(|(gateway, weight)| pb::WeightedWaypoint {
        destination: Some(gateway::encode(gateway)),
        weight: *weight,
    });
    pb::Service {
        name: (**name).into(),
        namespace: (*host.namespace).into(),
        hostname: (*host.hostname).into(),
        addresses: vips.iter().map(gateway::encode_range).collect(),
        ports: ports.iter().map(encode_port).collect(),
        subject_alt_names: accepted.iter().map(ToString::to_string).collect(),
        waypoint: waypoint.as_ref().map(gateway::encode),
        load_balancing: (*balance != Balance::default()).then(|| encode_balance(balance)),
        ip_families: families.into(),
        extensions: l7::encode(l7),
        canonical: *canonical,
        ingress_use_waypoint: *ingress_use_waypoint,
        weighted_waypoints: weighted.collect(),
        visibility: visibility.into(),
    }
}

pub(crate) fn encode_port(port: &Port) -> pb::Port {
    let Port { port, target, protocol } = port;
    let protocol = match protocol {
        AppProtocol::Unknown => pb::AppProtocol::Unknown,
        AppProtocol::Http1 => pb::AppProtocol::Http11,
        AppProtocol::Http2 => pb::AppProtocol::Http2,
        AppProtocol::Grpc => pb::AppProtocol::Grpc,
        AppProtocol::Tcp => pb::AppProtocol::Tcp,
        AppProtocol::Tls => pb::AppProtocol::Tls,
    };
    pb::Port {
        service_port: u32::from(port.get()),
        target_port: target.map_or(0, |port| u32::from(port.get())),
        app_protocol: protocol.into(),
    }
}

fn encode_balance(balance: &Balance) -> pb::LoadBalancing {
    use pb::load_balancing as lb;
    let Balance { preference, mode, health } = balance;
    let scope = |nearness: &Nearness| match nearness {
        Nearness::Region => lb::Scope::Region,
        Nearness::Zone => lb::Scope::Zone,
        Nearness::Subzone => lb::Scope::Subzone,
        Nearness::Node => lb::Scope::Node,
        Nearness::Cluster => lb::Scope::Cluster,
        Nearness::Network => lb::Scope::Network,
    };
    let mode = match mode {
        BalanceMode::Anywhere => lb::Mode::UnspecifiedMode,
        BalanceMode::Strict => lb::Mode::Strict,
        BalanceMode::Failover => lb::Mode::Failover,
        BalanceMode::Passthrough => lb::Mode::Passthrough,
    };
    let health = match health {
        HealthPolicy::OnlyHealthy => lb::HealthPolicy::OnlyHealthy,
        HealthPolicy::AllowAll => lb::HealthPolicy::AllowAll,
    };
    pb::LoadBalancing {
        routing_preference: preference.iter().map(|one| scope(one).into()).collect(),
        mode: mode.into(),
        health_policy: health.into(),
    }
}
