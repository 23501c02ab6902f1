//! Connections between two pods of the node that a verdict lets go direct.
use crate::{
    pair::{Pair, next},
    socket::{self, again, disconnect},
    traffic::{App, Event, Seen, connect, eventually, talk, talk_over},
    world::options,
};
use culvert_kernel::{At, DirectEvent, End, NodeOptions, Verdict, reset};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

#[test]
fn a_permitted_connection_goes_direct_and_tells_of_itself() {
    let mut pair = Pair::new("direct");
    for family in [0, 1] {
        let to = pair.permit(family);
        assert!(pair.is_direct(to));
        let (opened, closed) = (pair.event(), pair.event());
        assert_eq!(opened.at, At::Opened);
        assert_eq!((opened.destination, opened.meant), (to, to));
        assert_eq!(opened.source.ip(), pair.a.ips[family]);
        assert_eq!(opened.source_pod, pair.from.enrolled.pod_id());
        assert_eq!(opened.destination_pod, pair.to.enrolled.pod_id());
        assert_eq!(DirectEvent { at: At::Opened, ..closed }, opened);
        // The greeting is the client's address and a new line.
        let greeting = pair.a.ips[family].to_string().len() as u64 + 1;
        let At::Closed { sent, received, end, lasted } = closed.at else { panic!("{closed:?}") };
        assert_eq!((sent, received, end), (4, 4 + greeting, End::Done));
        assert!(lasted > Duration::ZERO);
    }
    eventually(|| pair.from.enrolled.stats().tuples == 0);
    assert_eq!(pair.node.direct_flows().unwrap(), []);
    assert_eq!(pair.to.enrolled.stats().tuples, 0);
}

/// Ends a connection, given the client's and the server's end.
type Ending = fn(TcpStream, TcpStream);

const ENDINGS: [(&str, Ending, End); 5] = [
    ("the client closes, then the server", |c, s| is_over(s, c), End::Done),
    ("the server closes, then the client", is_over, End::Done),
    ("the client half-closes and reads to the end", half_closed, End::Done),
    ("the client resets", |c, s| is_reset(s, c), End::Reset),
    ("the server resets", is_reset, End::Reset),
];

#[test]
fn bytes_are_exact_whoever_closes_first_and_however() {
    let mut pair = Pair::new("bytes");
    let listener = pair.b.netns.run(|| TcpListener::bind("0.0.0.0:8081")).unwrap().unwrap();
    let to = SocketAddr::new(pair.b.ips[0], 8081);
    assert!(pair.node.permit(&pair.verdict(to)).unwrap());
    for (what, ending, expected) in ENDINGS {
        let mut client = connect(&pair.a.netns, to).unwrap();
        let mut server = listener.accept().unwrap().0;
        // Five bytes there and three back, each of them read before anybody goes on.
        let mut bytes = [0; 5];
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut bytes).unwrap();
        server.write_all(b"yes").unwrap();
        client.read_exact(&mut bytes[..3]).unwrap();
        ending(client, server);
        assert_eq!(pair.event().at, At::Opened);
        let closed = pair.event().at;
        let At::Closed { sent, received, end, .. } = closed else { panic!("{closed:?}") };
        assert_eq!((sent, received, end), (5, 3, expected), "{what}");
    }
}

/// The second closes, then the first.
fn is_over(mut first: TcpStream, second: TcpStream) {
    drop(second);
    assert_eq!(first.read(&mut [0]).unwrap(), 0);
}

fn half_closed(client: TcpStream, mut server: TcpStream) {
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    is_over(client, server);
}

/// The second resets the first.
fn is_reset(mut first: TcpStream, second: TcpStream) {
    reset(&second).unwrap();
    drop(second);
    first.read(&mut [0]).unwrap_err();
}

#[test]
fn a_refused_connection_tells_once() {
    let mut pair = Pair::new("refuseddirect");
    let to = SocketAddr::new(pair.b.ips[0], 8082);
    assert!(pair.node.permit(&pair.verdict(to)).unwrap());
    connect(&pair.a.netns, to).unwrap_err();
    let event = pair.event();
    assert!(matches!(event.at, At::Closed { sent: 0, received: 0, end: End::Refused, .. }));
    assert_eq!(event.meant, to);
    assert_eq!(pair.events.next(), None);
    eventually(|| pair.from.enrolled.stats().tuples == 0);
}

