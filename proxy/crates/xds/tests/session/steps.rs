//! Single steps of the two machines.
use crate::thing::{BAD, Thing, alias, name, not_read, on_the_wire};
use culvert_proto::{
    envoy::service::discovery::v3::{
        DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response, Resource as Wire,
    },
    google::rpc::Status,
};
use culvert_xds::{
    client::{Change, Client, Known, Mode},
    decode::{DecodeError, Problem},
    resource::Resource as _,
    server::{Lag, Subscriber, World},
};

fn thing(name: u8, value: u8, aliases: &[u8]) -> Thing {
    Thing { name, value, aliases: aliases.to_vec() }
}

fn response(nonce: &str, resources: Vec<Wire>, removed: &[&str]) -> Response {
    Response {
        nonce: nonce.to_owned(),
        type_url: Thing::TYPE_URL.to_owned(),
        resources,
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        ..Response::default()
    }
}

/// An answer to `response`.
fn answer(response: &Response, refusal: Option<&str>) -> Request {
    Request {
        response_nonce: response.nonce.clone(),
        error_detail: refusal
            .map(|message| Status { message: message.into(), ..Status::default() }),
        ..Request::default()
    }
}

fn names(response: &Response) -> Vec<&str> {
    response.resources.iter().map(|one| &*one.name).collect()
}

#[test]
fn the_first_request_asks_for_everything_or_for_nothing_but_names() {
    let mut everything = Client::<Thing>::new(Mode::Everything);
    let request = everything.connect();
    assert_eq!(request.type_url, Thing::TYPE_URL);
    assert!(request.resource_names_subscribe.is_empty());
    assert!(request.resource_names_unsubscribe.is_empty());
    let mut on_demand = Client::<Thing>::new(Mode::OnDemand);
    assert_eq!(on_demand.want(&alias(1)), None, "nobody is connected");
    let request = on_demand.connect();
    assert_eq!(request.resource_names_subscribe, ["*", "alias/1"]);
    assert_eq!(request.resource_names_unsubscribe, ["*"]);
    let versions = request.initial_resource_versions.into_iter().collect::<Vec<_>>();
    assert_eq!(versions, [("alias/1".to_owned(), String::new())]);
}

#[test]
fn the_good_of_a_bad_response_is_held_and_the_bad_named() {
    let mut client = Client::<Thing>::new(Mode::Everything);
    drop(client.connect());
    let (good, bad) = (thing(1, 1, &[]), thing(2, BAD, &[]));
    let wire = vec![on_the_wire(&good, "v1"), on_the_wire(&bad, "v2")];
    let received = client.receive(response("n1", wire, &[]));
    assert_eq!(received.changes, [Change::Set(good.clone()), Change::Refused(name(2))]);
    assert_eq!(received.reply.response_nonce, "n1");
    let said = received.reply.error_detail.unwrap();
    assert_eq!(
        (said.code, &*said.message),
        (3, "thing/2: set, and this version does not implement it")
    );
    assert!(received.reply.resource_names_subscribe.is_empty(), "an answer asks for nothing");
    let versions = client.connect().initial_resource_versions;
    assert_eq!((&*versions["thing/1"], &*versions["thing/2"]), ("v1", ""));
    assert_eq!(client.stand_ins().collect::<Vec<_>>(), ["thing/2"]);
    // A later good one, and a bad one of what is held.
    let (fixed, broken) = (thing(2, 2, &[]), thing(1, BAD, &[]));
    let wire = vec![on_the_wire(&fixed, "v3"), on_the_wire(&broken, "v4")];
    drop(client.receive(response("n2", wire, &[])));
    assert_eq!(client.held().collect::<Vec<_>>(), [&good, &fixed]);
    assert_eq!(client.stand_ins().count(), 0, "the earlier version stays");
    // It must hear what has become of it even when that is what it holds.
    assert_eq!(client.connect().initial_resource_versions["thing/1"], "");
}

#[test]
fn a_name_twice_in_one_response_is_refused_whatever_it_says() {
    let mut client = Client::<Thing>::new(Mode::Everything);
    drop(client.connect());
    let wire = [thing(1, 1, &[]), thing(1, 2, &[])].map(|one| on_the_wire(&one, "v"));
    let received = client.receive(response("n", wire.into(), &[]));
    assert_eq!(received.changes, [Change::Refused(name(1))]);
    assert_eq!(client.held().count(), 0);
}

#[test]
fn what_cannot_be_read_or_goes_by_another_name_is_refused() {
    let mut client = Client::<Thing>::new(Mode::Everything);
    drop(client.connect());
    let mut garbage = on_the_wire(&thing(1, 1, &[]), "v");
    garbage.resource.as_mut().unwrap().value = vec![0xff];
    let mut other_type = on_the_wire(&thing(2, 1, &[]), "v");
    other_type.resource.as_mut().unwrap().type_url = "t".into();
    let mut other_name = on_the_wire(&thing(3, 1, &[]), "v");
    other_name.name = "thing/4".into();
    let empty = Wire { name: "thing/5".into(), ..Wire::default() };
    let wire = vec![garbage, other_type, other_name, empty];
    drop(client.receive(response("n", wire, &[])));
    let errors: Vec<_> = client.refused().map(|(_, refused)| refused.error.clone()).collect();
    let expect = [
        Problem::Bytes(not_read()),
        Problem::OtherType("t".into()),
        Problem::OtherName("thing/3".into()),
        Problem::Missing,
    ];
    assert_eq!(errors, expect.map(DecodeError::whole));
}

