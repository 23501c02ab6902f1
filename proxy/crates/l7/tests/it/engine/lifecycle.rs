//! From one snapshot to the next: what stays and what goes.
use super::world::{World, chain, chained, listener, put, say, snapshot, talk, told};
use culvert_l7::{
    engine::Handover,
    io::Io,
    stats::{
        prometheus,
        sample::{Query, Shape},
        text,
    },
};
use culvert_model::http::{
    address::Address,
    listener::{ChainMatch, Direction, ListenAddress, Listener, NetworkFilterKind},
};
use culvert_policy::http::facts::Connection as Facts;
use culvert_runtime::drain::Drained;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
};

fn says(text: &str) -> NetworkFilterKind {
    NetworkFilterKind::DirectResponse(text.as_bytes().into())
}

fn from(network: &str) -> ChainMatch {
    ChainMatch { source: [network.parse().unwrap()].into(), ..ChainMatch::default() }
}

fn at(listener: Listener, address: impl Into<String>) -> Listener {
    let address = address.into();
    let socket = address.parse::<SocketAddr>();
    let address = socket.map_or_else(|_| Address::Pipe(address.into()), Address::Socket);
    let at = ListenAddress { address, v4_compatible: false, options: Arc::default() };
    Listener { addresses: [at].into(), ..listener }
}

#[tokio::test]
async fn a_changed_listener_keeps_its_socket_and_what_is_in_chains_that_stay() {
    let echo = || chain("echo", ChainMatch::default(), vec![NetworkFilterKind::Echo]);
    let other = |text| chain("other", from("10.0.0.0/8"), vec![says(text)]);
    let mut world = World::start(vec![chained("l", vec![echo(), other("a")])]).await;
    let before = world.at("l");
    let mut kept = world.connect("l").await;
    assert_eq!(talk(&mut kept, "one").await, "one");
    world.set(chained("l", vec![echo(), other("b")])).await;
    assert_eq!(world.at("l"), before);
    assert_eq!(talk(&mut kept, "two").await, "two");
    assert_eq!(world.count("listener_manager.total_filter_chains_draining"), 0);
    world.set(chained("l", vec![chain("new", ChainMatch::default(), vec![says("new")])])).await;
    assert_eq!(world.at("l"), before);
    assert_eq!(say(world.connect("l").await, "").await, "new");
    // What has begun has time to end.
    assert_eq!(talk(&mut kept, "three").await, "three");
}

#[tokio::test]
async fn a_listener_that_goes_takes_nothing_more_and_lets_requests_end() {
    let mut world = World::start(vec![listener("l", vec![told()])]).await;
    let at = world.at("l");
    let mut idle = world.connect("l").await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    idle.write_all(request.as_bytes()).await.unwrap();
    assert_ne!(idle.read(&mut [0; 1024]).await.unwrap(), 0);
    world.change(|snapshot| snapshot.listeners_mut().remove("l")).await;
    assert!(TcpStream::connect(at).await.is_err());
    // Between two requests nothing is under way.
    assert_eq!(idle.read(&mut [0; 1024]).await.unwrap(), 0);
    assert_eq!(world.count("listener_manager.listener_removed"), 1);
}

#[tokio::test]
async fn a_listener_without_its_address_says_so_and_troubles_no_other() {
    let foreign = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = foreign.local_addr().unwrap();
    let good = listener("good", vec![says("good")]);
    let first = World::start(vec![good]).await;
    let free = first.at("good");
    // Gone for good: half-way, it could still be led to.
    first.engine.drain(Duration::ZERO).await;
    let mut world = World::start(vec![
        at(listener("a", vec![says("a")]), free.to_string()),
        at(listener("b", vec![says("b")]), free.to_string()),
        at(listener("c", vec![says("c")]), taken.to_string()),
    ])
    .await;
    assert_eq!(world.error("a"), None);
    assert_eq!(say(world.connect("a").await, "").await, "a");
    assert_eq!(world.error("b").unwrap(), format!("{free} is taken by listener a"));
    let error = world.error("c").unwrap();
    assert!(error.starts_with(&format!("cannot bind {taken}: the address is in use")), "{error}");
    drop(foreign);
    // They change places, and the third has found its own free.
    let snapshot = snapshot(vec![
        at(listener("b", vec![says("b")]), free.to_string()),
        at(listener("c", vec![says("c")]), taken.to_string()),
    ]);
    world.change(|now| *now = snapshot).await;
    assert_eq!(world.error("b"), None);
    assert_eq!(say(world.connect("b").await, "").await, "b");
    assert_eq!(say(world.connect("c").await, "").await, "c");
}

#[tokio::test]
async fn what_cannot_be_leaves_what_is() {
    let mut world = World::start(vec![listener("l", vec![says("old")])]).await;
    let after = listener("l", vec![says("x"), NetworkFilterKind::Echo]);
    world.set(after).await;
    let error = world.error("l").unwrap();
    assert!(error.contains("filter filter: the one before it takes all connections"), "{error}");
    assert_eq!(say(world.connect("l").await, "").await, "old");
    world.set(listener("l", vec![says("new")])).await;
    assert_eq!(world.error("l"), None);
    assert_eq!(say(world.connect("l").await, "").await, "new");
}

