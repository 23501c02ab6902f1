//! Connections of no HTTP, to endpoints.
use super::world::{World, listener, proxy, put_cluster, say, snapshot, talk, to};
use crate::support::{Server, Version};
use culvert_model::http::{
    cluster::UpstreamVersion,
    listener::{Listener, NetworkFilterKind, TcpClusters, TcpProxy, Tunnel, WeightedCluster},
    mutation::HeaderMutations,
    snapshot::{Resource, Snapshot},
    value::Metadata,
};
use std::{net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A listener `l` that leads to a cluster `c` with this endpoint.
async fn leading_to(endpoint: SocketAddr, proxy: TcpProxy) -> World {
    let mut all = snapshot(vec![listener("l", vec![to(proxy)])]);
    put_cluster(&mut all, "c", &[endpoint]);
    World::with(all).await
}

async fn server() -> (TcpListener, SocketAddr) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = server.local_addr().unwrap();
    (server, at)
}

#[tokio::test]
async fn each_end_is_passed_on_by_itself() {
    let (server, at) = server().await;
    let world = leading_to(at, proxy("c")).await;
    let mut client = world.connect("l").await;
    let (mut upstream, _) = server.accept().await.unwrap();
    // The server speaks first.
    upstream.write_all(b"220 ready\r\n").await.unwrap();
    let mut greeting = [0; 11];
    client.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    let mut request = String::new();
    upstream.read_to_string(&mut request).await.unwrap();
    assert_eq!(request, "request");
    upstream.write_all(b"answer").await.unwrap();
    drop(upstream);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    drop(client);
    world.ended("l", 1).await;
    assert_eq!(world.count("tcp.p.downstream_cx_rx_bytes_total"), 7);
    assert_eq!(world.count("tcp.p.downstream_cx_tx_bytes_total"), 17);
}

#[tokio::test]
async fn a_reset_is_passed_on_both_ways() {
    let (server, at) = server().await;
    let world = leading_to(at, proxy("c")).await;
    for client_resets in [true, false] {
        let mut client = world.connect("l").await;
        let (mut upstream, _) = server.accept().await.unwrap();
        upstream.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0; 1]).await.unwrap();
        let (resets, mut other) =
            if client_resets { (client, upstream) } else { (upstream, client) };
        resets.set_zero_linger().unwrap();
        drop(resets);
        let error = other.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn large_amounts_wait_for_who_is_slow() {
    const ALL: usize = 20 << 20;
    let (server, at) = server().await;
    let world = leading_to(at, proxy("c")).await;
    let client = world.connect("l").await;
    let (upstream, _) = server.accept().await.unwrap();
    let (mut from_client, mut to_upstream) = client.into_split();
    let (mut from_upstream, mut to_client) = upstream.into_split();
    let bytes: Vec<u8> = (0..=250).cycle().take(ALL).collect();
    let (up, down) = (&bytes, &bytes);
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let sends_up = async {
        to_upstream.write_all(up).await.unwrap();
        to_upstream.shutdown().await.unwrap();
    };
    let sends_down = async {
        to_client.write_all(down).await.unwrap();
        to_client.shutdown().await.unwrap();
    };
    let (_, _, up, down) = tokio::join!(
        sends_up,
        sends_down,
        from_upstream.read_to_end(&mut there),
        from_client.read_to_end(&mut back)
    );
    assert_eq!((up.unwrap(), down.unwrap()), (ALL, ALL));
    assert!(there == bytes && back == bytes);
}

