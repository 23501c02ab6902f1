use std::net::SocketAddr;

use culvert_model::http::{
    manager::{ClientAddress, Detection},
    matcher::Networks,
};
use http::HeaderMap;

use super::{Arrival, identify};

fn options(use_remote_address: bool, trusted_hops: u32) -> ClientAddress {
    let internal = Some(Networks(["10.0.0.0/8".parse().unwrap()].into()));
    ClientAddress { use_remote_address, trusted_hops, internal, ..ClientAddress::default() }
}

fn arrival(peer: &str) -> Arrival {
    Arrival {
        peer: SocketAddr::new(peer.parse().unwrap(), 1234),
        own: "10.9.9.9".parse().unwrap(),
        secure: false,
    }
}

/// The client, whether it is internal, at the edge, and what `x-forwarded-for` becomes.
fn found(options: &ClientAddress, peer: &str, list: Option<&str>) -> (String, bool, bool, String) {
    let mut headers = HeaderMap::new();
    if let Some(list) = list {
        headers.insert("x-forwarded-for", list.parse().unwrap());
    }
    headers.insert("x-envoy-max-retries", "9".parse().unwrap());
    headers.insert("x-envoy-original-path", "/o".parse().unwrap());
    let client = identify(options, arrival(peer), &[], &mut headers).unwrap();
    assert_eq!(headers.contains_key("x-envoy-internal"), client.internal);
    assert_eq!(headers.contains_key("x-envoy-max-retries"), client.internal);
    assert_eq!(headers.contains_key("x-envoy-original-path"), !client.edge);
    assert_eq!(headers.contains_key("x-envoy-external-address"), client.edge);
    let list = headers.get("x-forwarded-for").map_or("", |value| value.to_str().unwrap());
    (client.address.ip().to_string(), client.internal, client.edge, list.to_owned())
}

#[test]
fn at_the_edge_the_peer_is_the_client() {
    let edge = options(true, 0);
    assert_eq!(found(&edge, "50.0.0.1", None), ("50.0.0.1".into(), false, true, "50.0.0.1".into()));
    assert_eq!(
        found(&edge, "50.0.0.1", Some("1.2.3.4")),
        ("50.0.0.1".into(), false, true, "1.2.3.4,50.0.0.1".into())
    );
    assert_eq!(found(&edge, "10.0.0.1", None), ("10.0.0.1".into(), true, false, "10.0.0.1".into()));
    // Somebody stood between: not internal, whatever the address.
    assert_eq!(
        found(&edge, "10.0.0.1", Some("10.0.0.2")),
        ("10.0.0.1".into(), false, true, "10.0.0.2,10.0.0.1".into())
    );
    assert_eq!(
        found(&edge, "127.0.0.1", None),
        ("127.0.0.1".into(), false, true, "10.9.9.9".into())
    );
}

#[test]
fn trusted_hops_say_who_came_before_them() {
    let one = options(true, 1);
    let two = options(true, 2);
    let list = Some("203.0.113.128, 203.0.113.10,203.0.113.1");
    assert_eq!(found(&one, "192.0.2.5", list).0, "203.0.113.1");
    assert_eq!(found(&two, "192.0.2.5", list).0, "203.0.113.10");
    assert_eq!(found(&options(true, 4), "192.0.2.5", list).0, "192.0.2.5");
    assert_eq!(found(&one, "192.0.2.5", None).0, "192.0.2.5");
}

#[test]
fn inside_the_list_is_believed() {
    let inside = options(false, 0);
    assert_eq!(
        found(&inside, "10.0.0.1", Some("10.0.0.3")),
        ("10.0.0.3".into(), true, false, "10.0.0.3".into())
    );
    assert_eq!(
        found(&inside, "10.0.0.1", Some("1.1.1.1,10.0.0.3")),
        ("10.0.0.3".into(), false, false, "1.1.1.1,10.0.0.3".into())
    );
    assert_eq!(found(&inside, "10.0.0.1", None), ("10.0.0.1".into(), false, false, "".into()));
    assert_eq!(found(&options(false, 1), "10.0.0.1", Some("1.1.1.1,10.0.0.3")).0, "1.1.1.1");
}

#[test]
fn networks_can_be_trusted_instead_of_hops() {
    let trusted = Networks(["10.0.0.0/8".parse().unwrap()].into());
    let way = Detection::Xff { trusted_hops: 0, trusted, skip_append: false };
    let by_network = ClientAddress { detection: [way].into(), ..ClientAddress::default() };
    let list = Some("6.6.6.6, 1.1.1.1, 10.0.0.2");
    assert_eq!(
        found(&by_network, "10.0.0.1", list),
        ("1.1.1.1".into(), false, false, "6.6.6.6, 1.1.1.1, 10.0.0.2,10.0.0.1".into())
    );
    assert_eq!(found(&by_network, "9.9.9.9", list).0, "9.9.9.9");
}

#[test]
fn a_header_can_be_wanted() {
    let way = Detection::Header {
        name: "x-real-ip".parse().unwrap(),
        trusted: true,
        reject: Some(http::StatusCode::FORBIDDEN),
    };
    let by_header = ClientAddress { detection: [way].into(), ..options(false, 0) };
    let mut headers = HeaderMap::new();
    let refused = identify(&by_header, arrival("1.1.1.1"), &[], &mut headers);
    assert_eq!(refused, Err(http::StatusCode::FORBIDDEN));
    headers.insert("x-real-ip", "10.3.3.3".parse().unwrap());
    let client = identify(&by_header, arrival("1.1.1.1"), &[], &mut headers).unwrap();
    assert!(client.internal);
    assert_eq!(client.address.ip().to_string(), "10.3.3.3");
}
