//! Questions of a pod to its name servers.
use crate::{
    socket::in_v6,
    traffic::{App, Event, PATIENCE, Proxy, canonical, connect, eventually, talk},
    world::{Pod, World, options},
};
use culvert_kernel::{DnsListener, Node, NodeOptions, PodSpec, netns::Netns};
use culvert_model::pod::Exclusion;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsFd as _,
    thread,
};

/// A pod with a name server of each family, in whose place the proxy answers.
struct Named {
    proxy: Proxy,
    ours: Vec<DnsListener>,
    /// The name servers themselves.
    theirs: Vec<UdpSocket>,
    pod: Pod,
    client: Pod,
    node: Node,
    world: World,
}

impl Named {
    fn new(test: &str) -> Self {
        Self::with(test, options())
    }

    fn with(test: &str, options: NodeOptions) -> Self {
        let mut world = World::new(test);
        let (client, pod) = (world.pod("client"), world.pod("a"));
        let theirs = pod.node.iter().map(|ip| udp(&world.netns, SocketAddr::new(*ip, 53)));
        let theirs = theirs.collect();
        let node = world.load_with(&World::capabilities(), options);
        assert!(node.beat().unwrap());
        let (proxy, ours) = Proxy::start_with_dns(&node, &spec(&pod));
        ours.iter().for_each(|it| patient(&it.udp));
        Self { proxy, ours, theirs, pod, client, node, world }
    }

    fn resolver(&self, family: usize) -> SocketAddr {
        SocketAddr::new(self.pod.node[family], 53)
    }

    /// A question of the pod gets an answer from whom it was sent to; whether that is the proxy.
    fn is_ours(&self, asking: &UdpSocket, to: SocketAddr) -> bool {
        asking.send_to(b"who?", to).unwrap();
        let family = usize::from(canonical(to).is_ipv6());
        let both = [&self.ours[family].udp, &self.theirs[family]];
        both.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        let mut answered = [false; 2];
        eventually(|| {
            answered = both.map(|socket| answer(socket).is_ok());
            answered.contains(&true)
        });
        assert_eq!(heard(asking), canonical(to));
        assert_ne!(answered[0], answered[1]);
        answered[0]
    }
}

fn spec(pod: &Pod) -> PodSpec {
    PodSpec { resolvers: pod.node.clone(), ..pod.spec() }
}

/// Answers the next question.
fn answer(socket: &UdpSocket) -> io::Result<SocketAddr> {
    let mut question = [0; 16];
    let (length, from) = socket.recv_from(&mut question)?;
    assert_eq!(&question[..length], b"who?");
    socket.send_to(b"I am", from)?;
    Ok(from)
}

/// Who has answered, as the application is told.
fn heard(asking: &UdpSocket) -> SocketAddr {
    let mut answer = [0; 16];
    let (length, from) = asking.recv_from(&mut answer).unwrap();
    assert_eq!(&answer[..length], b"I am");
    canonical(from)
}

fn udp(netns: &Netns, at: SocketAddr) -> UdpSocket {
    let socket = netns.run(|| UdpSocket::bind(at)).unwrap().unwrap();
    patient(&socket);
    socket
}

fn any4(netns: &Netns) -> UdpSocket {
    udp(netns, (Ipv4Addr::UNSPECIFIED, 0).into())
}

fn any6(netns: &Netns) -> UdpSocket {
    udp(netns, (Ipv6Addr::UNSPECIFIED, 0).into())
}

fn patient(socket: &UdpSocket) {
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
}

#[test]
fn questions_reach_the_proxy_and_answers_come_from_whom_was_asked() {
    let named = Named::new("dns");
    assert_eq!(named.ours.iter().map(|it| it.resolver).collect::<Vec<_>>(), named.pod.node);
    let (v4, v6) = (any4(&named.pod.netns), any6(&named.pod.netns));
    assert!(named.is_ours(&v4, named.resolver(0)));
    assert!(named.is_ours(&v6, named.resolver(1)));
    // An IPv6 socket asks an IPv4 server.
    assert!(named.is_ours(&v6, in_v6(named.resolver(0))));
    assert_eq!(named.proxy.enrolled.stats().dns, 3);
    // The proxy sees the pod's own address.
    v4.send_to(b"who?", named.resolver(0)).unwrap();
    patient(&named.ours[0].udp);
    let asked_by = answer(&named.ours[0].udp).unwrap();
    assert_eq!(asked_by, SocketAddr::new(named.pod.ips[0], v4.local_addr().unwrap().port()));
}