#[tokio::test]
async fn nobody_who_says_anything_is_idle() {
    let idle_timeout = Some(Duration::from_millis(300));
    let mut all = snapshot(vec![
        listener("l", vec![to(TcpProxy { idle_timeout, ..proxy("c") })]),
        listener("echo", vec![NetworkFilterKind::Echo]),
    ]);
    put_cluster(&mut all, "c", &[]);
    let mut world = World::with(all).await;
    let echo = world.at("echo");
    world.change(|snapshot| put_cluster(snapshot, "c", &[echo])).await;
    let mut client = world.connect("l").await;
    for _ in 0..8 {
        talk(&mut client, "still here").await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
    world.ended("l", 1).await;
    assert_eq!(world.count("tcp.p.idle_timeout"), 1);
}

#[tokio::test]
async fn a_connection_may_last_so_long() {
    let (_server, at) = server().await;
    let max_connection_duration = Some(Duration::from_millis(50));
    let world = leading_to(at, TcpProxy { max_connection_duration, ..proxy("c") }).await;
    let mut client = world.connect("l").await;
    assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
    world.ended("l", 1).await;
    assert_eq!(world.count("tcp.p.max_downstream_connection_duration"), 1);
}

async fn is_closed(mut client: TcpStream) {
    let read = client.read(&mut [0; 10]).await;
    assert!(!matches!(read, Ok(1..)), "{read:?}");
}

#[tokio::test]
async fn without_a_way_the_connection_is_closed() {
    let mut all = snapshot(vec![
        listener("none", vec![to(proxy("nobody"))]),
        listener("empty", vec![to(proxy("empty"))]),
        listener(
            "dead",
            vec![to(TcpProxy {
                max_connect_attempts: NonZeroU32::new(3).unwrap(),
                ..proxy("dead")
            })],
        ),
    ]);
    put_cluster(&mut all, "empty", &[]);
    put_cluster(&mut all, "dead", &["127.0.0.1:1".parse().unwrap()]);
    let world = World::with(all).await;
    for name in ["none", "empty", "dead"] {
        is_closed(world.connect(name).await).await;
    }
    assert_eq!(world.count("tcp.p.downstream_cx_no_route"), 1);
    let upstream = world.shared.upstreams.find("dead").unwrap();
    let connects = &upstream.view().hosts[0].host.connects;
    assert_eq!(connects.load(std::sync::atomic::Ordering::Relaxed), 3);
}

fn weighted(weights: [u32; 2]) -> Listener {
    let of = |name: &str, weight| WeightedCluster {
        name: name.into(),
        weight,
        metadata_match: Metadata::default(),
    };
    let clusters = TcpClusters::Weighted([of("a", weights[0]), of("b", weights[1])].into());
    listener("l", vec![to(TcpProxy { clusters, ..proxy("") })])
}

#[tokio::test]
async fn connections_are_spread_by_weight_and_by_name() {
    let says = |name: &str| {
        listener(name, vec![NetworkFilterKind::DirectResponse(name.as_bytes().into())])
    };
    let mut world = World::start(vec![says("a"), says("b"), weighted([1, 1])]).await;
    let (a, b) = (world.at("a"), world.at("b"));
    let clusters = |snapshot: &mut Snapshot| {
        put_cluster(snapshot, "a", &[a]);
        put_cluster(snapshot, "b", &[b]);
    };
    world.change(clusters).await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 2 {
        seen.insert(say(world.connect("l").await, "").await);
    }
    world.set(weighted([0, 1])).await;
    for _ in 0..20 {
        assert_eq!(say(world.connect("l").await, "").await, "b");
    }
}

#[tokio::test]
async fn breakers_hold_back_connections() {
    use culvert_model::http::cluster::{Breakers, Thresholds};

    let (server, at) = server().await;
    let mut world = leading_to(at, proxy("c")).await;
    let default = Thresholds { max_connections: 1, ..Thresholds::default() };
    let breakers = Breakers { default, ..Breakers::default() };
    let value = Arc::new(culvert_model::http::cluster::Cluster {
        breakers,
        ..super::world::cluster("c", &[at])
    });
    let resource = Resource { version: "2".into(), value };
    world.change(|snapshot| snapshot.clusters_mut().insert("c".into(), resource)).await;
    let _first = world.connect("l").await;
    let _held = server.accept().await.unwrap();
    is_closed(world.connect("l").await).await;
}

/// A connection through a tunnel to a server that sends back what it gets.
async fn tunnelled(version: Version, use_post: bool) {
    let server = Server::start(version).await;
    let tunnel = Arc::new(Tunnel {
        hostname: "there.test:%DOWNSTREAM_LOCAL_PORT%".parse().unwrap(),
        use_post,
        post_path: "/echo".into(),
        headers: HeaderMutations::default(),
    });
    let mut all =
        snapshot(vec![listener("l", vec![to(TcpProxy { tunnel: Some(tunnel), ..proxy("c") })])]);
    let mut cluster = super::world::cluster("c", &[server.addr]);
    if matches!(version, Version::Two) {
        cluster.http.version = UpstreamVersion::Http2;
    }
    let resource = Resource { version: "1".into(), value: Arc::new(cluster) };
    all.clusters_mut().insert("c".into(), resource);
    let world = World::with(all).await;
    let mut client = world.connect("l").await;
    for text in ["one", "another"] {
        assert_eq!(talk(&mut client, text).await, text);
    }
    let large = "x".repeat(3 << 20);
    let (mut reads, mut writes) = client.into_split();
    let mut back = String::new();
    let sends = async {
        writes.write_all(large.as_bytes()).await.unwrap();
        writes.shutdown().await.unwrap();
    };
    let (read, ()) = tokio::join!(reads.read_to_string(&mut back), sends);
    read.unwrap();
    assert!(back == large, "{}", back.len());
    world.ended("l", 1).await;
}

#[tokio::test]
async fn bytes_go_inside_of_requests() {
    for version in [Version::One, Version::Two] {
        for use_post in [false, true] {
            tunnelled(version, use_post).await;
        }
    }
}
