//! What a strict pod can send: nothing opens a connection but the proxy.
use crate::{
    frame::{
        ACK, AUTHENTICATION, DESTINATION, Ends, FIN, FRAGMENT, HOP_BY_HOP, Link, ROUTING, SYN, TCP,
        UDP, arp, authentication, double_vlan, extension, fragment, tcp, v4, v6, vlan,
    },
    held::nothing_is_held,
    socket::listen,
    traffic::{App, Event, Proxy, connect, eventually, talk},
    world::{Pod, World, options},
};
use Fate::{Drop, Pass};
use culvert_kernel::{Node, NodeOptions, PodSpec};
use culvert_model::pod::{Exclusion, Fail};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener};

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Drop,
}

/// A guarded pod. (The world goes last.)
struct Scene {
    proxy: Proxy,
    _node: Node,
    link: Link,
    pod: Pod,
    world: World,
}

impl Scene {
    fn new(test: &str) -> Self {
        Self::with(test, NodeOptions { strict: true, ..options() })
    }

    fn with(test: &str, options: NodeOptions) -> Self {
        let mut world = World::new(test);
        let pod = world.pod("a");
        let node = world.load_with(&World::capabilities(), options);
        let proxy = Proxy::start(&node, &pod.spec());
        let link = Link::new(&world, &pod, "v1");
        Self { proxy, _node: node, link, pod, world }
    }

    /// From the pod to the node, on ports nobody uses.
    fn ends(&self) -> [Ends; 2] {
        [0, 1].map(|i| Ends {
            from: SocketAddr::new(self.pod.ips[i], 12_345),
            to: SocketAddr::new(self.pod.node[i], 7_400),
        })
    }

    fn counts(&self) -> (u64, u64) {
        let stats = self.proxy.enrolled.stats();
        (stats.guard_passed, stats.guard_dropped)
    }

    /// Sends a frame, then one that is dropped: when that is counted, the first one was, or not.
    fn assert_fate(&self, what: &str, frame: &[u8], fate: Fate) {
        let [ends, _] = self.ends();
        let (passed, dropped) = self.counts();
        self.link.send(frame);
        self.link.send(&v4(ends, 0, 0, &tcp(ends, SYN)));
        let more = if fate == Drop { 2 } else { 1 };
        eventually(|| self.counts().1 >= dropped + more);
        assert_eq!(self.counts(), (passed, dropped + more), "{what}");
    }

    fn server(&self, family: usize, port: u16) -> TcpListener {
        listen(&self.world.netns, SocketAddr::new(self.pod.node[family], port), 128)
    }
}

#[test]
fn frames_of_ipv4() {
    let scene = Scene::new("frames4");
    let [ends, _] = scene.ends();
    let [syn, ack] = [SYN, ACK].map(|flags| tcp(ends, flags));
    let more_fragments = 0x2000;
    let frames = [
        ("SYN", v4(ends, 0, 0, &syn), Drop),
        ("SYN and ACK", v4(ends, 0, 0, &tcp(ends, SYN | ACK)), Pass),
        ("ACK", v4(ends, 0, 0, &ack), Pass),
        ("SYN and FIN", v4(ends, 0, 0, &tcp(ends, SYN | FIN)), Drop),
        ("SYN behind options", v4(ends, 2, 0, &syn), Drop),
        ("ACK behind options", v4(ends, 2, 0, &ack), Pass),
        ("first fragment, SYN", v4(ends, 0, more_fragments, &syn), Drop),
        ("first fragment without flags", v4(ends, 0, more_fragments, &syn[..8]), Drop),
        ("fragment over the flags", v4(ends, 0, 1, &syn), Drop),
        ("later fragment", v4(ends, 0, 3, &syn), Pass),
        ("header only", v4(ends, 0, 0, &[]), Drop),
        ("SYN in a VLAN", vlan(&v4(ends, 0, 0, &syn)), Drop),
        ("SYN in two VLANs", double_vlan(&v4(ends, 0, 0, &syn)), Drop),
        ("ARP", arp(), Pass),
    ];
    for (what, frame, fate) in frames {
        scene.assert_fate(what, &frame, fate);
    }
}

#[test]
fn frames_of_ipv6() {
    let scene = Scene::new("frames6");
    let [_, ends] = scene.ends();
    let [syn, ack] = [SYN, ACK].map(|flags| tcp(ends, flags));
    let many = (0..9).fold(extension(TCP, 0, &syn), |inner, _| extension(DESTINATION, 0, &inner));
    let nested = extension(DESTINATION, 1, &extension(TCP, 3, &syn));
    let frames = [
        ("SYN", v6(ends, TCP, &syn), Drop),
        ("ACK", v6(ends, TCP, &ack), Pass),
        ("SYN behind hop by hop", v6(ends, HOP_BY_HOP, &extension(TCP, 0, &syn)), Drop),
        ("SYN behind two headers", v6(ends, HOP_BY_HOP, &nested), Drop),
        ("SYN behind too many headers", v6(ends, DESTINATION, &many), Drop),
        ("SYN authenticated", v6(ends, AUTHENTICATION, &authentication(TCP, &syn)), Drop),
        ("ACK behind routing", v6(ends, ROUTING, &extension(TCP, 0, &ack)), Pass),
        ("first fragment, SYN", v6(ends, FRAGMENT, &fragment(TCP, 0, &syn)), Drop),
        ("first fragment, short", v6(ends, FRAGMENT, &fragment(TCP, 0, &syn[..8])), Drop),
        ("fragment over the flags", v6(ends, FRAGMENT, &fragment(TCP, 1, &syn)), Drop),
        ("later fragment", v6(ends, FRAGMENT, &fragment(TCP, 3, &syn)), Pass),
        ("later fragment of headers", v6(ends, FRAGMENT, &fragment(DESTINATION, 2, &syn)), Drop),
        ("later fragment of UDP", v6(ends, FRAGMENT, &fragment(UDP, 2, &syn)), Pass),
        ("UDP", v6(ends, UDP, &syn), Pass),
        ("SYN in a VLAN", vlan(&v6(ends, TCP, &syn)), Drop),
    ];
    for (what, frame, fate) in frames {
        scene.assert_fate(what, &frame, fate);
    }
}

