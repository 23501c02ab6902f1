//! What is told of requests is what an engine does with them.
use super::files::Files;
use culvert_control::object::Objects;
use culvert_model::{
    facts::{ConnFacts, Direction},
    http::listener,
    identity::Identity,
    name::WorkloadUid,
    party::Party,
};
use culvert_policy::{
    http::{
        fault::Abort,
        handed,
        why::{Does, Engine, Outcome, Request, Side},
    },
    why::Question,
};
use driven::{Driven, Seen};
use proptest::prelude::*;
use std::net::SocketAddr;
use tokio::runtime;

mod driven;

mod random;

/// Everything that may become of a request, as it is told.
fn told(side: &Side) -> Vec<Seen> {
    let Some(passage) = side.passage() else { return vec![Seen::NotTaken] };
    let mut all: Vec<Seen> = (passage.filters.iter())
        .filter_map(|filter| match &filter.does {
            Does::Faults { abort: Some(Abort::Status(status)), .. } => {
                Some(Seen::Status(status.as_u16()))
            }
            Does::Rules { .. }
            | Does::Tree { .. }
            | Does::Faults { .. }
            | Does::Preflight
            | Does::Untold(_) => None,
        })
        .collect();
    match &passage.outcome {
        Outcome::Refused { status, .. }
        | Outcome::Stopped { status }
        | Outcome::Answered { status, .. } => all.push(Seen::Status(status.as_u16())),
        Outcome::Sent(sent) => {
            for share in &sent.shares {
                let ends = share.endpoints.iter().filter(|one| one.may);
                let reached = ends.map(|one| Seen::Reached {
                    at: one.at.unwrap(),
                    path: share.request.path.clone(),
                    host: share.request.authority.clone(),
                });
                all.extend(reached);
                if !share.leads_on() {
                    let gone = share.config.is_none();
                    let status = if gone { sent.not_found.as_u16() } else { 503 };
                    all.push(Seen::Status(status));
                }
            }
        }
    }
    all
}

/// A pod of a node, and whose connections it has.
#[derive(Clone, Copy)]
struct Place {
    namespace: &'static str,
    node: &'static str,
    direction: Direction,
    source: &'static str,
    to: &'static str,
    account: &'static str,
}

/// Clients of two namespaces at a service, and both kinds of clients at a server.
const PLACES: [Place; 4] = [
    Place {
        namespace: "shop",
        node: "a",
        direction: Direction::Outbound,
        source: "10.1.0.3:40000",
        to: "10.96.0.1:9080",
        account: "web",
    },
    Place {
        namespace: "bank",
        node: "a",
        direction: Direction::Outbound,
        source: "10.1.0.4:40000",
        to: "10.96.0.1:9080",
        account: "teller",
    },
    Place {
        namespace: "shop",
        node: "b",
        direction: Direction::Inbound,
        source: "10.1.0.3:40000",
        to: "10.2.0.1:8080",
        account: "web",
    },
    Place {
        namespace: "shop",
        node: "b",
        direction: Direction::Inbound,
        source: "10.1.0.4:40000",
        to: "10.2.0.1:8080",
        account: "other",
    },
];

impl Place {
    fn facts(&self) -> ConnFacts {
        let (source, to) = (self.source.parse().unwrap(), self.to.parse().unwrap());
        let identity = Identity::try_new("cluster.local", "shop", self.account).unwrap();
        ConnFacts { source_identity: Some(identity), ..ConnFacts::new(self.direction, source, to) }
    }

    fn direction(&self) -> listener::Direction {
        match self.direction {
            Direction::Inbound => listener::Direction::Inbound,
            Direction::Outbound => listener::Direction::Outbound,
        }
    }
}

async fn compare(files: &Files, requests: &[Request]) -> Result<(), TestCaseError> {
    for place in PLACES {
        let snapshot = files.told(&place.namespace.into(), &place.node.into()).unwrap();
        let engine = Engine::of(snapshot.clone());
        let driven = Driven::start(snapshot).await;
        for request in requests {
            let party = Party::Source(WorkloadUid::new("pod"));
            let facts = handed::facts(place.facts(), Some(party));
            let side = engine.why(facts.clone(), place.direction(), request);
            let seen = driven.ask(facts, place.direction(), request).await;
            let told = told(&side);
            prop_assert!(
                told.contains(&seen),
                "{:?} of {} became {:?}, and not one of {:?}:\n{}",
                request,
                place.namespace,
                seen,
                told,
                side
            );
        }
        driven.end().await;
    }
    Ok(())
}

