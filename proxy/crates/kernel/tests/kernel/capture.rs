//! What is captured, where it goes, and what is left alone.
use crate::{
    traffic::{Accepting, App, Event, Proxy, Seen, connect, eventually, talk, talk_over},
    world::{World, options},
};
use culvert_kernel::{DeliverError, NodeOptions, PodSpec};
use culvert_model::pod::{Exclusion, Fail};
use std::{
    io::{self, Read as _},
    net::{SocketAddr, TcpListener},
    os::fd::AsFd as _,
};

#[test]
fn a_connect_is_captured_with_its_original_destination() {
    let mut world = World::new("outbound");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let server = App::start(&world.netns, 7000);
    for (to, own) in pod.node.iter().zip(&pod.ips) {
        let to = SocketAddr::new(*to, server.address.port());
        let seen = talk(&pod.netns, to).unwrap();
        // The server sees the pod, the application sees the server.
        assert_eq!(seen, Seen { by_app: *own, peer: to });
        assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });
    }
    eventually(|| proxy.enrolled.stats().pending == 0);
    assert_eq!(proxy.enrolled.stats().captured, 2);
}

#[test]
fn a_delivery_shows_the_application_its_client() {
    let mut world = World::new("inbound");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    for (to, client_ip) in pod.ips.iter().zip(&client.ips) {
        let to = SocketAddr::new(*to, app.address.port());
        let seen = talk(&client.netns, to).unwrap();
        assert_eq!(seen, Seen { by_app: *client_ip, peer: to });
        let accepted = Event::Inbound { client: *client_ip, destination: to };
        assert_eq!(proxy.event(), accepted);
    }
    eventually(|| proxy.enrolled.stats().tuples == 0);
}

#[test]
fn between_two_captured_pods_both_proxies_are_in_the_path() {
    let mut world = World::new("both");
    let (a, b) = (world.pod("a"), world.pod("b"));
    let node = world.load();
    let (from, to) = (Proxy::start(&node, &a.spec()), Proxy::start(&node, &b.spec()));
    let app = App::start(&b.netns, 8080);
    let address = SocketAddr::new(b.ips[0], app.address.port());
    let seen = talk(&a.netns, address).unwrap();
    assert_eq!(seen, Seen { by_app: a.ips[0], peer: address });
    assert_eq!(from.event(), Event::Outbound { original: Some(address) });
    assert_eq!(to.event(), Event::Inbound { client: a.ips[0], destination: address });
}

#[test]
fn probes_of_the_node_reach_the_application_directly() {
    let mut world = World::new("probe");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    let to = SocketAddr::new(pod.ips[0], app.address.port());
    assert_eq!(talk(&world.netns, to).unwrap().by_app, pod.node[0]);
    assert_eq!(proxy.events(), []);
}

#[test]
fn loopback_and_the_pods_own_address_stay_in_the_pod() {
    let mut world = World::new("self");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    for to in ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap(), pod.ips[0], pod.ips[1]] {
        talk(&pod.netns, SocketAddr::new(to, app.address.port())).unwrap();
    }
    assert_eq!(proxy.events(), []);
}

#[test]
fn a_connection_to_the_listener_itself_has_no_destination() {
    let mut world = World::new("listener");
    let pod = world.pod("a");
    let node = world.load();
    let mut prepared = node.prepare(&pod.spec()).unwrap();
    let sockets = prepared.socks();
    let listeners = prepared.listeners.take().unwrap();
    let _enrolled = prepared.activate().unwrap();
    let local = |listener: &TcpListener| {
        listener.set_nonblocking(false).unwrap();
        SocketAddr::new(pod.ips[0], listener.local_addr().unwrap().port())
    };
    let port = local(&listeners.outbound).port();
    for ip in [pod.ips[0], "127.0.0.1".parse().unwrap()] {
        let _client = connect(&pod.netns, SocketAddr::new(ip, port)).unwrap();
        let (accepted, _) = listeners.outbound.accept().unwrap();
        assert_eq!(sockets.original_dst(accepted.as_fd()), None);
    }
    let inbound = &listeners.inbound[0];
    local(inbound);
    let _client = connect(&pod.netns, inbound.local_addr().unwrap()).unwrap();
    let (accepted, client) = inbound.accept().unwrap();
    let delivered = sockets.deliver(client.ip(), accepted.local_addr().unwrap());
    assert!(matches!(delivered, Err(DeliverError::NotCaptured { .. })));
}

#[test]
fn excluded_destinations_are_left_alone() {
    let mut world = World::new("exclude");
    let pod = world.pod("a");
    let exclusion =
        Exclusion { network: format!("{}/32", pod.node[0]).parse().unwrap(), ports: vec![7001] };
    let options = NodeOptions { exclusions: vec![exclusion], ..options() };
    let node = world.load_with(&World::capabilities(), options);
    let proxy = Proxy::start(&node, &pod.spec());
    let (excluded, other) = (App::start(&world.netns, 7001), App::start(&world.netns, 7002));
    let to = |app: &App| SocketAddr::new(pod.node[0], app.address.port());
    talk(&pod.netns, to(&excluded)).unwrap();
    assert_eq!(proxy.events(), []);
    talk(&pod.netns, to(&other)).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(to(&other)) });
    assert_eq!(proxy.enrolled.stats().excluded, 1);
}

