//! There and back again.
use crate::any;
use culvert_model::{authz::Authorization, member::Member, service::Service};
use culvert_proto::{
    Any, Message as _,
    envoy::service::discovery::v3::{DeltaDiscoveryResponse as Response, Resource as Wire},
    istio::workload,
};
use culvert_xds::{
    client::{Client, Mode},
    decode, encode,
    resource::{Address, Resource},
    server::{Subscriber, World},
};
use proptest::prelude::*;
use std::sync::Arc;

/// What a node holds that was told of `resource`, and what else it said.
fn travelled<R: Resource>(resource: &R) -> (Option<R>, Option<String>) {
    let mut world = World::empty::<R>();
    world.change([resource], []);
    let (mut client, mut server) = (Client::<R>::new(Mode::Everything), Subscriber::default());
    let response: Response = server.request(&client.connect(), &world).unwrap();
    let refusal = client.receive(response).reply.error_detail;
    (client.held().next().cloned(), refusal.map(|status| status.message))
}

proptest! {
    #[test]
    fn a_workload(member in any::member()) {
        prop_assert_eq!(decode::workload::decode(encode::workload::encode(&member)), Ok(member.clone()));
        let address = Address::Member(Arc::new(member));
        prop_assert_eq!(travelled(&address), (Some(address), None));
    }

    #[test]
    fn a_service(service in any::service()) {
        prop_assert_eq!(decode::service::decode(encode::service::encode(&service)), Ok(service.clone()));
        let address = Address::Service(Arc::new(service));
        prop_assert_eq!(travelled(&address), (Some(address), None));
    }

    #[test]
    fn a_policy_and_where_it_was_written(policy in any::authorization()) {
        let policy = Arc::new(policy);
        prop_assert_eq!(travelled(&policy), (Some(Arc::clone(&policy)), None));
    }

    #[test]
    fn where_it_was_written_is_no_part_of_the_version(policy in any::authorization()) {
        let moved = Authorization { origin: Some("elsewhere:1".into()), ..policy.clone() };
        let version = |policy: Authorization| {
            let policy = Arc::new(policy);
            let mut world = World::empty::<Arc<Authorization>>();
            world.change([&policy], []);
            world.version(&policy.name()).map(str::to_owned)
        };
        prop_assert_eq!(version(policy), version(moved));
    }

    #[test]
    fn nothing_on_the_wire_makes_it_panic(
        member in any::member(),
        policy in any::authorization(),
        aliases in prop::collection::vec("[a-z/0-9.:]{0,12}", 0..3),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        garbled(&Address::Member(Arc::new(member)), &aliases, &flips);
        garbled(&Arc::new(policy), &aliases, &flips);
    }
}

/// A node takes in `resource` with some of its bytes changed.
fn garbled<R: Resource>(resource: &R, aliases: &[String], flips: &[(prop::sample::Index, u8)]) {
    let mut value = resource.encode().encode_to_vec();
    for (at, byte) in flips {
        let at = at.index(value.len());
        value[at] = *byte;
    }
    let wire = Wire {
        name: (*resource.name()).to_owned(),
        aliases: aliases.to_owned(),
        resource: Some(Any { type_url: R::TYPE_URL.to_owned(), value }),
        ..Wire::default()
    };
    let mut client = Client::<R>::new(Mode::Everything);
    drop(client.connect());
    let received = client.receive(Response { resources: vec![wire], ..Response::default() });
    let refused = received.reply.error_detail.is_some();
    assert_eq!(
        (client.held().count(), client.refused().count()),
        if refused { (0, 1) } else { (1, 0) }
    );
}

#[test]
fn a_service_and_a_workload_are_asked_for_by_address() {
    let message = workload::Workload {
        uid: "c//Pod/ns/a".into(),
        namespace: "ns".into(),
        addresses: vec![vec![10, 0, 0, 1].into(), vec![0xfd; 16].into()],
        network: "net".into(),
        ..workload::Workload::default()
    };
    let member: Member = decode::workload::decode(message.clone()).unwrap();
    let names = |address: &Address| {
        address.aliases().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let v6 = "net/fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd";
    assert_eq!(names(&Address::Member(member.into())), format!("net/10.0.0.1 {v6}"));
    let host_network = workload::Workload { network_mode: 1, ..message };
    let member: Member = decode::workload::decode(host_network).unwrap();
    assert_eq!(names(&Address::Member(member.into())), "", "its node's address is not its own");
    let service = workload::Service {
        namespace: "ns".into(),
        hostname: "a.ns.svc.cluster.local".into(),
        addresses: vec![workload::NetworkAddress {
            address: vec![10, 1, 0, 1].into(),
            ..workload::NetworkAddress::default()
        }],
        ..workload::Service::default()
    };
    let service: Service = decode::service::decode(service).unwrap();
    let service = Address::Service(service.into());
    assert_eq!((&*service.name(), &*names(&service)), ("ns/a.ns.svc.cluster.local", "/10.1.0.1"));
}

#[test]
fn what_is_left_out_has_its_default() {
    let message = workload::Workload {
        uid: "u".into(),
        namespace: "ns".into(),
        waypoint: Some(workload::GatewayAddress {
            destination: Some(workload::gateway_address::Destination::Address(
                workload::NetworkAddress {
                    address: vec![10, 0, 0, 1].into(),
                    ..Default::default()
                },
            )),
            hbone_mtls_port: 0,
        }),
        ..workload::Workload::default()
    };
    let member = decode::workload::decode(message).unwrap();
    assert_eq!(member.identity.to_string(), "spiffe://cluster.local/ns/ns/sa/default");
    assert_eq!((&*member.cluster, member.capacity), ("Kubernetes", 1));
    assert_eq!(member.waypoint.unwrap().to_string(), "/10.0.0.1:15008");
}
