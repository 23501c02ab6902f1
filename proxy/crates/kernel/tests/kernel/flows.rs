//! The connections that no proxy is in, and ending them.
use crate::{
    pair::Pair,
    traffic::{App, Proxy, connect, eventually, talk, talk_over},
    world::World,
};
use culvert_kernel::{At, End, Flow, Verdict};
use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// Their ends, inbound or not, direct or not.
fn shown(flows: &[Flow]) -> BTreeSet<(SocketAddr, SocketAddr, bool, bool)> {
    flows.iter().map(|it| (it.local, it.remote, it.inbound, it.direct)).collect()
}

fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
    (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

#[test]
fn connections_older_than_enrolment_are_told_from_all_others() {
    let mut world = World::new("older");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let (app, server) = (App::start(&pod.netns, 8080), App::start(&world.netns, 7200));
    let inward = SocketAddr::new(pod.ips[0], app.address.port());
    let mut expected = BTreeSet::new();
    let mut open = Vec::new();
    for family in [0, 1] {
        let to = SocketAddr::new(pod.ips[family], app.address.port());
        let old = connect(&client.netns, to).unwrap();
        let (local, remote) = ends(&old);
        expected.insert((remote, local, true, false));
        let to = SocketAddr::new(pod.node[family], server.address.port());
        let out = connect(&pod.netns, to).unwrap();
        let (local, remote) = ends(&out);
        expected.insert((local, remote, false, false));
        open.extend([old, out]);
    }
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    // Captured, delivered, a probe, a tunnel, and what stays in the pod: all of them held open.
    let outward = SocketAddr::new(pod.node[1], server.address.port());
    let to = [(&pod, outward), (&client, inward), (&client, SocketAddr::new(pod.ips[1], 8080))];
    open.extend(to.map(|(from, to)| connect(&from.netns, to).unwrap()));
    open.push(connect(&world.netns, inward).unwrap());
    open.extend(
        [inward, "127.0.0.1:8080".parse().unwrap()].map(|to| connect(&pod.netns, to).unwrap()),
    );
    open.iter().for_each(greeted);
    let sockets = proxy.enrolled.socks();
    assert_eq!(shown(&sockets.flows().unwrap()), expected);
    // Ended, in either order of the ends, for both sides.
    for flow in sockets.flows().unwrap() {
        assert!(sockets.destroy(flow.remote, flow.local).unwrap());
        assert!(!sockets.destroy(flow.local, flow.remote).unwrap());
    }
    assert_eq!(sockets.flows().unwrap(), []);
    for (at, mut stream) in open.into_iter().enumerate() {
        stream.set_nonblocking(at >= 4).unwrap();
        let kind = stream.read(&mut [0]).unwrap_err().kind();
        assert_eq!(kind == std::io::ErrorKind::WouldBlock, at >= 4, "{at}: {kind}");
    }
}

#[test]
fn a_flow_that_is_not_there_takes_no_listener_with_it() {
    let mut world = World::new("nolistener");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let app = App::start(&pod.netns, 8080);
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let to = SocketAddr::new(pod.ips[0], app.address.port());
    let nobody = SocketAddr::new(client.ips[0], 4444);
    let sockets = proxy.enrolled.socks();
    assert!(!sockets.destroy(to, nobody).unwrap());
    assert!(!sockets.destroy("127.0.0.1:8080".parse().unwrap(), nobody).unwrap());
    talk(&client.netns, to).unwrap();
    talk(&pod.netns, to).unwrap();
}

#[test]
fn direct_connections_are_in_both_pods_and_ended_from_either() {
    let mut pair = Pair::new("destroy");
    for (family, by_source) in [(0, true), (1, false)] {
        let to = pair.permit(family);
        let mut stream = connect(&pair.a.netns, to).unwrap();
        greeted(&stream);
        let (from, there) = ends(&stream);
        assert_eq!(there, to);
        let (source, destination) = (pair.from.enrolled.socks(), pair.to.enrolled.socks());
        assert_eq!(shown(&source.flows().unwrap()), BTreeSet::from([(from, to, false, true)]));
        let other = destination.flows().unwrap();
        assert_eq!(shown(&other), BTreeSet::from([(to, from, true, true)]));
        let [flow] = pair.node.direct_flows().unwrap()[..] else { panic!("one flow") };
        assert_eq!((flow.source, flow.destination), (from, to));
        assert_eq!(pair.event().at, At::Opened);
        let by = if by_source { source } else { destination };
        assert!(by.destroy(flow.source, flow.destination).unwrap());
        stream.read(&mut [0]).unwrap_err();
        let closed = pair.event().at;
        assert!(matches!(closed, At::Closed { end: End::Reset, .. }), "{closed:?}");
        assert_eq!(pair.node.direct_flows().unwrap(), []);
    }
    // Their applications go on.
    talk(&pair.a.netns, pair.address(0)).unwrap();
}

/// Ends the threads that look at it, also when the test has failed.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_connection_slips_through_a_change() {
    let mut pair = Pair::new("slip");
    let to = pair.permit(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _then = Raise(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // However it ends: it may be cut at any moment.
                    drop(connect(&pair.a.netns, to).and_then(|stream| talk_over(&stream)));
                }
            });
        }
        let ids = [pair.from.enrolled.pod_id(), pair.to.enrolled.pod_id()];
        let sockets = pair.from.enrolled.socks();
        for epoch in 2..60 {
            let verdict = pair.verdict(to);
            let now = Verdict { source_epoch: epoch, destination_epoch: epoch, ..verdict };
            pair.node.set_epochs(ids.map(|id| (id, epoch))).unwrap();
            // From here on no direct connection of an older epoch can begin.
            for flow in pair.node.direct_flows().unwrap() {
                if flow.source_epoch < epoch {
                    sockets.destroy(flow.source, flow.destination).unwrap();
                }
            }
            for _ in 0..20 {
                let flows = pair.node.direct_flows().unwrap();
                assert!(flows.iter().all(|flow| flow.source_epoch >= epoch), "{flows:?}");
                thread::yield_now();
            }
            let before = pair.from.enrolled.stats().direct;
            assert!(pair.node.permit(&now).unwrap());
            eventually(|| {
                assert!(pair.node.beat().unwrap());
                pair.from.enrolled.stats().direct > before
            });
        }
    });
    eventually(|| pair.from.enrolled.stats().tuples == 0);
    assert_eq!(pair.from.enrolled.stats().events_lost, 0);
    // Each that was opened has ended.
    let mut open = 0_i32;
    while let Some(event) = pair.events.next() {
        open += match event.at {
            At::Opened => 1,
            At::Closed { end: End::Refused, .. } => 0,
            At::Closed { .. } => -1,
        };
    }
    assert_eq!(open, 0);
}

