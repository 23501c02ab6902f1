//! Where an Envoy 1.40 sent the same requests, to the same five endpoints.
use culvert_model::http::{
    balance::{Maglev, Policy, RingHash},
    route::{Cookie, HashOn, HashPolicy},
};
use http::{HeaderMap, Method};

use super::*;
use crate::http::{
    facts::{Connection, FilterState, Head},
    hash,
};

fn endpoints(weights: [u32; 5]) -> Vec<Member> {
    (9001..).zip(weights).map(|(port, weight)| Member { weight, ..member(port) }).collect()
}

fn header(name: &str) -> HashOn {
    HashOn::Header { name: name.parse().unwrap(), rewrite: None }
}

/// The endpoints of the requests that `request` makes: their headers and their query.
fn sent(
    policy: Policy,
    weights: [u32; 5],
    on: &[HashOn],
    request: impl Fn(usize) -> (Vec<(&'static str, String)>, String),
    times: usize,
) -> Vec<usize> {
    let runtime = RuntimeValues::default();
    let balancer = Balancer::new(&of(policy), &endpoints(weights), setting(&runtime));
    let policies: Vec<_> =
        on.iter().map(|on| HashPolicy { on: on.clone(), terminal: false }).collect();
    (0..times)
        .map(|n| {
            let (pairs, path) = request(n);
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name, value.parse().unwrap());
            }
            let head = Head {
                method: &Method::GET,
                path: &path,
                authority: "h",
                scheme: "http",
                protocol: None,
                headers: &headers,
            };
            let connection = Connection {
                remote: Some("127.0.0.1:5".parse().unwrap()),
                ..Connection::default()
            };
            let hashed = hash::of(&policies, &head, &connection, &FilterState::default());
            let mut choice = Choice {
                hash: hashed.hash,
                dice: &mut || 0,
                active: &idle,
                now: Duration::ZERO,
                avoid: &|_| false,
                attempts: 0,
            };
            balancer.choose(&mut choice).unwrap()
        })
        .collect()
}

fn one(n: usize) -> (Vec<(&'static str, String)>, String) {
    (vec![("x-h", format!("v{n}"))], "/".into())
}

const EQUAL: [u32; 5] = [1; 5];

fn ring() -> Policy {
    Policy::RingHash(RingHash::default())
}

#[test]
fn by_a_ring() {
    let wanted = [
        1, 1, 3, 4, 4, 3, 0, 3, 4, 4, 4, 0, 0, 4, 2, 0, 0, 2, 3, 2, 0, 1, 2, 0, 0, 1, 2, 4, 4, 1,
        2, 2, 1, 1, 0, 4, 1, 3, 3, 4, 1, 0, 4, 3, 4, 0, 0, 1, 0, 1, 3, 1, 0, 2, 4, 1, 0, 3, 1, 1,
    ];
    assert_eq!(sent(ring(), EQUAL, &[header("x-h")], one, 60), wanted);
    let query = |n| (Vec::new(), format!("/query/?q=v{n}"));
    assert_eq!(sent(ring(), EQUAL, &[HashOn::Query("q".into())], query, 30), wanted[..30]);
    let cookie =
        Cookie { name: "c".into(), ttl: None, path: "".into(), attributes: Box::default() };
    let with = |n| (vec![("cookie", format!("a=b; c=v{n}"))], "/".into());
    assert_eq!(sent(ring(), EQUAL, &[HashOn::Cookie(cookie)], with, 30), wanted[..30]);
    assert_eq!(sent(ring(), EQUAL, &[HashOn::SourceIp], one, 1), [0]);
}

#[test]
fn by_a_ring_of_weights() {
    let wanted = [
        1, 1, 3, 3, 4, 3, 0, 3, 4, 4, 4, 1, 1, 4, 2, 4, 4, 2, 3, 2, 0, 1, 2, 4, 3, 3, 2, 4, 4, 1,
        2, 2, 1, 2, 4, 4, 1, 3, 3, 4, 1, 3, 4, 3, 4, 0, 0, 2, 2, 1, 3, 1, 2, 2, 4, 1, 4, 3, 1, 1,
    ];
    assert_eq!(sent(ring(), [1, 2, 3, 4, 5], &[header("x-h")], one, 60), wanted);
}

#[test]
fn by_a_table() {
    let wanted = [
        0, 3, 3, 4, 1, 2, 4, 2, 2, 2, 4, 1, 1, 3, 0, 0, 4, 2, 2, 1, 3, 3, 4, 3, 4, 2, 2, 0, 1, 0,
        1, 4, 4, 3, 4, 2, 2, 4, 1, 4, 4, 1, 1, 0, 3, 1, 0, 4, 4, 4, 2, 4, 4, 3, 3, 4, 4, 2, 3, 4,
    ];
    let table = Policy::Maglev(Maglev::default());
    assert_eq!(sent(table, EQUAL, &[header("x-h")], one, 60), wanted);
}

#[test]
fn by_two_headers_and_by_one_that_comes_twice() {
    let two = |n| (vec![("x-h", format!("v{n}")), ("x-i", format!("w{n}"))], "/".into());
    let wanted =
        [4, 2, 3, 2, 3, 3, 1, 1, 2, 2, 4, 1, 0, 3, 3, 0, 0, 0, 1, 1, 4, 4, 3, 2, 3, 3, 3, 4, 2, 1];
    assert_eq!(sent(ring(), EQUAL, &[header("x-h"), header("x-i")], two, 30), wanted);
    let twice = |n| (vec![("x-h", format!("b{n}")), ("x-h", format!("a{n}"))], "/".into());
    let wanted =
        [4, 1, 0, 4, 0, 2, 0, 3, 2, 1, 4, 1, 2, 3, 1, 0, 1, 1, 2, 3, 1, 0, 1, 1, 1, 2, 0, 3, 0, 2];
    assert_eq!(sent(ring(), EQUAL, &[header("x-h")], twice, 30), wanted);
}