#[test]
fn a_connected_socket_asks_the_proxy_and_shows_the_name_server() {
    let named = Named::new("dnsconnected");
    for (family, socket) in [any4(&named.pod.netns), any6(&named.pod.netns)].iter().enumerate() {
        let to = named.resolver(family);
        socket.connect(to).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), to);
        assert_eq!(socket.local_addr().unwrap().ip(), named.pod.ips[family]);
        socket.send(b"who?").unwrap();
        answer(&named.ours[family].udp).unwrap();
        assert_eq!(heard(socket), to);
        // It may get another peer, which is no name server.
        let elsewhere = udp(&named.world.netns, SocketAddr::new(to.ip(), 0));
        let other = elsewhere.local_addr().unwrap();
        socket.connect(other).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), other);
        socket.send(b"who?").unwrap();
        answer(&elsewhere).unwrap();
        assert_eq!(heard(socket), other);
    }
}

#[test]
fn what_is_no_question_to_a_known_server_goes_where_it_was_sent() {
    let named = Named::new("dnsother");
    let asking = any4(&named.pod.netns);
    // Another port of the name server, another server, and one that only the node knows.
    let others = [
        udp(&named.world.netns, SocketAddr::new(named.pod.node[0], 5353)),
        udp(&named.world.netns, SocketAddr::new(named.client.node[0], 53)),
    ];
    for other in others {
        let to = other.local_addr().unwrap();
        asking.send_to(b"who?", to).unwrap();
        answer(&other).unwrap();
        assert_eq!(heard(&asking), to);
    }
    // Another pod, whose name server it is not.
    let outside = any4(&named.client.netns);
    outside.send_to(b"who?", named.resolver(0)).unwrap();
    patient(&named.theirs[0]);
    answer(&named.theirs[0]).unwrap();
    assert_eq!(named.proxy.enrolled.stats().dns, 0);
}

#[test]
fn without_a_sign_of_life_the_name_server_is_asked() {
    let named = Named::new("dnsdead");
    let asking = any4(&named.pod.netns);
    assert!(named.is_ours(&asking, named.resolver(0)));
    named.node.stop_beating().unwrap();
    assert!(!named.is_ours(&asking, named.resolver(0)));
    assert!(named.node.beat().unwrap());
    assert!(named.is_ours(&asking, named.resolver(0)));
    // Its last answer is put right also if it comes late.
    asking.send_to(b"who?", named.resolver(0)).unwrap();
    named.node.stop_beating().unwrap();
    patient(&named.ours[0].udp);
    answer(&named.ours[0].udp).unwrap();
    assert_eq!(heard(&asking), named.resolver(0));
}

#[test]
fn the_name_server_is_asked_where_nobody_answers_in_its_place() {
    let named = Named::new("dnsnobody");
    let Named { ours, theirs, pod, proxy, .. } = &mut { named };
    // The sockets of a process that has just ended, and lived until then.
    ours.clear();
    for (family, asking) in [any4(&pod.netns), any6(&pod.netns)].iter().enumerate() {
        let to = SocketAddr::new(pod.node[family], 53);
        asking.send_to(b"who?", to).unwrap();
        patient(&theirs[family]);
        answer(&theirs[family]).unwrap();
        assert_eq!(heard(asking), to);
        let _connected = connect(&pod.netns, to).unwrap();
        assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });
    }
    assert_eq!(proxy.enrolled.stats().dns, 0);
}

#[test]
fn connections_to_a_name_server_have_a_listener_of_their_own() {
    let named = Named::new("dnstcp");
    for (family, listener) in named.ours.iter().enumerate() {
        let to = named.resolver(family);
        listener.tcp.set_nonblocking(false).unwrap();
        let client = connect(&named.pod.netns, to).unwrap();
        assert_eq!(client.peer_addr().unwrap(), to);
        let (accepted, _) = listener.tcp.accept().unwrap();
        let sockets = named.proxy.enrolled.socks();
        assert_eq!(sockets.original_dst(accepted.as_fd()), Some(to));
        // Who connects to the listener itself meant nobody.
        let here = listener.tcp.local_addr().unwrap();
        let _itself = connect(&named.pod.netns, here).unwrap();
        let (accepted, _) = listener.tcp.accept().unwrap();
        assert_eq!(sockets.original_dst(accepted.as_fd()), None);
    }
    assert_eq!(named.proxy.events(), []);
    // Any other server is a destination like any.
    let other = SocketAddr::new(named.client.node[0], 53);
    let _app = App::start(&named.world.netns, 53);
    talk(&named.pod.netns, other).unwrap();
    assert_eq!(named.proxy.event(), Event::Outbound { original: Some(other) });
    // So is a known one while nobody lives who could answer in its place.
    named.node.stop_beating().unwrap();
    talk(&named.pod.netns, named.resolver(0)).unwrap();
    let asked = Event::Outbound { original: Some(named.resolver(0)) };
    assert_eq!(named.proxy.event(), asked);
}

#[test]
fn the_proxy_itself_reaches_the_name_server() {
    let named = Named::new("dnsforward");
    for family in [0, 1] {
        let to = named.resolver(family);
        let socket = named.proxy.enrolled.socks().udp(to).unwrap();
        patient(&socket);
        socket.send(b"who?").unwrap();
        patient(&named.theirs[family]);
        let asked_by = answer(&named.theirs[family]).unwrap();
        assert_eq!(asked_by.ip(), named.pod.ips[family]);
        assert_eq!(heard(&socket), to);
    }
    assert_eq!(named.proxy.enrolled.stats().dns, 0);
}