#[test]
fn a_heartbeat_changes_nothing() {
    let mut client = Client::<Thing>::new(Mode::Everything);
    drop(client.connect());
    let wire = on_the_wire(&thing(1, 1, &[]), "v");
    drop(client.receive(response("n", vec![wire.clone()], &[])));
    let heartbeat = Wire { resource: None, ..wire };
    let received = client.receive(response("n", vec![heartbeat], &[]));
    assert_eq!((received.changes, received.reply.error_detail), (vec![], None));
}

#[test]
fn a_lookup_by_alias_is_answered_once_and_for_all_who_go_by_it() {
    let mut world = World::empty::<Thing>();
    world.replace(&[thing(1, 1, &[7]), thing(2, 1, &[7]), thing(3, 1, &[])]);
    let (mut client, mut server) = (Client::<Thing>::new(Mode::OnDemand), Subscriber::default());
    let first = server.request(&client.connect(), &world).unwrap();
    assert_eq!(names(&first), Vec::<&str>::new());
    drop(server.request(&client.receive(first).reply, &world));
    assert_eq!(client.known("alias/7"), Known::Unknown);
    let found = server.request(&client.want(&alias(7)).unwrap(), &world).unwrap();
    assert_eq!(names(&found), ["thing/1", "thing/2"]);
    assert_eq!(client.want(&alias(7)), None, "it is on its way");
    // Another one while the first is unanswered, and it does not exist.
    let absent = server.request(&client.want(&alias(9)).unwrap(), &world).unwrap();
    assert_eq!(absent.removed_resources, ["alias/9"]);
    let replies = [found, absent].map(|it| client.receive(it).reply);
    assert!(matches!(client.known("alias/7"), Known::Held(all) if all.len() == 2));
    assert_eq!(client.known("alias/9"), Known::Absent);
    for reply in replies {
        assert_eq!(server.request(&reply, &world), None);
    }
    // It comes to exist.
    world.change(&[thing(3, 1, &[9])], []);
    assert_eq!(names(&server.push(&world).unwrap()), ["thing/3"]);
}

#[test]
fn changes_gather_while_a_response_is_unanswered() {
    let mut world = World::empty::<Thing>();
    let mut server = Subscriber::default();
    let first = server.request(&Client::<Thing>::new(Mode::Everything).connect(), &world).unwrap();
    assert_eq!(server.request(&answer(&first, None), &world), None);
    world.change(&[thing(1, 1, &[])], []);
    let one = server.push(&world).unwrap();
    world.change(&[thing(2, 1, &[])], []);
    assert_eq!(server.push(&world), None);
    world.change(&[thing(2, 2, &[])], ["thing/1"]);
    assert_eq!(server.lag(&world), Lag { changes: 3, unanswered: 1 });
    assert_eq!(server.request(&answer(&one, None), &world), None);
    let both = server.push(&world).unwrap();
    assert_eq!(
        (names(&both), &*both.removed_resources),
        (vec!["thing/2"], &["thing/1".to_owned()][..])
    );
    assert_eq!(server.request(&answer(&both, None), &world), None);
    assert_eq!(server.lag(&world), Lag { changes: 0, unanswered: 0 });
    world.change(&[thing(2, 2, &[])], ["thing/9"]);
    assert_eq!(server.push(&world), None, "nothing is another");
}

#[test]
fn what_a_node_refuses_it_does_not_confirm() {
    let mut world = World::empty::<Thing>();
    let mut server = Subscriber::default();
    world.change(&[thing(1, 1, &[]), thing(2, BAD, &[])], []);
    let first = server.request(&Client::<Thing>::new(Mode::Everything).connect(), &world).unwrap();
    assert!(!server.confirms(world.sequence(), "thing/1"));
    assert_eq!(server.request(&answer(&first, Some("thing/2: no")), &world), None);
    assert!(!server.confirms(world.sequence(), "thing/2"));
    assert!(server.confirms(world.sequence(), "thing/3"));
    assert_eq!(server.refusal(), Some("thing/2: no"));
    world.change(&[thing(1, 2, &[]), thing(2, 2, &[])], []);
    let next = server.push(&world).unwrap();
    assert_eq!(server.request(&answer(&next, None), &world), None);
    assert!(server.confirms(world.sequence(), "thing/2"));
    assert_eq!(server.refusal(), None);
}

#[test]
fn an_answer_to_nothing_is_no_answer_and_still_changes_what_is_wanted() {
    let mut world = World::empty::<Thing>();
    world.change(&[thing(1, 1, &[])], []);
    let mut server = Subscriber::default();
    drop(server.request(&Client::<Thing>::new(Mode::OnDemand).connect(), &world).unwrap());
    let request = Request {
        response_nonce: "of another stream".into(),
        resource_names_subscribe: vec!["thing/1".into()],
        ..Request::default()
    };
    assert_eq!(names(&server.request(&request, &world).unwrap()), ["thing/1"]);
    assert_eq!(server.lag(&world).unanswered, 2);
}

#[test]
fn a_node_far_behind_is_told_all_that_changed() {
    let mut world = World::empty::<Thing>();
    let mut server = Subscriber::default();
    let first = server.request(&Client::<Thing>::new(Mode::Everything).connect(), &world).unwrap();
    drop(server.request(&answer(&first, None), &world));
    for value in 0..BAD {
        world.change(&[thing(1, value, &[])], []);
        world.change(&[thing(2, value, &[])], []);
    }
    assert_eq!(names(&server.push(&world).unwrap()), ["thing/1", "thing/2"]);
}
