//! Which source ports deliveries take, and that the application sees its client.
use crate::{
    held::{held, nothing_is_held},
    socket::{TIME_WAIT, in_state, listen, tcp},
    traffic::{App, Event, Proxy, eventually, talk},
    world::{Pod, World, options},
};
use culvert_kernel::{NodeOptions, PodSockets};
use socket2::Domain;
use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

/// The ports that the deliveries of a pod try one after the other: the upper zone, then the lower.
fn upper(steps: impl IntoIterator<Item = u16>) -> Vec<u16> {
    nth(steps, 61_000, 4_536)
}

fn lower(steps: impl IntoIterator<Item = u16>) -> Vec<u16> {
    nth(steps, 10_240, 22_528)
}

fn nth(steps: impl IntoIterator<Item = u16>, first: u16, count: u32) -> Vec<u16> {
    let step = |step| first + u16::try_from(u32::from(step) * 1_597 % count).unwrap();
    steps.into_iter().map(step).collect()
}

/// A connection of the client itself, from a port of its choice.
fn from_port(client: &Pod, port: u16, app: &TcpListener) -> (TcpStream, TcpStream) {
    let to = app.local_addr().unwrap();
    let ip = client.ips[usize::from(to.is_ipv6())];
    let socket = tcp(&client.netns, Domain::for_address(to));
    socket.bind(&SocketAddr::new(ip, port).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    (socket.into(), app.accept().unwrap().0)
}

/// Delivers, and returns the port that the application sees.
fn deliver(sockets: &PodSockets, client: &Pod, app: &TcpListener) -> (u16, TcpStream, TcpStream) {
    let to = app.local_addr().unwrap();
    let ip = client.ips[usize::from(to.is_ipv6())];
    let near = sockets.deliver(ip, to).unwrap();
    let (far, from) = app.accept().unwrap();
    assert_eq!(from.ip(), ip);
    near.set_nonblocking(false).unwrap();
    assert_joined(&near, &far);
    (from.port(), near, far)
}

/// Each end of a connection gets what the other one sends.
fn assert_joined(mut one: &TcpStream, mut other: &TcpStream) {
    let mut word = [0; 4];
    one.write_all(b"ping").unwrap();
    other.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"ping");
    other.write_all(b"pong").unwrap();
    one.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"pong");
}

/// A delivery takes free ports, then such in `TIME_WAIT`, and never those of live connections.
fn takes_time_wait_last(test: &str, family: usize) {
    let mut world = World::new(test);
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let app = listen(&pod.netns, SocketAddr::new(pod.ips[family], 8080), 128);
    // What the first two rounds try, and the third would, but for one port in the lower zone and
    // one whose connection goes on.
    let ended = [upper(0..64), upper(65..128), lower(1..=128)].concat();
    for port in &ended {
        let (mut near, far) = from_port(&client, *port, &app);
        // The application closes first, and waits.
        drop(far);
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
    }
    let live = from_port(&client, upper([64])[0], &app);
    let ended: BTreeSet<u16> = ended.into_iter().collect();
    let waiting = || in_state(&pod.netns, TIME_WAIT).into_iter().map(|(_, port)| port).collect();
    eventually(|| BTreeSet::is_subset(&ended, &waiting()));

    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let sockets = proxy.enrolled.socks();
    let (free, _near, _far) = deliver(&sockets, &client, &app);
    assert_eq!(free, lower([0])[0]);
    let (waited, _near, _far) = deliver(&sockets, &client, &app);
    assert!(upper(65..128).contains(&waited), "{waited}");
    assert!(!waiting().contains(&waited));
    assert_joined(&live.0, &live.1);
    assert_eq!(held(&world, &proxy.enrolled).bypass, 2);
}

#[test]
fn ports_in_time_wait_are_taken_last() {
    takes_time_wait_last("wait4", 0);
}

#[test]
fn ports_in_time_wait_are_taken_last_by_ipv6() {
    takes_time_wait_last("wait6", 1);
}

