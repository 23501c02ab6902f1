//! A mesh for tests: small words for workloads and services.
use culvert_model::{
    identity::Identity,
    member::{Member, Tunnel},
    name::{ObjectName, ServiceName, WorkloadUid},
    network::{Gateway, HBONE_PORT, NetworkIp, NetworkRange, Target},
    service::{AppProtocol, Port, Service},
    snapshot::{Known, Mesh, OutboundPolicy, Snapshot, build::Builder},
};
use std::{num::NonZeroU16, sync::Arc};

/// An enrolled pod of the namespace `shop`, its service account named as it is.
pub(crate) fn pod(name: &str, ips: &[&str]) -> Member {
    let object = ObjectName::new("shop", name);
    Member {
        addresses: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        tunnel: Tunnel::Hbone,
        ..Member::new(uid(name), object, Identity::try_new("td", "shop", name).unwrap())
    }
}

/// The uid of a [`pod`].
pub(crate) fn uid(name: &str) -> WorkloadUid {
    WorkloadUid::pod("c", &ObjectName::new("shop", name))
}

/// `shop/<name>`, at 10.1.0.1, whose port 80 is 8080.
pub(crate) fn service(name: &str) -> Service {
    Service {
        vips: [NetworkRange::new("", "10.1.0.1/32".parse().unwrap())].into(),
        ports: [port(80, Some(8080))].into(),
        ..Service::new(host(name), name)
    }
}

pub(crate) fn host(name: &str) -> ServiceName {
    ServiceName::new("shop", name)
}

pub(crate) fn port(port: u16, target: Option<u16>) -> Port {
    Port {
        port: NonZeroU16::new(port).unwrap(),
        target: target.map(|target| NonZeroU16::new(target).unwrap()),
        protocol: AppProtocol::Tcp,
    }
}

/// `member` behind the service, with `ports` of its own.
pub(crate) fn behind(member: Member, name: &str, ports: &[Port]) -> Member {
    let others = member.services.iter().map(|(name, ports)| (name.clone(), Arc::clone(ports)));
    let services = others.chain([(host(name), ports.into())]).collect();
    Member { services, ..member }
}

pub(crate) fn by_service(name: &str) -> Gateway {
    Gateway { target: Target::Service(host(name)), hbone_port: HBONE_PORT }
}

pub(crate) fn by_ip(network: &str, ip: &str) -> Gateway {
    let at = NetworkIp::new(network, ip.parse().unwrap());
    Gateway { target: Target::Ip(at), hbone_port: HBONE_PORT }
}

/// What the node `a` knows.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) members: Vec<Member>,
    pub(crate) services: Vec<Service>,
    pub(crate) policies: Vec<culvert_model::authz::Authorization>,
    pub(crate) outbound: OutboundPolicy,
    pub(crate) closed: Vec<NetworkRange>,
}

impl World {
    pub(crate) fn of(
        members: impl IntoIterator<Item = Member>,
        services: impl IntoIterator<Item = Service>,
    ) -> Self {
        let (members, services) = (members.into_iter().collect(), services.into_iter().collect());
        Self { members, services, ..Self::default() }
    }

    pub(crate) fn snapshot(self) -> Snapshot {
        let Self { members, services, policies, outbound, closed } = self;
        let mut builder = Builder::new(Mesh { outbound, node: "a".into(), ..Mesh::default() });
        members.into_iter().for_each(|member| builder.set_member(Arc::new(member)));
        services.into_iter().for_each(|service| builder.set_service(Arc::new(service)));
        policies.into_iter().for_each(|policy| builder.set_policy(Arc::new(policy)));
        builder.set_closed(closed);
        builder.build()
    }
}

/// The [`pod`] of a name.
pub(crate) fn known<'s>(snapshot: &'s Snapshot, name: &str) -> &'s Arc<Known> {
    snapshot.known(&uid(name)).unwrap()
}