#[test]
fn a_raw_socket_opens_nothing() {
    let scene = Scene::new("raw");
    for ends in scene.ends() {
        let (passed, dropped) = scene.counts();
        let sent = scene.pod.netns.run(|| {
            let domain = Domain::for_address(ends.to);
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::TCP))?;
            socket.send_to(&tcp(ends, SYN), &SocketAddr::new(ends.to.ip(), 0).into())
        });
        sent.unwrap().unwrap();
        eventually(|| scene.counts() == (passed, dropped + 1));
    }
}

#[test]
fn the_proxys_tuple_is_of_no_use_to_a_detour() {
    let scene = Scene::new("tuple");
    for family in [0, 1] {
        let server = scene.server(family, 7401);
        let to = server.local_addr().unwrap();
        let (passed, dropped) = scene.counts();
        let dialled = scene.proxy.enrolled.socks().dial(to).unwrap();
        let (_accepted, from) = server.accept().unwrap();
        assert_eq!(scene.counts(), (passed + 1, dropped));
        // The same SYN again is the same connection, but not with a route of its own.
        let ends = Ends { from, to };
        let syn = tcp(ends, SYN);
        let (same, detour) = if family == 0 {
            (v4(ends, 0, 0, &syn), v4(ends, 1, 0, &syn))
        } else {
            (v6(ends, TCP, &syn), v6(ends, ROUTING, &extension(TCP, 0, &syn)))
        };
        scene.link.send(&same);
        eventually(|| scene.counts() == (passed + 2, dropped));
        scene.link.send(&detour);
        eventually(|| scene.counts() == (passed + 2, dropped + 1));
        drop(dialled);
        nothing_is_held(&scene.world, &scene.proxy.enrolled);
        // Once it is closed, not even that.
        scene.link.send(&same);
        eventually(|| scene.counts() == (passed + 2, dropped + 2));
    }
}

#[test]
fn excluded_destinations_pass() {
    let networks = ["10.99.1.1/32", "fd00:99:1::1/128"];
    let exclusions = networks
        .map(|network| Exclusion { network: network.parse().unwrap(), ports: vec![7402] })
        .to_vec();
    let scene = Scene::with("pass", NodeOptions { strict: true, exclusions, ..options() });
    let server = App::start(&scene.world.netns, 7402);
    for ip in &scene.pod.node {
        talk(&scene.pod.netns, SocketAddr::new(*ip, server.address.port())).unwrap();
    }
    assert_eq!(scene.proxy.events(), []);
    assert_eq!(scene.counts(), (2, 0));
    assert_eq!(scene.proxy.enrolled.stats().excluded, 2);
    nothing_is_held(&scene.world, &scene.proxy.enrolled);
}

#[test]
fn a_pod_that_fails_open_does_so_past_the_guard() {
    let mut world = World::new("open-guard");
    let pod = world.pod("a");
    let strict = NodeOptions { strict: true, ..options() };
    let node = world.load_with(&World::capabilities(), strict);
    let mut prepared = node.prepare(&PodSpec { fail: Fail::Open, ..pod.spec() }).unwrap();
    drop(prepared.listeners.take());
    let enrolled = prepared.activate().unwrap();
    let server = App::start(&world.netns, 7404);
    for (ip, own) in pod.node.iter().zip(&pod.ips) {
        let to = SocketAddr::new(*ip, server.address.port());
        assert_eq!(talk(&pod.netns, to).unwrap().by_app, *own);
    }
    let stats = enrolled.stats();
    assert_eq!((stats.failed_open, stats.guard_passed, stats.guard_dropped), (2, 2, 0));
    nothing_is_held(&world, &enrolled);
}

#[test]
fn what_a_guarded_pod_answers_leaves_it() {
    let mut world = World::new("answers");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let strict = NodeOptions { strict: true, ..options() };
    let node = world.load_with(&World::capabilities(), strict);
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    for ip in &pod.ips {
        let to = SocketAddr::new(*ip, app.address.port());
        // To a client, to a probe, and where nobody listens.
        talk(&client.netns, to).unwrap();
        assert!(matches!(proxy.event(), Event::Inbound { .. }));
        talk(&world.netns, to).unwrap();
        connect(&world.netns, SocketAddr::new(*ip, 8081)).unwrap_err();
    }
    assert_eq!(proxy.enrolled.stats().guard_dropped, 0);
    nothing_is_held(&world, &proxy.enrolled);
}