#[test]
fn ports_that_the_application_listens_on_are_left_to_it() {
    let mut world = World::new("listens");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    // Of which the manifest says nothing.
    let own = upper(0..3);
    let any = ["0.0.0.0", "[::]", "10.99.2.2"];
    let others: Vec<_> = own
        .iter()
        .zip(any)
        .map(|(port, ip)| listen(&pod.netns, format!("{ip}:{port}").parse().unwrap(), 8))
        .collect();
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let sockets = proxy.enrolled.socks();
    for ip in &pod.ips {
        let app = listen(&pod.netns, SocketAddr::new(*ip, 8080), 8);
        for _ in 0..2 {
            let (port, near, far) = deliver(&sockets, &client, &app);
            assert!(!own[..2].contains(&port), "{port}");
            drop((near, far));
        }
    }
    // Deliveries go there like anywhere else.
    let (_, near, far) = deliver(&sockets, &client, &others[2]);
    drop((near, far));
    nothing_is_held(&world, &proxy.enrolled);
}

#[test]
fn four_thousand_at_once() {
    const THREADS: usize = 4;
    const EACH: usize = 1_000;
    let mut world = World::new("many");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let options = NodeOptions { tuple_limit: 8_192, ..options() };
    let node = world.load_with(&World::capabilities(), options);
    let proxy = Proxy::start(&node, &pod.spec());
    let app = listen(&pod.netns, SocketAddr::new(pod.ips[0], 8080), 4_096);
    let to = app.local_addr().unwrap();
    let (near, far) = thread::scope(|scope| {
        let deliver_some = || {
            let sockets = proxy.enrolled.socks();
            (0..EACH).map(|_| sockets.deliver(client.ips[0], to).unwrap()).collect::<Vec<_>>()
        };
        let delivering: Vec<_> = (0..THREADS).map(|_| scope.spawn(deliver_some)).collect();
        let far: Vec<_> = (0..THREADS * EACH).map(|_| app.accept().unwrap()).collect();
        let near = delivering.into_iter().flat_map(|thread| thread.join().unwrap());
        (near.collect::<Vec<_>>(), far)
    });
    let ports: BTreeSet<u16> = far.iter().map(|(_, from)| from.port()).collect();
    assert_eq!(ports.len(), THREADS * EACH);
    assert!(far.iter().all(|(_, from)| from.ip() == client.ips[0]));
    assert!(near.iter().all(|socket| socket.take_error().unwrap().is_none()));
    assert_eq!(held(&world, &proxy.enrolled).bypass, THREADS * EACH);
    let stats = proxy.enrolled.stats();
    assert_eq!(stats.over_limit, 0);
    // Each asked whether its port is free: where the programs cannot tell a question from a
    // connection, it counts as one.
    let counted = if World::capabilities().lookup_ingress { 0 } else { THREADS * EACH };
    assert_eq!(stats.inbound, u64::try_from(counted).unwrap());
    drop((near, far));
    nothing_is_held(&world, &proxy.enrolled);
}

/// With SYN cookies, the last part of a handshake belongs to no connection either.
#[test]
fn handshakes_by_cookie_arrive_where_they_began() {
    let mut world = World::new("cookies");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    for each in [&client, &pod] {
        each.set_sysctl("ipv4/tcp_syncookies", "2");
    }
    let node = world.load();
    let (from, to) = (Proxy::start(&node, &client.spec()), Proxy::start(&node, &pod.spec()));
    let app = App::start(&pod.netns, 8080);
    for (ip, client_ip) in pod.ips.iter().zip(&client.ips) {
        let destination = SocketAddr::new(*ip, app.address.port());
        assert_eq!(talk(&client.netns, destination).unwrap().by_app, *client_ip);
        assert_eq!(from.event(), Event::Outbound { original: Some(destination) });
        assert_eq!(to.event(), Event::Inbound { client: *client_ip, destination });
        talk(&world.netns, destination).unwrap();
        assert_eq!(to.events(), []);
    }
    eventually(|| [&from, &to].iter().all(|proxy| proxy.enrolled.stats().tuples == 0));
    assert_eq!(from.enrolled.stats().pending, 0);
}
