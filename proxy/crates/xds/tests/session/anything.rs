//! The other end may say anything: neither machine panics, and each keeps its word.
use crate::thing::{BAD, Thing, alias, name, on_the_wire};
use culvert_proto::{
    envoy::service::discovery::v3::{
        DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response, Resource as Wire,
    },
    google::rpc::Status,
};
use culvert_xds::{
    client::{Change, Client, Mode},
    resource::Resource as _,
    server::{Manner, Removals, Subscriber, World},
};
use proptest::{collection, option, prelude::*};
use std::collections::BTreeSet;

fn thing() -> impl Strategy<Value = Thing> {
    let value = prop_oneof![3 => 0..4_u8, 1 => Just(BAD)];
    (0..3_u8, value, collection::vec(0..3_u8, 0..3)).prop_map(|(name, value, aliases)| Thing {
        name,
        value,
        aliases,
    })
}

/// A name, an alias, the wildcard or nothing that there is.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..3_u8).prop_map(|one| (*name(one)).to_owned()),
        (0..3_u8).prop_map(|one| (*alias(one)).to_owned()),
        Just("*".to_owned()),
        Just(String::new()),
    ]
}

fn wire() -> impl Strategy<Value = Wire> {
    (thing(), 0..3_u8, option::of(key()), any::<bool>()).prop_map(
        |(thing, version, other, body)| {
            let mut wire = on_the_wire(&thing, &version.to_string());
            wire.name = other.unwrap_or(wire.name);
            wire.resource = wire.resource.filter(|_| body);
            wire
        },
    )
}

fn response() -> impl Strategy<Value = Response> {
    (collection::vec(wire(), 0..4), collection::vec(key(), 0..3)).prop_map(
        |(resources, removed)| Response {
            resources,
            removed_resources: removed,
            nonce: "n".into(),
            ..Response::default()
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let versions = collection::btree_map(key(), "[0-2]{0,1}", 0..3);
    let names = || collection::vec(key(), 0..3);
    (names(), names(), versions, 0..6_u8, any::<bool>()).prop_map(
        |(subscribe, unsubscribe, versions, nonce, bad)| Request {
            resource_names_subscribe: subscribe,
            resource_names_unsubscribe: unsubscribe,
            initial_resource_versions: versions,
            response_nonce: nonce.to_string(),
            error_detail: bad.then(Status::default),
            ..Request::default()
        },
    )
}

proptest! {
    #[test]
    fn a_node_holds_only_what_it_understood(
        everything: bool,
        wanted in collection::vec(key(), 0..4),
        responses in collection::vec(response(), 0..8),
    ) {
        let mode = if everything { Mode::Everything } else { Mode::OnDemand };
        let mut client = Client::<Thing>::new(mode);
        drop(client.connect());
        for key in &wanted {
            drop(client.want(&(**key).into()));
        }
        let mut heard = BTreeSet::new();
        for response in responses {
            let received = client.receive(response);
            prop_assert_eq!(&*received.reply.response_nonce, "n");
            let refused = received.changes.iter().any(|it| matches!(it, Change::Refused(_)));
            prop_assert_eq!(received.reply.error_detail.is_some(), refused);
            for change in received.changes {
                match change {
                    Change::Set(thing) => drop(heard.replace(thing.name())),
                    Change::Removed(name) => prop_assert!(heard.remove(&name)),
                    Change::Refused(_) | Change::Absent(_) => {}
                }
            }
            prop_assert!(client.held().all(Thing::is_good));
            let held: BTreeSet<_> = client.held().map(Thing::name).collect();
            prop_assert_eq!(&heard, &held);
            let never_held = client.refused().filter(|(name, _)| !client.holds(name)).count();
            prop_assert_eq!(client.stand_ins().count(), never_held);
        }
        for key in &wanted {
            let (changes, request) = client.forget(&(**key).into());
            prop_assert!(everything <= changes.is_empty());
            prop_assert!(request.is_none_or(|request| request.response_nonce.is_empty()));
        }
        prop_assert!(everything || client.held().count() == 0, "nobody wants anything");
    }

    #[test]
    fn a_control_plane_says_only_what_there_is(
        late: bool,
        steps in collection::vec((request(), option::of(collection::vec(thing(), 0..3))), 0..12),
    ) {
        let mut world = World::empty::<Thing>();
        let mut server = Subscriber::new(Manner {
            removals: if late { Removals::Late } else { Removals::AtOnce },
            ..Manner::default()
        });
        let mut nonces = BTreeSet::new();
        for (request, things) in steps {
            if let Some(things) = things {
                world.replace(&things);
            }
            let answer = server.request(&request, &world);
            for response in answer.into_iter().chain(server.push(&world)) {
                prop_assert!(nonces.insert(response.nonce), "a nonce twice");
                for one in &response.resources {
                    prop_assert_eq!(world.version(&one.name), Some(&*one.version));
                    prop_assert!(!response.removed_resources.contains(&one.name));
                }
            }
            prop_assert!(server.lag(&world).changes <= world.sequence());
        }
    }
}