#[test]
fn the_sockets_of_an_earlier_generation_are_not_the_pods() {
    let mut world = World::new("generations");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let server = App::start(&world.netns, 7201);
    let _app = App::start(&pod.netns, 8080);
    let first = world.load();
    let old = Proxy::start(&first, &pod.spec());
    let through = [
        connect(&client.netns, SocketAddr::new(pod.ips[0], 8080)).unwrap(),
        connect(&pod.netns, SocketAddr::new(pod.node[0], server.address.port())).unwrap(),
    ];
    through.iter().for_each(greeted);
    let second = world.load();
    let new = Proxy::start(&second, &pod.spec());
    assert_eq!(new.enrolled.socks().flows().unwrap(), []);
    through.iter().for_each(echoes);
    drop(old);
}

#[test]
fn a_connection_that_is_being_opened_can_be_ended() {
    let mut world = World::new("opening");
    let (other, pod) = (world.pod("other"), world.pod("b"));
    // Its queue takes one; the next waits for an answer.
    let at = SocketAddr::new(other.ips[0], 8090);
    let full = crate::socket::listen(&other.netns, at, 0);
    let waiting: Vec<_> = (0..3).map(|_| crate::socket::begin(&pod.netns, at)).collect();
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let sockets = proxy.enrolled.socks();
    eventually(|| sockets.flows().unwrap().len() == 3);
    for flow in sockets.flows().unwrap() {
        assert!(sockets.destroy(flow.local, flow.remote).unwrap());
    }
    assert_eq!(sockets.flows().unwrap(), []);
    drop((waiting, full));
    let _still_there: TcpListener = crate::socket::listen(&other.netns, at, 1);
}

/// Both ends are there: the application has said its first word.
fn greeted(mut stream: &TcpStream) {
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).unwrap();
    }
}

fn echoes(mut stream: &TcpStream) {
    let mut word = [0; 4];
    stream.write_all(b"word").unwrap();
    stream.read_exact(&mut word).unwrap();
    assert_eq!(word, *b"word");
}