/// A request on a connection that goes on, and the whole answer of [`told`].
async fn served(tcp: &mut TcpStream) -> String {
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut all = String::new();
    while !(all.contains("metadata=") && all.ends_with('\n')) {
        let mut read = [0; 1024];
        let length = tcp.read(&mut read).await.unwrap();
        assert_ne!(length, 0, "{all}");
        all.push_str(str::from_utf8(&read[..length]).unwrap());
    }
    all
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_nothing_else() {
    let world = World::start(vec![listener("l", vec![told()])]).await;
    let mut other = world.connect("l").await;
    assert!(served(&mut other).await.starts_with("HTTP/1.1 200"));
    let all = || text::write(&world.shared.stats.samples(&Query::default()), Shape::Summary);
    assert!(!all().contains("panics"), "nothing to be told");
    let panics = "GET /panic HTTP/1.1\r\nhost: a\r\n\r\n";
    for _ in 0..2 {
        say(world.connect("l").await, panics).await;
    }
    world.until("server.panics", 2).await;
    assert!(all().contains("server.panics: 2\n"), "{}", all());
    let samples = world.shared.stats.samples(&Query::default());
    let exposed = prometheus::write(&samples, Shape::Cumulative);
    assert!(exposed.contains("envoy_server_panics{} 2\n"), "{exposed}");
    assert!(served(&mut other).await.starts_with("HTTP/1.1 200"), "the other goes on");
}

#[tokio::test]
async fn files_and_several_addresses_are_listened_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket").to_str().unwrap().to_owned();
    let mut both = at(listener("l", vec![NetworkFilterKind::Echo]), path.clone());
    let more = listener("x", vec![]).addresses;
    both.addresses = both.addresses.iter().chain(&*more).cloned().collect();
    let mut world = World::start(vec![both]).await;
    assert_eq!(world.error("l"), None);
    let mut unix = UnixStream::connect(&path).await.unwrap();
    unix.write_all(b"hi").await.unwrap();
    unix.shutdown().await.unwrap();
    let mut back = String::new();
    unix.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "hi");
    let addresses = world.engine.listeners().remove(0).addresses;
    let tcp = TcpStream::connect(addresses[1].as_socket().unwrap()).await.unwrap();
    assert_eq!(say(tcp, "there").await, "there");
    world.change(|snapshot| snapshot.listeners_mut().remove("l")).await;
    assert!(!std::path::Path::new(&path).exists(), "nothing is left behind");
}

#[tokio::test]
async fn connections_can_be_handed_over() {
    let mut virtual_one = listener("v", vec![told()]);
    virtual_one.bind = false;
    let mut world = World::start(vec![]).await;
    world.change(|snapshot| put(snapshot, at(virtual_one, "192.0.2.1:80"))).await;
    let facts = || Facts { local: "192.0.2.1:80".parse().ok(), ..Facts::default() };
    let (mut near, far) = tokio::io::duplex(10_000);
    let handover =
        Handover { io: Io::boxed(far), facts: facts(), direction: Direction::Unspecified };
    world.engine.hand_over(handover).unwrap();
    near.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("chain=all remote=None local=Some(192.0.2.1:80)"), "{answer}");
    let (_near, far) = tokio::io::duplex(10);
    let facts = Facts { local: "192.0.2.1:81".parse().ok(), ..Facts::default() };
    let handover = Handover { io: Io::boxed(far), facts, direction: Direction::Unspecified };
    assert!(world.engine.hand_over(handover).is_err());
}

#[tokio::test]
async fn listeners_get_what_goes_their_way() {
    let virtual_one = |name: &str, direction, to: &str, rest| Listener {
        bind: false,
        direction,
        use_original_dst: rest,
        ..at(listener(name, vec![told()]), to)
    };
    let mut world = World::start(vec![]).await;
    let meant: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let takes = |world: &World| {
        [Direction::Inbound, Direction::Outbound].map(|way| world.engine.takes(meant, way))
    };
    assert_eq!(takes(&world), [false, false]);
    let inbound = virtual_one("in", Direction::Inbound, "0.0.0.0:15006", false);
    world.change(|snapshot| put(snapshot, inbound)).await;
    assert_eq!(takes(&world), [true, false], "what comes to pods is told apart by chains");
    let other = virtual_one("other", Direction::Outbound, "192.0.2.2:80", false);
    world.change(|snapshot| put(snapshot, other)).await;
    assert_eq!(takes(&world), [true, false]);
    let rest = virtual_one("rest", Direction::Outbound, "0.0.0.0:15001", true);
    world.change(|snapshot| put(snapshot, rest)).await;
    assert_eq!(takes(&world), [true, true]);
    world.change(|snapshot| snapshot.listeners_mut().remove("in")).await;
    assert_eq!(takes(&world), [false, true]);
}

#[tokio::test]
async fn a_drain_waits_for_what_is_under_way() {
    let world = World::start(vec![listener("l", vec![NetworkFilterKind::Echo])]).await;
    let mut under_way = world.connect("l").await;
    talk(&mut under_way, "x").await;
    let at = world.at("l");
    let drained = world.engine.drain(Duration::from_secs(30));
    let ends = async {
        while TcpStream::connect(at).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(talk(&mut under_way, "y").await, "y");
        drop(under_way);
    };
    assert_eq!(tokio::join!(drained, ends).0, Drained::Clean);
}

#[tokio::test]
async fn an_engine_has_only_so_many_connections() {
    let world = World::start(vec![
        listener("one", vec![NetworkFilterKind::Echo]),
        listener("other", vec![NetworkFilterKind::Echo]),
    ])
    .await;
    world.shared.budgets.connections.set_limit(1);
    let mut first = world.connect("one").await;
    talk(&mut first, "x").await;
    assert_eq!(world.connect("other").await.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(world.count("listener.other.downstream_global_cx_overflow"), 1);
    drop(first);
    world.ended("one", 1).await;
    while world.shared.budgets.connections.used() != 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(say(world.connect("other").await, "again").await, "again");
}
