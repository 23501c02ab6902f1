//! Each pod has its own share of the connection maps.
use crate::{
    held::{Held, held, nothing_is_held},
    socket::{begin, disconnect, listen},
    traffic::{App, Event, Proxy, connect, eventually, talk},
    world::{Pod, World, options},
};
use culvert_kernel::{DeliverError, NodeOptions, PodStats, Prepared};
use socket2::Socket;
use std::net::SocketAddr;

/// A pod whose proxy never accepts, and has room for hardly anybody who waits for that.
fn deaf(node: &culvert_kernel::Node, pod: &Pod) -> Prepared {
    pod.set_sysctl("core/somaxconn", "1");
    node.prepare(&pod.spec()).unwrap()
}

/// Connects until that many connections hang, and returns all of them.
fn hang(pod: &Pod, to: SocketAddr, stats: impl Fn() -> PodStats, count: u64) -> Vec<Socket> {
    let mut sockets = Vec::new();
    while stats().pending < count {
        sockets.push(begin(&pod.netns, to));
        assert!(sockets.len() < 32, "{:?}", stats());
    }
    sockets
}

#[test]
fn connections_that_hang_use_up_their_own_pods_share_only() {
    let mut world = World::new("pending");
    let (a, b) = (world.pod("a"), world.pod("b"));
    let options = NodeOptions { pending_limit: 3, ..options() };
    let node = world.load_with(&World::capabilities(), options);
    let mut prepared = deaf(&node, &a);
    let listeners = prepared.listeners.take();
    let hanging = prepared.activate().unwrap();
    let serving = Proxy::start(&node, &b.spec());
    let server = App::start(&world.netns, 7320);
    let to = |pod: &Pod| SocketAddr::new(pod.node[0], server.address.port());

    let mut sockets = hang(&a, to(&a), || hanging.stats(), 3);
    assert_eq!(hanging.stats().over_limit, 0);
    // One more is not handed over.
    sockets.push(begin(&a.netns, to(&a)));
    assert_eq!((hanging.stats().over_limit, hanging.stats().pending), (1, 3));
    assert_eq!(held(&world, &hanging).pending, 3);
    // The other pod goes on.
    for _ in 0..8 {
        talk(&b.netns, to(&b)).unwrap();
        assert_eq!(serving.event(), Event::Outbound { original: Some(to(&b)) });
    }
    assert_eq!(serving.enrolled.stats().over_limit, 0);
    // What is given up makes room again.
    disconnect(&sockets[2]);
    assert_eq!(hanging.stats().pending, 2);
    sockets.push(begin(&a.netns, to(&a)));
    assert_eq!((hanging.stats().over_limit, hanging.stats().pending), (1, 3));
    drop((sockets, listeners));
    nothing_is_held(&world, &hanging);
}

#[test]
fn a_share_of_nothing_hands_no_connection_over() {
    let mut world = World::new("nothing");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let none = NodeOptions { pending_limit: 0, tuple_limit: 0, ..options() };
    let node = world.load_with(&World::capabilities(), none);
    let proxy = Proxy::start(&node, &pod.spec());
    let (server, app) = (App::start(&world.netns, 7321), App::start(&pod.netns, 8080));
    let to = SocketAddr::new(pod.node[0], server.address.port());
    drop(connect(&pod.netns, to).unwrap());
    assert_eq!(proxy.event(), Event::Outbound { original: None });
    assert_eq!(proxy.enrolled.stats().over_limit, 1);
    let to = SocketAddr::new(pod.ips[0], app.address.port());
    let delivered = proxy.enrolled.socks().deliver(client.ips[0], to);
    assert!(matches!(delivered, Err(DeliverError::Share { .. })), "{delivered:?}");
    assert_eq!(Held::of(&world), Held::default());
}

#[test]
fn deliveries_use_up_their_own_pods_share_only() {
    let mut world = World::new("tuples");
    let (client, a, b) = (world.pod("client"), world.pod("a"), world.pod("b"));
    let options = NodeOptions { tuple_limit: 3, ..options() };
    let node = world.load_with(&World::capabilities(), options);
    let (full, other) = (Proxy::start(&node, &a.spec()), Proxy::start(&node, &b.spec()));
    let apps = [&a, &b].map(|pod| listen(&pod.netns, SocketAddr::new(pod.ips[0], 8080), 128));
    let to = apps.each_ref().map(|app| app.local_addr().unwrap());
    let deliver = |proxy: &Proxy, to| proxy.enrolled.socks().deliver(client.ips[0], to);

    let mut open: Vec<_> = (0..3).map(|_| deliver(&full, to[0]).unwrap()).collect();
    assert_eq!((full.enrolled.stats().tuples, full.enrolled.stats().over_limit), (3, 0));
    let refused = deliver(&full, to[0]);
    assert!(matches!(refused, Err(DeliverError::Share { .. })), "{refused:?}");
    assert_eq!((full.enrolled.stats().tuples, full.enrolled.stats().over_limit), (3, 1));
    // A probe beyond the share is not told apart from any other connection.
    let _probe = begin(&world.netns, to[0]);
    assert_eq!(full.event(), Event::Inbound { client: a.node[0], destination: to[0] });
    // The other pod goes on.
    let others: Vec<_> = (0..3).map(|_| deliver(&other, to[1]).unwrap()).collect();
    assert_eq!(other.enrolled.stats().over_limit, 0);
    drop(others);
    // One that ends makes room for one.
    let accepted = apps[0].accept().unwrap();
    open.remove(0);
    drop(accepted);
    eventually(|| full.enrolled.stats().tuples == 2);
    open.push(deliver(&full, to[0]).unwrap());
    drop((open, apps));
    for proxy in [&full, &other] {
        nothing_is_held(&world, &proxy.enrolled);
    }
}

#[test]
fn dials_out_of_a_strict_pod_have_the_same_share() {
    let mut world = World::new("dials");
    let pod = world.pod("a");
    let options = NodeOptions { strict: true, tuple_limit: 2, ..options() };
    let node = world.load_with(&World::capabilities(), options);
    let proxy = Proxy::start(&node, &pod.spec());
    let server = listen(&world.netns, SocketAddr::new(pod.node[0], 7322), 128);
    let to = server.local_addr().unwrap();
    let sockets = proxy.enrolled.socks();
    let open = [sockets.dial(to).unwrap(), sockets.dial(to).unwrap()];
    assert_eq!(held(&world, &proxy.enrolled).egress, 2);
    let refused = sockets.dial(to).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    assert_eq!(proxy.enrolled.stats().over_limit, 1);
    drop((open, server));
    nothing_is_held(&world, &proxy.enrolled);
    let again = listen(&world.netns, to, 128);
    drop((sockets.dial(to).unwrap(), again));
}
