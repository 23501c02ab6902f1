//! What comes before what.
use crate::client::{Client, OfDelta, OfWhole, made};
use culvert_proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use culvert_xds::envoy::{
    kind::Kind,
    serve::{
        channel::{Delta, Whole},
        offer::Offer,
        session::Session,
    },
};
use std::collections::BTreeSet;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn told(responses: &[DeltaDiscoveryResponse]) -> Vec<String> {
    let of = |response: &DeltaDiscoveryResponse| {
        let kind = Kind::of(&response.type_url).unwrap();
        let set = response.resources.iter().map(|one| format!("+{}", one.name));
        let gone = response.removed_resources.iter().map(|name| format!("-{name}"));
        format!("{} {}", kind.as_str(), set.chain(gone).collect::<Vec<_>>().join(" "))
    };
    responses.iter().map(of).collect()
}

/// A client that knows a listener, its routes to `old`, and `old`.
fn begun() -> (OfDelta, Session<Delta>, Offer) {
    let (mut client, mut session, mut offer) =
        (OfDelta::default(), Session::default(), Offer::default());
    offer.generation = 1;
    offer.change(
        [
            made(Kind::Cluster, "old", "1"),
            made(Kind::Endpoint, "old", "1"),
            made(Kind::Listener, "l", "1"),
            made(Kind::Route, "r", "old"),
        ],
        [],
    );
    assert!(client.want(Kind::Endpoint, names(&["old"])).is_some());
    assert!(client.want(Kind::Route, names(&["r"])).is_some());
    for request in client.connect() {
        let response = session.request(&request, &offer, "test").unwrap();
        let answer = client.take(response, false);
        assert!(session.request(&answer, &offer, "test").is_none());
        assert!(session.push(&offer, "test", false).is_empty());
    }
    assert!(session.progress(&offer).is_current);
    (client, session, offer)
}

#[test]
fn what_routes_lead_to_comes_before_them_and_goes_after() {
    let (mut client, mut session, mut offer) = begun();
    offer.generation = 2;
    let set = [
        made(Kind::Cluster, "new", "1"),
        made(Kind::Endpoint, "new", "1"),
        made(Kind::Route, "r", "new"),
    ];
    offer.change(set, [(Kind::Cluster, "old".into()), (Kind::Endpoint, "old".into())]);
    let first = session.push(&offer, "test", false);
    assert_eq!(told(&first), ["cluster +new"]);
    assert!(session.is_held_up(&offer));
    let progress = session.progress(&offer);
    assert_eq!((progress.is_current, progress.generation, progress.unanswered), (false, 1, 1));
    // Its endpoints are asked for, and told at once.
    let request = client.want(Kind::Endpoint, names(&["new", "old"])).unwrap();
    let endpoints = session.request(&request, &offer, "test").unwrap();
    assert_eq!(told(std::slice::from_ref(&endpoints)), ["endpoints +new"]);
    assert!(session.push(&offer, "test", false).is_empty());
    let mut more = Vec::new();
    for response in first.into_iter().chain([endpoints]) {
        let answer = client.take(response, false);
        assert!(session.request(&answer, &offer, "test").is_none());
        more.extend(session.push(&offer, "test", false));
    }
    assert_eq!(told(&more), ["route table +r"]);
    let answer = client.take(more.remove(0), false);
    assert!(session.request(&answer, &offer, "test").is_none());
    let last = session.push(&offer, "test", false);
    assert_eq!(told(&last), ["cluster -old", "endpoints -old"]);
    for response in last {
        let answer = client.take(response, false);
        assert!(session.request(&answer, &offer, "test").is_none());
        assert!(session.push(&offer, "test", false).is_empty());
    }
    let progress = session.progress(&offer);
    assert_eq!((progress.is_current, progress.generation), (true, 2));
}

#[test]
fn who_does_not_answer_is_told_the_rest_in_the_end_and_once() {
    let (_, mut session, mut offer) = begun();
    offer.generation = 2;
    offer.change([made(Kind::Cluster, "new", "1"), made(Kind::Route, "r", "new")], []);
    assert_eq!(told(&session.push(&offer, "test", false)), ["cluster +new"]);
    assert!(session.push(&offer, "test", false).is_empty());
    assert_eq!(told(&session.push(&offer, "test", true)), ["route table +r"]);
    assert!(!session.is_held_up(&offer));
    // However much changes meanwhile: nothing until it answers.
    for turn in 0..100 {
        offer.change([made(Kind::Cluster, "new", &turn.to_string())], []);
        assert!(session.push(&offer, "test", true).is_empty());
    }
    assert_eq!(session.progress(&offer).unanswered, 2);
}

#[test]
fn endpoints_of_a_cluster_that_is_another_are_told_again() {
    let (mut client, mut session, mut offer) = begun();
    offer.change([made(Kind::Cluster, "old", "2"), made(Kind::Cluster, "new", "1")], []);
    let responses = session.push(&offer, "test", false);
    assert_eq!(told(&responses), ["cluster +new +old", "endpoints +old"]);
    for response in responses {
        let answer = client.take(response, false);
        assert!(session.request(&answer, &offer, "test").is_none());
        assert!(session.push(&offer, "test", false).is_empty());
    }
}

