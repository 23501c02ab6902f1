//! However a connection ends, nothing of it stays in the maps or in the counts.
use crate::{
    held::{Held, held, nothing_is_held},
    socket::{begin, disconnect, listen, tcp},
    traffic::{App, Event, Proxy, connect, eventually, talk},
    world::{Pod, World, options, tool},
};
use culvert_kernel::{NodeOptions, reset};
use nix::sys::socket::{setsockopt, sockopt::TcpFastOpenConnect};
use socket2::Domain;
use std::{
    io::{self, Read as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

/// Ends a connection that `listener` has, in every way there is, starting with the other end.
fn end_in_every_way(listener: &TcpListener, mut open: impl FnMut() -> TcpStream) {
    let mut pair = || {
        let near = open();
        near.set_nonblocking(false).unwrap();
        (near, listener.accept().unwrap().0)
    };
    let ended = |mut stream: TcpStream| {
        // Until the end arrives, however it looks.
        drop(stream.read(&mut [0]));
    };
    for resets in [false, true] {
        let (near, far) = pair();
        if resets {
            reset(&far).unwrap();
        }
        drop(far);
        ended(near);
        let (near, far) = pair();
        if resets {
            reset(&near).unwrap();
        }
        drop(near);
        ended(far);
    }
    // Nobody hears of it before both are gone.
    drop(pair());
}

/// Somewhere behind the node that answers to nothing, and somewhere it knows no way to.
fn nowhere(world: &World) -> [SocketAddr; 4] {
    for (kind, nets) in [
        ("blackhole", ["10.98.1.0/24", "fd98:1::/64"]),
        ("unreachable", ["10.98.2.0/24", "fd98:2::/64"]),
    ] {
        for net in nets {
            tool(&world.netns, "ip", &format!("route add {kind} {net}"));
        }
    }
    ["10.98.1.1:80", "[fd98:1::1]:80", "10.98.2.1:80", "[fd98:2::1]:80"]
        .map(|to| to.parse().unwrap())
}

#[test]
fn captured_connections() {
    let mut world = World::new("leak-out");
    let pod = world.pod("a");
    let node = world.load();
    let mut prepared = node.prepare(&pod.spec()).unwrap();
    let listener = prepared.listeners.take().unwrap().outbound;
    listener.set_nonblocking(false).unwrap();
    let enrolled = prepared.activate().unwrap();
    for ip in &pod.node {
        let to = SocketAddr::new(*ip, 80);
        end_in_every_way(&listener, || connect(&pod.netns, to).unwrap());
        nothing_is_held(&world, &enrolled);
    }
    // Refused: the listener is gone.
    drop(listener);
    for ip in &pod.node {
        connect(&pod.netns, SocketAddr::new(*ip, 80)).unwrap_err();
    }
    nothing_is_held(&world, &enrolled);
    assert_eq!(enrolled.stats().over_limit, 0);
}

#[test]
fn captured_connections_given_up_before_they_are_there() {
    let mut world = World::new("leak-syn");
    let pod = world.pod("a");
    pod.set_sysctl("core/somaxconn", "1");
    let node = world.load();
    let mut prepared = node.prepare(&pod.spec()).unwrap();
    let listeners = prepared.listeners.take();
    let enrolled = prepared.activate().unwrap();
    for ip in &pod.node {
        let to = SocketAddr::new(*ip, 80);
        let sockets: Vec<_> = (0..8).map(|_| begin(&pod.netns, to)).collect();
        let hanging = held(&world, &enrolled).pending;
        assert!(hanging > 1, "{hanging}");
        // Given up, used again, closed, and closed with a reset.
        let last = sockets.last().unwrap();
        disconnect(last);
        assert_eq!(held(&world, &enrolled).pending, hanging - 1);
        crate::socket::again(last, to);
        assert_eq!(held(&world, &enrolled).pending, hanging);
        reset(&sockets[6]).unwrap();
        drop(sockets);
        nothing_is_held(&world, &enrolled);
    }
    drop(listeners);
}

#[test]
fn connects_that_fail_at_once() {
    let mut world = World::new("leak-at-once");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let server = App::start(&world.netns, 7330);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    // No port is left after the first one.
    pod.set_sysctl("ipv4/ip_local_port_range", "40000 40000");
    let first = connect(&pod.netns, to).unwrap();
    let second = tcp(&pod.netns, Domain::IPV4).connect(&to.into()).unwrap_err();
    assert_eq!(second.kind(), io::ErrorKind::AddrNotAvailable);
    assert_eq!(held(&world, &proxy.enrolled), Held::default());
    drop(first);
    pod.set_sysctl("ipv4/ip_local_port_range", "32768 60999");
}

/// Connects, and loses the pod's address before the SYN, which waits for the first write.
fn fail_before_the_syn(name: &str, pending_limit: u32) -> u64 {
    let mut world = World::new(name);
    let pod = world.pod("a");
    pod.set_sysctl("ipv4/tcp_fastopen", "5");
    let options = NodeOptions { pending_limit, ..options() };
    let node = world.load_with(&World::capabilities(), options);
    let proxy = Proxy::start(&node, &pod.spec());
    let socket = tcp(&pod.netns, Domain::IPV4);
    setsockopt(&socket, TcpFastOpenConnect, &true).unwrap();
    socket.connect(&SocketAddr::new(pod.node[0], 80).into()).unwrap();
    tool(&pod.netns, "ip", &format!("addr del {}/24 dev eth0", pod.ips[0]));
    let lost = socket.send(b"word").unwrap_err();
    assert_eq!(lost.kind(), io::ErrorKind::ConnectionAborted, "{lost}");
    assert_eq!(held(&world, &proxy.enrolled), Held::default());
    assert_eq!(proxy.events(), []);
    proxy.enrolled.stats().over_limit
}

#[test]
fn connects_that_fail_after_they_were_recorded() {
    assert_eq!(fail_before_the_syn("leak-recorded", 1), 0);
    // It was recorded: without room for it, that is counted.
    assert_eq!(fail_before_the_syn("leak-unrecorded", 0), 1);
}

#[test]
fn deliveries() {
    let mut world = World::new("leak-in");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let sockets = proxy.enrolled.socks();
    for (client, ip) in client.ips.iter().zip(&pod.ips) {
        let deliver = |port| sockets.deliver(*client, SocketAddr::new(*ip, port)).unwrap();
        let app = listen(&pod.netns, SocketAddr::new(*ip, 8080), 128);
        end_in_every_way(&app, || deliver(8080));
        nothing_is_held(&world, &proxy.enrolled);
        // Refused by the pod.
        let refused = deliver(8081);
        eventually(|| refused.take_error().unwrap().is_some());
        nothing_is_held(&world, &proxy.enrolled);
        // Given up while the application accepts nothing.
        let _busy = listen(&pod.netns, SocketAddr::new(*ip, 8082), 0);
        let hanging: Vec<_> = (0..6).map(|_| deliver(8082)).collect();
        assert_eq!(held(&world, &proxy.enrolled).bypass, 6);
        drop(hanging);
        nothing_is_held(&world, &proxy.enrolled);
    }
}

#[test]
fn probes() {
    let mut world = World::new("leak-probe");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    for ip in &pod.ips {
        let at = |port| SocketAddr::new(*ip, port);
        let app = listen(&pod.netns, at(8080), 128);
        end_in_every_way(&app, || connect(&world.netns, at(8080)).unwrap());
        nothing_is_held(&world, &proxy.enrolled);
        connect(&world.netns, at(8081)).unwrap_err();
        nothing_is_held(&world, &proxy.enrolled);
        let _busy = listen(&pod.netns, at(8082), 0);
        let hanging: Vec<_> = (0..6).map(|_| begin(&world.netns, at(8082))).collect();
        assert_eq!(held(&world, &proxy.enrolled).bypass, 6);
        drop(hanging);
        nothing_is_held(&world, &proxy.enrolled);
    }
    assert_eq!(proxy.events(), []);
}

#[test]
fn dials_out_of_a_strict_pod() {
    let mut world = World::new("leak-strict");
    let pod = world.pod("a");
    let strict = NodeOptions { strict: true, ..options() };
    let node = world.load_with(&World::capabilities(), strict);
    let proxy = Proxy::start(&node, &pod.spec());
    let sockets = proxy.enrolled.socks();
    let [silent4, silent6, no_way4, no_way6] = nowhere(&world);
    for ((ip, silent), no_way) in pod.node.iter().zip([silent4, silent6]).zip([no_way4, no_way6]) {
        let server = listen(&world.netns, SocketAddr::new(*ip, 7331), 128);
        end_in_every_way(&server, || sockets.dial(server.local_addr().unwrap()).unwrap());
        nothing_is_held(&world, &proxy.enrolled);
        for nobody in [SocketAddr::new(*ip, 7332), no_way] {
            let refused = sockets.dial(nobody).unwrap();
            eventually(|| refused.take_error().unwrap().is_some());
            nothing_is_held(&world, &proxy.enrolled);
        }
        let hanging: Vec<_> = (0..3).map(|_| sockets.dial(silent).unwrap()).collect();
        assert_eq!(held(&world, &proxy.enrolled).egress, 3);
        drop(hanging);
        nothing_is_held(&world, &proxy.enrolled);
    }
    // Known before the SYN that there is no way.
    tool(&pod.netns, "ip", "route add unreachable 10.97.0.0/16");
    let at_once = sockets.dial("10.97.0.1:80".parse().unwrap()).unwrap_err();
    assert_eq!(at_once.kind(), io::ErrorKind::HostUnreachable);
    assert_eq!(held(&world, &proxy.enrolled), Held::default());
}

#[test]
fn connections_of_a_pod_that_leaves() {
    let mut world = World::new("leak-leave");
    let pod: Pod = world.pod("a");
    let node = world.load();
    let mut proxy = Proxy::start(&node, &pod.spec());
    let (app, server) = (App::start(&pod.netns, 8080), App::start(&world.netns, 7333));
    let out = connect(&pod.netns, SocketAddr::new(pod.node[0], server.address.port())).unwrap();
    let probe = connect(&world.netns, SocketAddr::new(pod.ips[0], app.address.port())).unwrap();
    assert!(matches!(proxy.event(), Event::Outbound { original: Some(_) }));
    assert_eq!(held(&world, &proxy.enrolled).bypass, 1);
    proxy.enrolled.release().unwrap();
    // Counted until the last one ends.
    assert_eq!(held(&world, &proxy.enrolled).bypass, 1);
    talk(&pod.netns, SocketAddr::new(pod.node[0], server.address.port())).unwrap();
    drop((out, probe));
    nothing_is_held(&world, &proxy.enrolled);
    proxy.enrolled.finish().unwrap();
}
