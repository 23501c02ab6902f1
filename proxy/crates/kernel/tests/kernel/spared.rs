//! What is not captured: left alone, refused, or without a destination.
use crate::{
    held::nothing_is_held,
    socket::{LISTEN, in_state},
    traffic::{App, Event, Proxy, Seen, connect, talk},
    world::{Pod, World, options},
};
use culvert_kernel::{NodeOptions, PodStats, netlink::Netlink};
use culvert_model::{addr::PodIps, pod::Exclusion};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

/// Of the node and of the pod, on the link between them alone.
const LINK: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x99, 1), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x99, 2)];

/// A server of the node as the pod's neighbour, of whom the proxy could not tell the link.
fn neighbour(world: &World, pod: &Pod, port: u16) -> SocketAddr {
    let mut there = Netlink::open_in(&pod.netns).unwrap();
    there.add_addr("eth0", LINK[1].into(), 64).unwrap();
    let mut here = Netlink::open_in(&world.netns).unwrap();
    here.add_addr("v1", LINK[0].into(), 64).unwrap();
    SocketAddrV6::new(LINK[0], port, 0, there.link_index("eth0").unwrap()).into()
}

#[test]
fn what_means_the_pod_itself_or_its_link_is_left_alone() {
    let mut world = World::new("stays");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let server = App::start(&world.netns, 7310);
    let local = App::start(&pod.netns, 7311);
    let port = local.address.port();
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let inside = [
        Ipv4Addr::new(127, 3, 2, 1).into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv6Addr::UNSPECIFIED.into(),
        mapped.into(),
        pod.ips[0],
        pod.ips[1],
    ];
    for ip in inside {
        talk(&pod.netns, SocketAddr::new(ip, port)).unwrap();
    }
    let neighbour = neighbour(&world, &pod, server.address.port());
    assert_eq!(talk(&pod.netns, neighbour).unwrap().by_app, LINK[1]);
    assert_eq!(proxy.events(), []);
    assert_eq!(proxy.enrolled.stats().captured, 0);
}

/// Connects out of a strict pod to its neighbour on the link.
fn connect_strictly(test: &str, exclusions: Vec<Exclusion>) -> (io::Result<Seen>, PodStats) {
    let mut world = World::new(test);
    let pod = world.pod("a");
    let strict = NodeOptions { strict: true, exclusions, ..options() };
    let node = world.load_with(&World::capabilities(), strict);
    let proxy = Proxy::start(&node, &pod.spec());
    let server = App::start(&world.netns, 7313);
    let seen = talk(&pod.netns, neighbour(&world, &pod, server.address.port()));
    assert_eq!(proxy.events(), []);
    nothing_is_held(&world, &proxy.enrolled);
    (seen, proxy.enrolled.stats())
}

#[test]
fn a_strict_pods_neighbour_is_refused_at_once_unless_it_is_excluded() {
    let (refused, stats) = connect_strictly("link-strict", Vec::new());
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!((stats.guard_passed, stats.guard_dropped), (0, 1));

    let link = Exclusion { network: "fe80::/10".parse().unwrap(), ports: Vec::new() };
    let (reached, stats) = connect_strictly("link-excluded", vec![link]);
    assert_eq!(reached.unwrap().by_app, LINK[1]);
    assert_eq!((stats.excluded, stats.guard_passed, stats.guard_dropped), (1, 1, 0));
}

#[test]
fn a_family_the_pod_has_no_address_of_is_refused() {
    let mut world = World::new("family");
    let pod = world.pod("a");
    let node = world.load_with(&World::capabilities(), options());
    let server = App::start(&world.netns, 7312);
    for (known, other) in [(0, 1), (1, 0)] {
        let mut spec = pod.spec();
        spec.ips = PodIps::try_from_ips([pod.ips[known]]).unwrap();
        let proxy = Proxy::start(&node, &spec);
        let before = proxy.enrolled.stats().refused_family;
        let to = |family: usize| SocketAddr::new(pod.node[family], server.address.port());
        let refused = connect(&pod.netns, to(other)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(proxy.enrolled.stats().refused_family, before + 1);
        talk(&pod.netns, to(known)).unwrap();
        assert_eq!(proxy.event(), Event::Outbound { original: Some(to(known)) });
    }
}

#[test]
fn whoever_connects_to_a_listeners_port_reaches_nothing() {
    let mut world = World::new("ports");
    let (client, pod) = (world.pod("client"), world.pod("a"));
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let ports = in_state(&pod.netns, LISTEN);
    assert_eq!(ports.len(), 5);
    // Connections to the pod like any other.
    let mut expected = Vec::new();
    for (port, _) in ports {
        for (ip, from) in pod.ips.iter().zip(&client.ips) {
            let destination = SocketAddr::new(*ip, port);
            drop(connect(&client.netns, destination).unwrap());
            expected.push(Event::Inbound { client: *from, destination });
        }
    }
    // Of the listeners, one is not on loopback: what is delivered to it has no destination.
    expected.extend([Event::Outbound { original: None }; 2]);
    for _ in 0..expected.len() {
        let event = proxy.event();
        let known = expected.iter().position(|expected| *expected == event);
        expected.swap_remove(known.unwrap_or_else(|| panic!("{event:?}")));
    }
    assert_eq!(proxy.events(), []);
}