#[test]
fn nobody_else_reaches_the_proxys_socket() {
    let named = Named::new("dnsoutside");
    for (family, ours) in named.ours.iter().enumerate() {
        let here = ours.udp.local_addr().unwrap();
        let outside = if family == 0 { any4 } else { any6 };
        for from in [outside(&named.client.netns), outside(&named.world.netns)] {
            from.send_to(b"what?", here).unwrap();
        }
        // The only one that arrives.
        assert!(named.is_ours(&outside(&named.pod.netns), named.resolver(family)));
        assert!(ours.udp.recv_from(&mut [0; 16]).is_err());
    }
}

#[test]
fn a_name_server_that_is_excluded_is_left_alone() {
    let everything: IpAddr = Ipv4Addr::UNSPECIFIED.into();
    let network = format!("{everything}/0").parse().unwrap();
    let exclusions = vec![Exclusion { network, ports: vec![53] }];
    let named = Named::with("dnsexclude", NodeOptions { exclusions, ..options() });
    assert!(!named.is_ours(&any4(&named.pod.netns), named.resolver(0)));
    assert!(named.is_ours(&any6(&named.pod.netns), named.resolver(1)));
}

#[test]
fn the_port_stays_while_generations_come_and_go() {
    let named = Named::new("dnsgenerations");
    let asking = any4(&named.pod.netns);
    asking.connect(named.resolver(0)).unwrap();
    let ports = |ours: &[DnsListener]| {
        ours.iter().map(|it| it.udp.local_addr().unwrap()).collect::<Vec<_>>()
    };
    let before = ports(&named.ours);
    let second = named.world.load();
    let (new, ours) = Proxy::start_with_dns(&second, &spec(&named.pod));
    assert!(second.beat().unwrap());
    assert_eq!(ports(&ours), before);
    let Named { proxy: old, ours: old_dns, .. } = named;
    drop((old, old_dns));
    patient(&ours[0].udp);
    let ask = |ours: &[DnsListener]| {
        asking.send(b"who?").unwrap();
        answer(&ours[0].udp).unwrap();
        heard(&asking);
    };
    ask(&ours);
    // As after a crash: nobody is there for a while.
    drop((new, ours, second));
    let third = named.world.load();
    let (_newest, ours) = Proxy::start_with_dns(&third, &spec(&named.pod));
    assert_eq!(ports(&ours), before);
    patient(&ours[0].udp);
    // It may have been told that nobody was there.
    drop(asking.take_error());
    ask(&ours);
}

#[test]
fn an_answer_that_comes_after_the_pod_has_left_is_put_right_too() {
    let mut named = Named::new("dnsleave");
    let asking = any4(&named.pod.netns);
    asking.send_to(b"who?", named.resolver(0)).unwrap();
    named.proxy.enrolled.release().unwrap();
    patient(&named.ours[0].udp);
    answer(&named.ours[0].udp).unwrap();
    assert_eq!(heard(&asking), named.resolver(0));
    assert!(!named.is_ours(&asking, named.resolver(0)));
    let Named { proxy, pod, node, .. } = named;
    proxy.enrolled.finish().unwrap();
    // A later life of it asks nobody that is not said.
    let (_again, none) = Proxy::start_with_dns(&node, &pod.spec());
    assert!(none.is_empty());
    asking.send_to(b"who?", SocketAddr::new(pod.node[0], 53)).unwrap();
    patient(&named.theirs[0]);
    answer(&named.theirs[0]).unwrap();
}

#[test]
fn an_update_ends_what_is_not_asked_any_more() {
    let mut named = Named::new("dnsupdate");
    let fewer = PodSpec { resolvers: vec![named.pod.node[1]], ..spec(&named.pod) };
    named.proxy.enrolled.update(&fewer).unwrap();
    assert!(!named.is_ours(&any4(&named.pod.netns), named.resolver(0)));
    assert!(named.is_ours(&any6(&named.pod.netns), named.resolver(1)));
}

#[test]
fn many_ask_at_once() {
    let named = Named::new("dnsmany");
    let ours = named.ours[0].udp.try_clone().unwrap();
    let answering = thread::spawn(move || {
        for _ in 0..400 {
            answer(&ours).unwrap();
        }
    });
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (socket, to) = (any4(&named.pod.netns), named.resolver(0));
            thread::spawn(move || {
                for _ in 0..100 {
                    socket.send_to(b"who?", to).unwrap();
                    assert_eq!(heard(&socket), to);
                }
            })
        })
        .collect();
    askers.into_iter().for_each(|asker| asker.join().unwrap());
    answering.join().unwrap();
}
