//! Waypoints, ways into other networks, and addresses in networks, off the wire.
use super::{DecodeError, Problem, at, ip, net, port_or_none};
use culvert_model::{
    name::ServiceName,
    network::{Gateway, HBONE_PORT, NetworkIp, NetworkRange, Target},
};
use culvert_proto::istio::workload as pb;

/// An unset port is HBONE's.
pub(crate) fn decode(message: pb::GatewayAddress) -> Result<Gateway, DecodeError> {
    use pb::gateway_address::Destination;
    let pb::GatewayAddress { hbone_mtls_port, destination } = message;
    let hbone_port = port_or_none(hbone_mtls_port)
        .map_err(|problem| at("hbone_mtls_port", problem))?
        .unwrap_or(HBONE_PORT);
    let target = match destination.ok_or_else(|| at("destination", Problem::Missing))? {
        Destination::Hostname(name) => {
            Target::Service(decode_name(name).map_err(|error| error.within("hostname"))?)
        }
        Destination::Address(address) => {
            Target::Ip(decode_ip(address).map_err(|error| error.within("address"))?)
        }
    };
    Ok(Gateway { target, hbone_port })
}

/// Decodes a gateway that may be absent.
pub(crate) fn decode_some(
    field: &str,
    message: Option<pb::GatewayAddress>,
) -> Result<Option<Gateway>, DecodeError> {
    message.map(decode).transpose().map_err(|error| error.within(field))
}

/// An address without a length is a single one.
pub(crate) fn decode_range(message: &pb::NetworkAddress) -> Result<NetworkRange, DecodeError> {
    let pb::NetworkAddress { network, address, length } = message;
    let range = net(address, *length).map_err(|problem| {
        let field = if matches!(problem, Problem::PrefixLength(..)) { "length" } else { "address" };
        at(field, problem)
    })?;
    Ok(NetworkRange::new(&**network, range))
}

/// A gateway is at one address.
fn decode_ip(message: pb::NetworkAddress) -> Result<NetworkIp, DecodeError> {
    let pb::NetworkAddress { network, address, length } = message;
    let ip = ip(&address).map_err(|problem| at("address", problem))?;
    // Of the bytes, since a v4-mapped address has been made IPv4.
    if length.is_some_and(|length| usize::try_from(length) != Ok(address.len() * 8)) {
        return Err(at("length", Problem::Unsupported));
    }
    Ok(NetworkIp::new(network, ip))
}

fn decode_name(message: pb::NamespacedHostname) -> Result<ServiceName, DecodeError> {
    let pb::NamespacedHostname { namespace, hostname } = message;
    for (field, value) in [("namespace", &namespace), ("hostname", &hostname)] {
        if value.is_empty() {
            return Err(at(field, Problem::Empty));
        }
    }
    Ok(ServiceName::new(namespace, hostname))
}
