//! What is said and answered, in both protocols.
use super::*;
use culvert_model::http::source::From;
use culvert_proto::{
    Message as _,
    api::{
        envoy::{
            config::{endpoint::v3::ClusterLoadAssignment, route::v3::RouteConfiguration},
            service::discovery::v3::Resource,
        },
        google::protobuf::Any,
    },
};
use std::time::Duration;

const ADS: Asked = Asked::Source(From::Ads);

fn stream(protocol: Protocol) -> Stream {
    let node = Node { id: "n".to_owned(), ..Node::default() };
    Stream::new(protocol, ADS, node, true)
}

fn some(names: &[&str]) -> Wanted {
    Wanted::Names(names.iter().map(|&name| name.into()).collect())
}

fn nothing(_: Kind) -> BTreeMap<String, String> {
    BTreeMap::new()
}

fn world(request: Option<Request>) -> DiscoveryRequest {
    match request {
        Some(Request::StateOfTheWorld(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn delta(request: Option<Request>) -> DeltaDiscoveryRequest {
    match request {
        Some(Request::Delta(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn routes(name: &str) -> Any {
    let message = RouteConfiguration { name: name.to_owned(), ..Default::default() };
    Any { type_url: Kind::Route.type_url().to_owned(), value: message.encode_to_vec() }
}

fn world_of(version: &str, nonce: &str, resources: Vec<Any>) -> Response {
    Response::StateOfTheWorld(DiscoveryResponse {
        version_info: version.to_owned(),
        nonce: nonce.to_owned(),
        type_url: Kind::Route.type_url().to_owned(),
        resources,
        ..Default::default()
    })
}

fn wrong() -> Wrong {
    Wrong { path: "a.b".to_owned(), what: "is bad".to_owned() }
}

#[test]
fn the_state_of_the_world_is_accepted_refused_and_asked_for_again() {
    let mut stream = stream(Protocol::StateOfTheWorld);
    assert!(stream.want(Kind::Route, some(&["r"]), nothing).is_none());
    let first = world(stream.connect(nothing).pop());
    assert_eq!((&*first.resource_names, &*first.version_info), (&["r".to_owned()][..], ""));
    assert_eq!(first.node.unwrap().id, "n");

    let received = stream.receive(world_of("1", "x", vec![routes("r"), routes("other")])).unwrap();
    let names: Vec<_> = received.update.set.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["r"]);
    assert!(!received.update.is_whole);
    let answer = world(Some(stream.answer(received.receipt, &[])));
    assert_eq!((&*answer.version_info, &*answer.response_nonce), ("1", "x"));
    assert_eq!(answer.resource_names, ["r"]);
    assert!(answer.error_detail.is_none() && answer.node.is_none());

    // Refused: the version stays the last that was good, the nonce does not.
    let received = stream.receive(world_of("2", "y", vec![routes("r")])).unwrap();
    let answer = world(Some(stream.answer(received.receipt, &[("r".into(), wrong())])));
    assert_eq!((&*answer.version_info, &*answer.response_nonce), ("1", "y"));
    assert_eq!(answer.error_detail.unwrap().message, "r: a.b: is bad");

    // More names: the same nonce and version.
    let more = world(stream.want(Kind::Route, some(&["q", "r"]), nothing));
    assert_eq!((&*more.version_info, &*more.response_nonce), ("1", "y"));
    assert_eq!(more.resource_names, ["q", "r"]);

    // A new stream goes on from what is held, and its nonces are its own.
    stream.disconnect();
    let again = world(stream.connect(nothing).pop());
    assert_eq!((&*again.version_info, &*again.response_nonce), ("1", ""));
    assert!(again.node.is_some());
}

#[test]
fn changes_are_asked_for_apart_from_answers() {
    let mut stream = stream(Protocol::Delta);
    assert!(stream.want(Kind::Route, some(&[]), nothing).is_none());
    assert!(stream.connect(nothing).is_empty());
    let first = delta(stream.want(Kind::Route, some(&["a"]), nothing));
    assert_eq!(first.resource_names_subscribe, ["a"]);
    let next = delta(stream.want(Kind::Route, some(&["b"]), nothing));
    assert_eq!(next.resource_names_subscribe, ["b"]);
    assert_eq!(next.resource_names_unsubscribe, ["a"]);

    let response = DeltaDiscoveryResponse {
        type_url: Kind::Route.type_url().to_owned(),
        nonce: "x".to_owned(),
        resources: vec![Resource {
            name: "real".to_owned(),
            aliases: vec!["b".to_owned()],
            version: "7".to_owned(),
            resource: Some(routes("real")),
            ..Default::default()
        }],
        removed_resources: vec!["a".to_owned()],
        ..Default::default()
    };
    let received = stream.receive(Response::Delta(response)).unwrap();
    assert_eq!(&*received.update.set[0].name, "b");
    assert_eq!(received.update.removed, ["a".into()]);
    let answer = delta(Some(stream.answer(received.receipt, &[("b".into(), wrong())])));
    assert_eq!(answer.response_nonce, "x");
    assert_eq!(answer.error_detail.unwrap().message, "b: a.b: is bad");
    assert!(answer.resource_names_subscribe.is_empty());

    stream.disconnect();
    let held = |_: Kind| BTreeMap::from([("b".to_owned(), "7".to_owned())]);
    let again = delta(stream.connect(held).pop());
    assert_eq!(again.resource_names_subscribe, ["b"]);
    assert_eq!(again.initial_resource_versions["b"], "7");
}

#[test]
fn everything_is_asked_for_and_taken_whole() {
    let mut world_stream = stream(Protocol::StateOfTheWorld);
    world_stream.want(Kind::Cluster, Wanted::All, nothing);
    let first = world(world_stream.connect(nothing).pop());
    assert!(first.resource_names.is_empty());
    let empty =
        DiscoveryResponse { type_url: Kind::Cluster.type_url().to_owned(), ..Default::default() };
    let received = world_stream.receive(Response::StateOfTheWorld(empty)).unwrap();
    assert!(received.update.is_whole);
    let mut delta_stream = stream(Protocol::Delta);
    delta_stream.want(Kind::Cluster, Wanted::All, nothing);
    let first = delta(delta_stream.connect(nothing).pop());
    assert_eq!(first.resource_names_subscribe, ["*"]);
}

#[test]
fn a_wrapped_resource_has_a_time_to_live() {
    let mut stream = stream(Protocol::StateOfTheWorld);
    stream.want(Kind::Endpoint, some(&["c"]), nothing);
    let message = ClusterLoadAssignment { cluster_name: "c".to_owned(), ..Default::default() };
    let resource = Resource {
        name: "c".to_owned(),
        resource: Some(Any {
            type_url: Kind::Endpoint.type_url().to_owned(),
            value: message.encode_to_vec(),
        }),
        ttl: Some(culvert_proto::api::google::protobuf::Duration { seconds: 3, nanos: 0 }),
        ..Default::default()
    };
    let response = DiscoveryResponse {
        type_url: Kind::Endpoint.type_url().to_owned(),
        resources: vec![Any { type_url: WRAPPER.to_owned(), value: resource.encode_to_vec() }],
        ..Default::default()
    };
    let received = stream.receive(Response::StateOfTheWorld(response)).unwrap();
    assert_eq!(received.update.set[0].ttl, Some(Duration::from_secs(3)));
    assert_eq!(received.update.set[0].any.type_url, Kind::Endpoint.type_url());
}

#[test]
fn what_was_let_go_of_and_is_wanted_again_is_asked_for_again() {
    let held = |_: Kind| BTreeMap::from([("r".to_owned(), "1".to_owned())]);
    let mut world_stream = stream(Protocol::StateOfTheWorld);
    world_stream.want(Kind::Route, some(&["q", "r"]), nothing);
    world_stream.connect(nothing);
    let response = world_of("1", "x", vec![routes("r")]);
    let received = world_stream.receive(response).unwrap();
    drop(world_stream.answer(received.receipt, &[]));
    assert_eq!(world_stream.recall(Kind::Route, held), []);
    let again: Vec<_> = world_stream.recall(Kind::Route, nothing).into_iter().map(Some).collect();
    let [without, with]: [_; 2] = again.try_into().unwrap();
    let (without, with) = (world(without), world(with));
    assert_eq!((&*without.resource_names, &*without.version_info), (&["q".to_owned()][..], "1"));
    assert_eq!((with.resource_names.len(), &*with.version_info), (2, ""));
    assert_eq!((&*without.response_nonce, &*with.response_nonce), ("x", "x"));
    // Until it has come once more.
    assert_eq!(world_stream.recall(Kind::Route, nothing), []);

    let mut delta_stream = stream(Protocol::Delta);
    delta_stream.want(Kind::Route, some(&["r"]), nothing);
    delta_stream.connect(nothing);
    let resource =
        Resource { name: "r".to_owned(), resource: Some(routes("r")), ..Default::default() };
    let response = DeltaDiscoveryResponse {
        type_url: Kind::Route.type_url().to_owned(),
        resources: vec![resource],
        ..Default::default()
    };
    let received = delta_stream.receive(Response::Delta(response)).unwrap();
    drop(delta_stream.answer(received.receipt, &[]));
    let again = delta(delta_stream.recall(Kind::Route, nothing).pop());
    assert_eq!(again.resource_names_subscribe, ["r"]);
    assert!(again.resource_names_unsubscribe.is_empty());
}