#[test]
fn a_verdict_is_for_one_pod_one_address_and_one_port() {
    let mut pair = Pair::new("narrow");
    let to = pair.permit(0);
    assert!(!pair.is_direct(pair.address(1)));
    let _other = App::start(&pair.b.netns, 8083);
    assert!(!pair.is_direct(SocketAddr::new(to.ip(), 8083)));
    // Of the other pod to itself, or from elsewhere, nothing is said.
    assert!(pair.events.next().is_none());
    talk(&pair.b.netns, to).unwrap();
    assert_eq!(pair.to.events(), []);
}

#[test]
fn a_new_epoch_of_either_pod_ends_a_verdict() {
    let pair = Pair::new("epochs");
    let to = pair.permit(0);
    assert!(pair.is_direct(to));
    for (from, dest) in [(2, 1), (1, 2), (2, 2)] {
        pair.epochs(from, dest);
        assert!(!pair.is_direct(to));
    }
    pair.epochs(1, 1);
    assert!(pair.is_direct(to));
    // Decided from a state that is not the present one: never holds.
    let stale = Verdict { destination_epoch: 0, ..pair.verdict(to) };
    assert!(pair.node.permit(&stale).unwrap());
    assert!(!pair.is_direct(to));
    pair.permit(0);
    pair.node.revoke_all().unwrap();
    assert!(!pair.is_direct(to));
}

#[test]
fn verdicts_hold_while_the_proxy_lives() {
    let pair = Pair::new("lease");
    let to = pair.permit(0);
    assert!(pair.is_direct(to));
    pair.node.stop_beating().unwrap();
    assert!(!pair.is_direct(to));
    assert!(pair.node.beat().unwrap());
    assert!(pair.is_direct(to));
    // As after a crash: nobody says anything.
    eventually(|| !pair.is_direct(to));
}

#[test]
fn a_pod_that_is_let_go_is_in_no_verdict() {
    let mut pair = Pair::new("gone2");
    let to = pair.permit(0);
    assert!(pair.is_direct(to));
    pair.to.enrolled.release().unwrap();
    let seen = talk(&pair.a.netns, to).unwrap();
    assert_eq!(seen, Seen { by_app: pair.a.ips[0], peer: to });
    assert_eq!(pair.from.event(), Event::Outbound { original: Some(to) });
    pair.from.enrolled.release().unwrap();
    talk(&pair.a.netns, to).unwrap();
    assert_eq!(pair.from.events(), []);
}

#[test]
fn a_new_generation_begins_without_verdicts() {
    let mut pair = Pair::new("genverdict");
    let to = pair.permit(0);
    let open = connect(&pair.a.netns, to).unwrap();
    assert_eq!(pair.event().at, At::Opened);
    let second = pair.world.load();
    // It lives still, and serves.
    assert!(!pair.is_direct(to));
    assert!(!pair.node.beat().unwrap());
    assert!(!pair.node.permit(&pair.verdict(to)).unwrap());
    assert!(pair.node.set_epochs([(1, 1)]).is_err());
    pair.node.stop_beating().unwrap();
    // What is open is known to the new one, and tells it of its end.
    let mut events = second.events().unwrap();
    let [flow] = second.direct_flows().unwrap()[..] else { panic!("one flow") };
    assert_eq!(flow.destination, to);
    drop(open);
    let closed = next(&mut events);
    assert!(matches!(closed.at, At::Closed { .. }), "{closed:?}");
    assert_eq!(closed.source, flow.source);
    assert_eq!(pair.events.next(), None);
}

