//! Services off the wire.
use super::{DecodeError, Problem, at, each, gateway, known, l7, port, port_or_none};
use culvert_model::{
    identity::Identity,
    locality::{Balance, BalanceMode, HealthPolicy, Nearness},
    name::ServiceName,
    network::Gateway,
    service::{AppProtocol, Families, Port, Service, Visibility},
};
use culvert_proto::istio::workload as pb;

/// Turns a service off the wire into one that endpoints can be chosen for.
///
/// # Errors
///
/// On anything not understood, but for the protocol of a port.
pub fn decode(message: pb::Service) -> Result<Service, DecodeError> {
    let pb::Service {
        name,
        namespace,
        hostname,
        addresses,
        ports,
        subject_alt_names,
        waypoint,
        load_balancing,
        ip_families,
        extensions,
        canonical,
        ingress_use_waypoint,
        weighted_waypoints,
        visibility,
    } = message;
    for (field, value) in [("namespace", &namespace), ("hostname", &hostname)] {
        if value.is_empty() {
            return Err(at(field, Problem::Empty));
        }
    }
    Ok(Service {
        host: ServiceName::new(namespace, hostname),
        name: name.into(),
        vips: each("addresses", &addresses, gateway::decode_range)?,
        ports: each("ports", ports, decode_port)?,
        accepted: each("subject_alt_names", subject_alt_names, decode_identity)?,
        waypoint: gateway::decode_some("waypoint", waypoint)?,
        weighted_waypoints: each("weighted_waypoints", weighted_waypoints, decode_weighted)?,
        balance: load_balancing
            .map_or_else(|| Ok(Balance::default()), decode_balance)
            .map_err(|error| error.within("load_balancing"))?,
        families: match known("ip_families", ip_families)? {
            pb::IpFamilies::Automatic => Families::Automatic,
            pb::IpFamilies::Ipv4Only => Families::V4,
            pb::IpFamilies::Ipv6Only => Families::V6,
            pb::IpFamilies::Dual => Families::Dual,
        },
        canonical,
        ingress_use_waypoint,
        visibility: match known("visibility", visibility)? {
            pb::ServiceVisibility::Public => Visibility::Public,
            pb::ServiceVisibility::Namespace => Visibility::Namespace,
        },
        l7: l7::decode(&extensions)?,
    })
}

/// One port of a service or of an endpoint; an unknown protocol is only not known.
pub(crate) fn decode_port(message: pb::Port) -> Result<Port, DecodeError> {
    let pb::Port { service_port, target_port, app_protocol } = message;
    Ok(Port {
        port: port(service_port).map_err(|problem| at("service_port", problem))?,
        target: port_or_none(target_port).map_err(|problem| at("target_port", problem))?,
        protocol: match pb::AppProtocol::try_from(app_protocol) {
            Ok(pb::AppProtocol::Unknown) | Err(_) => AppProtocol::Unknown,
            Ok(pb::AppProtocol::Http11) => AppProtocol::Http1,
            Ok(pb::AppProtocol::Http2) => AppProtocol::Http2,
            Ok(pb::AppProtocol::Grpc) => AppProtocol::Grpc,
            Ok(pb::AppProtocol::Tcp) => AppProtocol::Tcp,
            Ok(pb::AppProtocol::Tls) => AppProtocol::Tls,
        },
    })
}

fn decode_identity(name: String) -> Result<Identity, DecodeError> {
    name.parse().map_err(|error| DecodeError::whole(Problem::Identity(name, error)))
}

fn decode_weighted(message: pb::WeightedWaypoint) -> Result<(Gateway, u32), DecodeError> {
    let pb::WeightedWaypoint { destination, weight } = message;
    gateway::decode_some("destination", destination)?
        .map(|gateway| (gateway, weight))
        .ok_or_else(|| at("destination", Problem::Missing))
}

fn decode_balance(message: pb::LoadBalancing) -> Result<Balance, DecodeError> {
    use pb::load_balancing as lb;
    let pb::LoadBalancing { routing_preference, mode, health_policy } = message;
    Ok(Balance {
        preference: each("routing_preference", routing_preference, decode_nearness)?,
        mode: match known("mode", mode)? {
            lb::Mode::UnspecifiedMode => BalanceMode::Anywhere,
            lb::Mode::Strict => BalanceMode::Strict,
            lb::Mode::Failover => BalanceMode::Failover,
            lb::Mode::Passthrough => BalanceMode::Passthrough,
        },
        health: match known("health_policy", health_policy)? {
            lb::HealthPolicy::OnlyHealthy => HealthPolicy::OnlyHealthy,
            lb::HealthPolicy::AllowAll => HealthPolicy::AllowAll,
        },
    })
}

fn decode_nearness(scope: i32) -> Result<Nearness, DecodeError> {
    use pb::load_balancing::Scope;
    Ok(match known("", scope)? {
        Scope::UnspecifiedScope => return Err(DecodeError::whole(Problem::Unknown(scope))),
        Scope::Region => Nearness::Region,
        Scope::Zone => Nearness::Zone,
        Scope::Subzone => Nearness::Subzone,
        Scope::Node => Nearness::Node,
        Scope::Cluster => Nearness::Cluster,
        Scope::Network => Nearness::Network,
    })
}