fn read(text: &str) -> Files {
    let (objects, problems) = Objects::parse("mesh.yaml", text.as_bytes());
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    Files::of(&objects, random::settings())
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_engine_does_what_is_told(
        text in random::manifests(),
        requests in prop::collection::vec(random::request(), 4..8),
    ) {
        let files = read(&text);
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(&files, &requests)).map_err(|error| match error {
            TestCaseError::Fail(why) => TestCaseError::fail(format!("{why}\n{text}")),
            rejected @ TestCaseError::Reject(_) => rejected,
        })?;
    }
}

/// What is told of the story.
fn story(method: &str) -> String {
    let files = read(&format!("{}{}", random::SHOP, random::STORY));
    let question = Question::parse("shop/web", "reviews.shop:9080").unwrap();
    let request = Request::parse(method, "/a", "reviews.shop:9080", ["x-user: tester"]).unwrap();
    question.ask_for(&request, &files.snapshot, &files).unwrap().to_string()
}

#[test]
fn the_way_of_a_request_reads_from_its_client_to_its_server() {
    insta::assert_snapshot!(story("GET"), @r"
    permitted
    from shop/web at 10.1.0.3, spiffe://cluster.local/ns/shop/sa/web
    GET /a of reviews.shop:9080
      x-user: tester
    to 10.96.0.1:9080
      is service shop/reviews.shop.svc.cluster.local
      passes L7 of shop on node a
        listener 10.96.0.1_9080, filter chain 10.96.0.1_9080|http
        routes reviews.shop.svc.cluster.local:9080, virtual host reviews.shop.svc.cluster.local:9080
          - VirtualService/shop/reviews[0] (mesh.yaml:46): the path is not /b
          + VirtualService/shop/reviews[1] (mesh.yaml:48): matches
        to cluster outbound|9080|v2|reviews.shop.svc.cluster.local, as DestinationRule/shop/reviews says (mesh.yaml:32)
            + 10.2.0.1:8080, healthy
        answered within 10s
        tried again 2 times at most, after connect-failure,refused-stream,cancelled,unavailable
        copied to outbound|9080|v1|reviews.shop.svc.cluster.local, 100 % of the requests
    at shop/v2 (10.2.0.1:8080) from spiffe://cluster.local/ns/shop/sa/web
      permitted: no ALLOW policy selects the destination
      passes L7 of shop on node b
        listener virtualInbound, filter chain shop/v2|10.2.0.1|8080|http
        routes inbound|8080||, virtual host inbound|http|8080
          + default: matches
          + DENY: no rule denies it
              shop/readers rule 0 (mesh.yaml:60) is not for what is asked
        to cluster inbound|8080||
            + 10.2.0.1:8080, meant by the client
    ");
}

#[test]
fn a_denial_reads_with_its_rule_at_its_server() {
    insta::assert_snapshot!(story("DELETE"), @r"
    denied
    from shop/web at 10.1.0.3, spiffe://cluster.local/ns/shop/sa/web
    DELETE /a of reviews.shop:9080
      x-user: tester
    to 10.96.0.1:9080
      is service shop/reviews.shop.svc.cluster.local
      passes L7 of shop on node a
        listener 10.96.0.1_9080, filter chain 10.96.0.1_9080|http
        routes reviews.shop.svc.cluster.local:9080, virtual host reviews.shop.svc.cluster.local:9080
          - VirtualService/shop/reviews[0] (mesh.yaml:46): the path is not /b
          + VirtualService/shop/reviews[1] (mesh.yaml:48): matches
        to cluster outbound|9080|v2|reviews.shop.svc.cluster.local, as DestinationRule/shop/reviews says (mesh.yaml:32)
            + 10.2.0.1:8080, healthy
        answered within 10s
        tried again 2 times at most, after connect-failure,refused-stream,cancelled,unavailable
        copied to outbound|9080|v1|reviews.shop.svc.cluster.local, 100 % of the requests
    at shop/v2 (10.2.0.1:8080) from spiffe://cluster.local/ns/shop/sa/web
      permitted: no ALLOW policy selects the destination
      passes L7 of shop on node b
        listener virtualInbound, filter chain shop/v2|10.2.0.1|8080|http
        routes inbound|8080||, virtual host inbound|http|8080
          + default: matches
          - DENY by shop/readers rule 0 (mesh.yaml:60)
        answered with 403
    ");
}

#[test]
fn where_nobody_must_pass_l7_there_is_nothing_more_to_tell() {
    let files = read(random::SHOP);
    let question = Question::parse("shop/web", "reviews.shop:9080").unwrap();
    let request = Request::parse("GET", "/", "reviews.shop", []).unwrap();
    let through = question.ask_for(&request, &files.snapshot, &files).unwrap();
    assert_eq!(through.legs().count(), 0, "{through}");
    assert_eq!(through.answer(), question.ask(&files.snapshot).unwrap().answer());
    let to: SocketAddr = "10.96.0.1:9080".parse().unwrap();
    assert_eq!(through.ways[0].way.destination, to);
}
