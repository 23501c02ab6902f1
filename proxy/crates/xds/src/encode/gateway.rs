//! Waypoints, ways into other networks, and addresses in networks, on their way to the wire.
use super::{bytes, net};
use culvert_model::{
    name::ServiceName,
    network::{Gateway, NetworkIp, NetworkRange, Target},
};
use culvert_proto::istio::workload as pb;

pub(crate) fn encode(Gateway { target, hbone_port }: &Gateway) -> pb::GatewayAddress {
    use pb::gateway_address::Destination;
    let destination = match target {
        Target::Service(ServiceName { namespace, hostname }) => {
            Destination::Hostname(pb::NamespacedHostname {
                namespace: (**namespace).into(),
                hostname: (**hostname).into(),
            })
        }
        Target::Ip(NetworkIp { network, ip }) => Destination::Address(pb::NetworkAddress {
            network: (**network).into(),
            address: bytes(*ip).into(),
            length: None,
        }),
    };
    pb::GatewayAddress {
        hbone_mtls_port: u32::from(hbone_port.get()),
        destination: Some(destination),
    }
}

/// A single address goes without a length, as Istio writes it.
pub(crate) fn encode_range(range: &NetworkRange) -> pb::NetworkAddress {
    let (address, length) = net(range.range);
    pb::NetworkAddress {
        network: (*range.network).into(),
        address: address.into(),
        length: range.single().is_none().then_some(length),
    }
}