#[test]
fn a_refusal_is_known_until_a_later_version_is_accepted() {
    let (mut client, mut session, mut offer) = begun();
    offer.generation = 2;
    offer.change([made(Kind::Listener, "l", "bad")], []);
    let [response] = &*session.push(&offer, "test", false) else { panic!() };
    assert_eq!(response.system_version_info, "2");
    let identifier = &response.control_plane.as_ref().unwrap().identifier;
    assert_eq!(identifier, "test, generation 2");
    let answer = client.take(response.clone(), true);
    assert!(session.request(&answer, &offer, "test").is_none());
    assert!(session.push(&offer, "test", false).is_empty(), "the same is not told again");
    let refused = session.progress(&offer).refused;
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), [(Kind::Listener, "no".into())]);
    offer.change([made(Kind::Listener, "l", "good")], []);
    let response = session.push(&offer, "test", false).remove(0);
    let answer = client.take(response, false);
    assert!(session.request(&answer, &offer, "test").is_none());
    assert!(session.progress(&offer).refused.is_empty());
}

#[test]
fn a_state_of_the_world_has_everything_and_is_not_told_to_who_has_it() {
    let (mut client, mut session, mut offer) =
        (OfWhole::default(), Session::<Whole>::default(), Offer::default());
    offer.change([made(Kind::Cluster, "a", "1"), made(Kind::Cluster, "b", "1")], []);
    for request in client.connect() {
        let response = session.request(&request, &offer, "test").unwrap();
        let answer = client.take(response, false);
        assert!(session.request(&answer, &offer, "test").is_none());
    }
    offer.change([made(Kind::Cluster, "a", "2")], [(Kind::Cluster, "b".into())]);
    let mut sizes = Vec::new();
    while let [response] = &*session.push(&offer, "test", false) {
        sizes.push(response.resources.len());
        let answer = client.take(response.clone(), false);
        assert!(session.request(&answer, &offer, "test").is_none());
    }
    assert_eq!(sizes, [2, 1], "what goes, goes last");
    let mut session = Session::<Whole>::default();
    for request in client.connect() {
        assert!(session.request(&request, &offer, "test").is_none());
        assert!(session.push(&offer, "test", false).is_empty());
    }
    assert!(session.progress(&offer).is_current);
    // A process that begins says that it has nothing.
    let mut session = Session::<Whole>::default();
    for request in OfWhole::default().connect() {
        assert!(session.request(&request, &offer, "test").is_some());
    }
}

#[test]
fn a_request_that_has_not_seen_the_last_response_wants_nothing() {
    let (mut client, mut session, mut offer) =
        (OfWhole::default(), Session::<Whole>::default(), Offer::default());
    offer.change([made(Kind::Route, "a", "1"), made(Kind::Route, "b", "1")], []);
    let request = client.want(Kind::Route, names(&["a"])).unwrap();
    let first = session.request(&request, &offer, "test").unwrap();
    drop(client.take(first, false));
    let stale = client.want(Kind::Route, names(&["b"])).unwrap();
    offer.change([made(Kind::Route, "a", "2")], []);
    let mut answered = stale.clone();
    answered.resource_names = vec!["a".into()];
    assert!(session.request(&answered, &offer, "test").is_none());
    let [second] = &*session.push(&offer, "test", false) else { panic!() };
    assert!(session.request(&stale, &offer, "test").is_none());
    let answer = client.take(second.clone(), false);
    assert_eq!(answer.resource_names, ["b"]);
    let third = session.request(&answer, &offer, "test").unwrap();
    assert_eq!(third.resources.len(), 1);
}

#[test]
fn what_was_dropped_and_is_wanted_again_is_told_again() {
    let (mut client, mut session, mut offer) =
        (OfWhole::default(), Session::<Whole>::default(), Offer::default());
    offer.change([made(Kind::Route, "a", "1"), made(Kind::Route, "b", "1")], []);
    let request = client.want(Kind::Route, names(&["a", "b"])).unwrap();
    let first = session.request(&request, &offer, "test").unwrap();
    session.request(&client.take(first, false), &offer, "test");
    offer.change([made(Kind::Route, "a", "2")], []);
    let [second] = &*session.push(&offer, "test", false) else { panic!() };
    // The client does not hold `b` when it asks for it again, which the server hears too late.
    for wanted in [names(&["a"]), names(&["a", "b"])] {
        let stale = client.want(Kind::Route, wanted).unwrap();
        assert!(session.request(&stale, &offer, "test").is_none());
    }
    let answer = client.take(second.clone(), false);
    let third = session.request(&answer, &offer, "test").unwrap();
    drop(client.take(third, false));
    let held: Vec<&str> = client.held()[&Kind::Route].keys().map(|name| &**name).collect();
    assert_eq!(held, ["a", "b"]);
}