#[test]
fn a_services_share_goes_to_the_endpoint_and_shows_the_service() {
    let mut pair = Pair::new("vip");
    let service: SocketAddr = "10.200.0.1:80".parse().unwrap();
    let endpoint = pair.address(0);
    let verdict = Verdict { destination: service, endpoint, ..pair.verdict(service) };
    assert!(pair.node.permit(&verdict).unwrap());
    assert!(pair.is_direct(service));
    let opened = pair.event();
    assert_eq!((opened.meant, opened.destination), (service, endpoint));
    // Of many endpoints only a few connections are its.
    assert!(pair.node.permit(&Verdict { endpoints: u16::MAX, ..verdict }).unwrap());
    let stream = connect(&pair.a.netns, service).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), service);
    assert_eq!(pair.from.event(), Event::Outbound { original: Some(service) });
    // A family cannot be changed on the way, and no endpoints are none.
    let mixed = Verdict { endpoint: pair.address(1), ..verdict };
    assert!(!pair.node.permit(&mixed).unwrap());
    assert!(!pair.node.permit(&Verdict { endpoints: 0, ..verdict }).unwrap());
}

#[test]
fn a_socket_used_again_is_what_it_is_then() {
    let mut pair = Pair::new("reusedirect");
    let (to, other) = (pair.permit(0), SocketAddr::new(pair.b.ips[0], 8084));
    let _other = App::start(&pair.b.netns, 8084);
    let socket = socket::begin(&pair.a.netns, to);
    assert_eq!(pair.event().at, At::Opened);
    disconnect(&socket);
    assert!(matches!(pair.event().at, At::Closed { .. }));
    again(&socket, other);
    assert_eq!(pair.from.event(), Event::Outbound { original: Some(other) });
    disconnect(&socket);
    again(&socket, to);
    assert_eq!(pair.event().at, At::Opened);
    assert_eq!(pair.from.events(), []);
}

#[test]
fn strict_lets_direct_connections_out() {
    let strict = NodeOptions { strict: true, ..options() };
    let pair = Pair::with("strictdirect", strict);
    let to = pair.permit(0);
    assert!(pair.is_direct(to));
    assert_eq!(pair.from.enrolled.stats().guard_dropped, 0);
    eventually(|| pair.from.enrolled.stats().tuples == 0);
}

#[test]
fn beyond_a_pods_share_connections_come_to_the_proxy() {
    for (test, strict, holds) in [("directshare", false, 2), ("directstrict", true, 3)] {
        // Of a second one, one entry would not fit.
        let tuple_limit = 2 * u32::try_from(holds).unwrap() - 1;
        let pair = Pair::with(test, NodeOptions { tuple_limit, strict, ..options() });
        let to = pair.permit(0);
        let first = connect(&pair.a.netns, to).unwrap();
        assert_eq!(pair.from.enrolled.stats().tuples, holds);
        assert!(!pair.is_direct(to));
        talk_over(&first).unwrap();
        assert_eq!(pair.from.enrolled.stats().over_limit, 0);
    }
}

#[test]
fn one_pods_verdicts_take_nobody_elses_room() {
    let pair = Pair::new("verdictshare");
    let to = pair.permit(0);
    let other = Verdict { source_pod: pair.to.enrolled.pod_id(), ..pair.verdict(to) };
    for port in 1..=2000 {
        let destination = SocketAddr::new(pair.a.ips[0], port);
        let many = Verdict { destination, endpoint: destination, ..other };
        assert!(pair.node.permit(&many).unwrap());
    }
    assert!(pair.is_direct(to));
}

#[test]
fn multipath_sockets_go_direct_where_there_are_any() {
    let mut pair = Pair::new("mptcpdirect");
    let to = pair.permit(0);
    let mptcp = Some(Protocol::MPTCP);
    let made = pair.a.netns.run(|| Socket::new(Domain::IPV4, Type::STREAM, mptcp)).unwrap();
    let Ok(socket) = made else { return };
    socket.connect(&to.into()).unwrap();
    assert_eq!(pair.event().at, At::Opened);
    let seen = talk_over(&socket.into()).unwrap();
    assert_eq!(seen, Seen { by_app: pair.a.ips[0], peer: to });
    assert!(matches!(pair.event().at, At::Closed { end: End::Done, .. }));
    assert_eq!((pair.from.events(), pair.to.events()), (vec![], vec![]));
}