#[test]
fn a_delivery_avoids_the_ports_of_live_connections() {
    let mut world = World::new("live");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let app = App::start(&pod.netns, 8080);
    let to = SocketAddr::new(pod.ips[0], app.address.port());
    // Older than enrolment, and from the ports that deliveries try first.
    let live: Vec<_> = (0..3_u16)
        .map(|i| {
            let bound = client.netns.run(|| {
                let socket = socket2::Socket::new(
                    socket2::Domain::IPV4,
                    socket2::Type::STREAM,
                    Some(socket2::Protocol::TCP),
                )?;
                socket.bind(&SocketAddr::new(client.ips[0], 61_000 + i * 1_597).into())?;
                socket.connect(&to.into())?;
                Ok::<_, io::Error>(std::net::TcpStream::from(socket))
            });
            bound.unwrap().unwrap()
        })
        .collect();
    let node = world.load();
    let _proxy = Proxy::start(&node, &pod.spec());
    let seen = talk(&client.netns, to).unwrap();
    assert_eq!(seen.by_app, client.ips[0]);
    for stream in live {
        assert_eq!(talk_over(&stream).unwrap().by_app, client.ips[0]);
    }
}

#[test]
fn deliveries_outlast_every_port_being_in_time_wait() {
    /// More than the upper zone of source ports has.
    const DELIVERIES: usize = 5_000;
    let mut world = World::new("wait");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let node = world.load();
    // The lower zone is the application's.
    let spec = PodSpec { container_ports: (10_240..=32_767).collect(), ..pod.spec() };
    let proxy = Proxy::start(&node, &spec);
    // An application that closes first, so that its end waits.
    let listener = pod.netns.run(|| TcpListener::bind("0.0.0.0:8080")).unwrap().unwrap();
    let closing = Accepting::start(listener, drop);
    let to = SocketAddr::new(pod.ips[0], 8080);
    let sockets = proxy.enrolled.socks();
    for number in 0..DELIVERIES {
        let mut stream = sockets.deliver(client.ips[0], to).unwrap();
        stream.set_nonblocking(false).unwrap();
        let end = stream.read(&mut [0]);
        assert!(matches!(end, Ok(0)), "delivery {number}: {end:?}");
    }
    drop(closing);
}

#[test]
fn without_a_proxy_connections_are_refused_or_go_direct_as_the_pod_says() {
    let mut world = World::new("fail");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let (app, server) = (App::start(&pod.netns, 8080), App::start(&world.netns, 7003));
    let inward = SocketAddr::new(pod.ips[0], app.address.port());
    let outward = SocketAddr::new(pod.node[0], server.address.port());
    let node = world.load();
    let mut prepared = node.prepare(&pod.spec()).unwrap();
    // As if the process had died: the listeners are gone, the programs are not.
    drop(prepared.listeners.take());
    let mut enrolled = prepared.activate().unwrap();
    for (from, to) in [(&client, inward), (&pod, outward)] {
        let refused = connect(&from.netns, to).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{to}");
    }
    enrolled.update(&PodSpec { fail: Fail::Open, ..pod.spec() }).unwrap();
    for (from, to) in [(&client, inward), (&pod, outward)] {
        assert_eq!(talk(&from.netns, to).unwrap().by_app, from.ips[0]);
    }
    assert_eq!(enrolled.stats().failed_open, 2);
}

#[test]
fn a_pod_without_ipv6_is_captured_for_ipv4() {
    let mut world = World::new("v4");
    let pod = world.pod("a");
    pod.set_sysctl("ipv6/conf/all/disable_ipv6", "1");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let server = App::start(&world.netns, 7005);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    talk(&pod.netns, to).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });
}

#[test]
fn what_goes_beyond_a_pods_share_is_told_apart_from_taken_ports() {
    let mut world = World::new("share");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let node = world.load_with(&World::capabilities(), NodeOptions { tuple_limit: 1, ..options() });
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    let to = SocketAddr::new(pod.ips[0], app.address.port());
    let sockets = proxy.enrolled.socks();
    let _held = sockets.deliver(client.ips[0], to).unwrap();
    let second = sockets.deliver(client.ips[0], to);
    assert!(matches!(second, Err(DeliverError::Share { .. })), "{second:?}");
}

#[test]
fn kernels_without_the_newer_abilities_capture_too() {
    let mut world = World::new("old");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let mut capabilities = World::capabilities();
    capabilities.netns_cookie = false;
    capabilities.sockops_cookie = false;
    capabilities.lookup_ingress = false;
    let node = world.load_with(&capabilities, options());
    let proxy = Proxy::start(&node, &pod.spec());
    let (app, server) = (App::start(&pod.netns, 8080), App::start(&world.netns, 7004));
    let to = SocketAddr::new(pod.node[1], server.address.port());
    talk(&pod.netns, to).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });
    let to = SocketAddr::new(pod.ips[1], app.address.port());
    assert_eq!(talk(&client.netns, to).unwrap().by_app, client.ips[1]);
}
