//! What is not captured: left alone, refused, or without a destination.
use crate::{
    socket::{LISTEN, in_state},
    traffic::{App, Event, Proxy, connect, talk},
    world::{World, options},
};
use culvert_kernel::netlink::Netlink;
use culvert_model::addr::PodIps;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

#[test]
fn what_means_the_pod_itself_or_its_link_is_left_alone() {
    let mut world = World::new("stays");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let server = App::start(&world.netns, 7310);
    let (mut here, mut there) =
        (Netlink::open_in(&world.netns).unwrap(), Netlink::open_in(&pod.netns).unwrap());
    let link: [Ipv6Addr; 2] = ["fe80::99:1", "fe80::99:2"].map(|text| text.parse().unwrap());
    here.add_addr("v1", link[0].into(), 64).unwrap();
    there.add_addr("eth0", link[1].into(), 64).unwrap();
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
    let neighbour = there.link_index("eth0").unwrap();
    let beyond = SocketAddrV6::new(link[0], server.address.port(), 0, neighbour);
    assert_eq!(talk(&pod.netns, beyond.into()).unwrap().by_app, link[1]);
    assert_eq!(proxy.events(), []);
    assert_eq!(proxy.enrolled.stats().captured, 0);
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
    assert_eq!(ports.len(), 3);
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
