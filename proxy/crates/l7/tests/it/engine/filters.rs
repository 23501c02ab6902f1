//! Filters of listeners and of connections.
use super::world::{
    World, chain, chained, inspected, listener, proxy, put_cluster, say, talk, to, told,
};
use culvert_model::http::{
    listener::{
        ChainMatch, ConnectionLimit, FilterStateValue, Listener, ListenerFilterKind, ListenerMatch,
        NetworkFilterKind, NetworkRbac, ProxyProtocol, SharedWith, TlvRule,
    },
    ratelimit::{Bucket, ConnectionRateLimit},
    rbac::{Action, Engine, Permission, Policies, Policy, Principal, Rbac},
};
use culvert_runtime::drain::Drained;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn proxied(config: ProxyProtocol) -> Listener {
    inspected(listener("l", vec![told()]), vec![ListenerFilterKind::ProxyProtocol(config)])
}

#[tokio::test]
async fn a_proxy_tells_who_connects() {
    let rule = TlvRule { kind: 0xea, namespace: "".into(), key: "vpc".into() };
    let world = World::start(vec![proxied(ProxyProtocol {
        rules: [rule].into(),
        ..ProxyProtocol::default()
    })])
    .await;
    let line = "PROXY TCP4 192.0.2.7 198.51.100.1 4000 443\r\n";
    let answer = say(world.connect("l").await, format!("{line}{REQUEST}")).await;
    assert!(
        answer.contains("remote=Some(192.0.2.7:4000) local=Some(198.51.100.1:443)"),
        "{answer}"
    );
    assert!(answer.contains("direct=Some(127.0.0.1:"), "{answer}");
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12".to_vec();
    header.extend([192, 0, 2, 7, 198, 51, 100, 1, 0x0f, 0xa0, 1, 0xbb, 0xea, 0, 3]);
    header.extend(b"abc");
    header.extend(REQUEST.as_bytes());
    let answer = say(world.connect("l").await, &header).await;
    assert!(answer.contains("remote=Some(192.0.2.7:4000)"), "{answer}");
    assert!(answer.contains(r#""vpc": String("abc")"#), "{answer}");
    // Byte by byte it is the same.
    let mut client = world.connect("l").await;
    client.set_nodelay(true).unwrap();
    for byte in header {
        client.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("remote=Some(192.0.2.7:4000)"), "{answer}");
    let refused = say(world.connect("l").await, REQUEST).await;
    assert!(!refused.contains("200"), "{refused}");
    assert_eq!(world.count("proxy_proto.not_found_disallowed"), 1);
    assert_eq!(world.count("proxy_proto.versions.v2.found"), 2);
}

#[tokio::test]
async fn without_a_header_only_where_it_is_allowed() {
    let config = ProxyProtocol { allow_without: true, refuse_v1: true, ..ProxyProtocol::default() };
    let world = World::start(vec![proxied(config)]).await;
    let answer = say(world.connect("l").await, REQUEST).await;
    assert!(answer.contains("remote=Some(127.0.0.1:"), "{answer}");
    let refused = say(world.connect("l").await, "PROXY UNKNOWN\r\n").await;
    assert!(!refused.contains("200"), "{refused}");
}

#[tokio::test]
async fn who_says_nothing_is_waited_for_only_so_long() {
    let inspect = |listener| inspected(listener, vec![ListenerFilterKind::TlsInspector]);
    let says = || vec![NetworkFilterKind::DirectResponse(b"hello".as_slice().into())];
    let filters_timeout = Some(Duration::from_millis(50));
    let closed = Listener { filters_timeout, ..inspect(listener("closed", says())) };
    let goes_on = Listener { continue_on_filters_timeout: true, ..closed.clone() };
    let goes_on = Listener { name: "goes_on".into(), ..goes_on };
    let mut passed_by = inspect(listener("passed_by", says()));
    let mut filter = passed_by.filters[0].clone();
    filter.disabled = Some(ListenerMatch::DestinationPort(1..65536));
    passed_by.filters = [filter].into();
    let world = World::start(vec![closed, goes_on, passed_by]).await;
    for (name, wanted) in [("closed", ""), ("goes_on", "hello"), ("passed_by", "hello")] {
        let mut said = String::new();
        world.connect(name).await.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, wanted, "{name}");
    }
    assert_eq!(world.count("listener.closed.downstream_pre_cx_timeout"), 2);
}

#[tokio::test]
async fn chains_are_found_by_what_is_spoken() {
    let speaking = |protocol: &str| ChainMatch {
        application_protocols: [protocol.into()].into(),
        transport_protocol: Some("raw_buffer".into()),
        ..ChainMatch::default()
    };
    let says = |text: &str| vec![NetworkFilterKind::DirectResponse(text.as_bytes().into())];
    let mut all = chained(
        "l",
        vec![
            chain("one", speaking("http/1.1"), says("one")),
            chain("old", speaking("http/1.0"), says("old")),
            chain("two", speaking("h2c"), says("two")),
        ],
    );
    all.default_chain = Some(Arc::new(chain("rest", ChainMatch::default(), says("rest"))));
    let world = World::start(vec![inspected(all, vec![ListenerFilterKind::HttpInspector])]).await;
    for (said, wanted) in [
        ("GET / HTTP/1.1\r\n", "one"),
        ("GET / HTTP/1.0\r\n", "old"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "two"),
        ("SSH-2.0-x\r\n", "rest"),
    ] {
        assert_eq!(say(world.connect("l").await, said).await, wanted);
    }
    assert_eq!(world.count("http_inspector.http2_found"), 1);
}

#[tokio::test]
async fn without_a_chain_there_is_no_connection() {
    let nowhere = ChainMatch { destination_port: Some(1), ..ChainMatch::default() };
    let world = World::start(vec![chained("l", vec![chain("c", nowhere, vec![told()])])]).await;
    let refused = say(world.connect("l").await, "").await;
    assert!(!refused.contains("200"), "{refused}");
    assert_eq!(world.count("listener.l.no_filter_chain_match"), 1);
    assert_eq!(world.count("listener.l.downstream_cx_total"), 0);
}

fn rbac(action: Action, from: &str) -> NetworkFilterKind {
    let policy = Policy {
        permissions: [Permission::Any].into(),
        principals: [Principal::DirectRemoteIp(from.parse().unwrap())].into(),
    };
    let policies = Policies { action, policies: BTreeMap::from([("p".into(), policy)]) };
    let rbac = Rbac {
        rules: Some(Engine::Policies(policies.clone())),
        shadow: Some(Engine::Policies(policies)),
        shadow_prefix: "".into(),
        rules_prefix: "".into(),
        track_rules: false,
    };
    NetworkFilterKind::Rbac(Arc::new(NetworkRbac {
        stat_prefix: "who".into(),
        rbac: Arc::new(rbac),
        continuous: false,
        delay: None,
    }))
}

#[tokio::test]
async fn rules_say_who_may_go_on_once_something_was_said() {
    let echo = NetworkFilterKind::Echo;
    let world = World::start(vec![
        listener("allowed", vec![rbac(Action::Allow, "127.0.0.0/8"), echo.clone()]),
        listener("denied", vec![rbac(Action::Deny, "127.0.0.0/8"), echo.clone()]),
        listener("others", vec![rbac(Action::Allow, "10.0.0.0/8"), echo]),
        listener("told", vec![rbac(Action::Allow, "127.0.0.0/8"), told()]),
    ])
    .await;
    let _silent = [world.connect("allowed").await, world.connect("denied").await];
    assert_eq!(say(world.connect("allowed").await, "hi").await, "hi");
    for name in ["denied", "others"] {
        assert_eq!(say(world.connect(name).await, "hi").await, "");
    }
    let answer = say(world.connect("told").await, REQUEST).await;
    assert!(answer.contains(r#""shadow_engine_result": String("allowed")"#), "{answer}");
    assert_eq!(world.count("who.rbac.allowed"), 2);
    assert_eq!(world.count("who.rbac.denied"), 2);
    assert_eq!(world.count("who.rbac.shadow_denied"), 2);
}

#[tokio::test]
async fn rules_hold_for_servers_that_speak_first_too() {
    let says = NetworkFilterKind::DirectResponse(b"220 hello".as_slice().into());
    let ruled = |name: &str, from: &str| {
        listener(name, vec![rbac(Action::Allow, from), to(proxy("server"))])
    };
    let mut world = World::start(vec![
        listener("server", vec![says.clone()]),
        ruled("allowed", "127.0.0.0/8"),
        ruled("denied", "10.0.0.0/8"),
        listener("here", vec![rbac(Action::Allow, "10.0.0.0/8"), says]),
    ])
    .await;
    let server = world.at("server");
    world.change(|snapshot| put_cluster(snapshot, "server", &[server])).await;
    for (name, wanted) in [("allowed", "220 hello"), ("denied", ""), ("here", "")] {
        let mut said = String::new();
        world.connect(name).await.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, wanted, "{name}");
    }
}

#[tokio::test]
async fn who_says_nothing_to_rules_is_let_go_at_a_drain() {
    let world =
        World::start(vec![listener("told", vec![rbac(Action::Allow, "127.0.0.0/8"), told()])])
            .await;
    let mut silent = world.connect("told").await;
    world.until("listener.told.downstream_cx_total", 1).await;
    assert_eq!(world.engine.drain(Duration::from_secs(60)).await, Drained::Clean);
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn so_many_connections_at_once_and_so_many_in_a_time() {
    let limit =
        ConnectionLimit { stat_prefix: "few".into(), max: 1, delay: None, enabled: true.into() };
    let rate = ConnectionRateLimit {
        stat_prefix: "slow".into(),
        bucket: Bucket { max: 1, per_fill: 1, interval: Duration::from_secs(1000) },
        enabled: true.into(),
        share_key: Some("both".into()),
    };
    let rate = NetworkFilterKind::LocalRateLimit(Arc::new(rate));
    let echo = NetworkFilterKind::Echo;
    let world = World::start(vec![
        listener("limit", vec![NetworkFilterKind::ConnectionLimit(Arc::new(limit)), echo.clone()]),
        listener("rate", vec![rate.clone(), echo.clone()]),
        listener("rate_too", vec![rate, echo]),
    ])
    .await;
    let mut first = world.connect("limit").await;
    talk(&mut first, "x").await;
    assert_eq!(world.connect("limit").await.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(world.count("connection_limit.few.limited_connections"), 1);
    drop(first);
    world.ended("limit", 2).await;
    assert_eq!(say(world.connect("limit").await, "again").await, "again");
    assert_eq!(say(world.connect("rate").await, "one").await, "one");
    assert_eq!(world.connect("rate_too").await.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(world.count("local_rate_limit.slow.rate_limited"), 1);
}

#[tokio::test]
async fn what_filters_leave_is_seen_by_those_after_them() {
    let value = FilterStateValue {
        key: "from".into(),
        factory: "envoy.string".into(),
        value: "ip %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%".parse().unwrap(),
        read_only: false,
        shared: SharedWith::default(),
        skip_if_empty: false,
    };
    let state = NetworkFilterKind::SetFilterState([value].into());
    let world = World::start(vec![listener("l", vec![state, told()])]).await;
    let answer = say(world.connect("l").await, REQUEST).await;
    assert!(answer.contains(r#"state={"from": "ip 127.0.0.1"}"#), "{answer}");
}
