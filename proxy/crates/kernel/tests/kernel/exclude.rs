//! Destinations that no pod has captured.
use crate::{
    held::{Held, nothing_is_held},
    socket::{in_v6, tcp},
    traffic::{App, Event, Proxy, talk, talk_over},
    world::{Pod, World, options},
};
use culvert_kernel::NodeOptions;
use culvert_model::pod::Exclusion;
use socket2::Domain;
use std::net::{SocketAddr, TcpStream};

fn excluding(networks: &[(&str, &[u16])]) -> NodeOptions {
    let exclusion = |(network, ports): &(&str, &[u16])| Exclusion {
        network: network.parse().unwrap(),
        ports: ports.to_vec(),
    };
    NodeOptions { exclusions: networks.iter().map(exclusion).collect(), ..options() }
}

/// Talks, and says whether the proxy was in between.
fn is_captured(pod: &Pod, proxy: &Proxy, to: SocketAddr) -> bool {
    let before = proxy.enrolled.stats();
    let seen = talk(&pod.netns, to).unwrap();
    assert_eq!(seen.peer, to);
    let after = proxy.enrolled.stats();
    let events = proxy.events();
    let captured = !events.is_empty();
    assert!(!captured || events == [Event::Outbound { original: Some(to) }], "{events:?}");
    let counted = (after.captured - before.captured, after.excluded - before.excluded);
    assert_eq!(counted, if captured { (1, 0) } else { (0, 1) });
    captured
}

#[test]
fn networks_and_ports() {
    let mut world = World::new("exclude-nets");
    let pod = world.pod("a");
    let options = excluding(&[
        ("10.99.0.0/16", &[7501]),
        ("10.99.1.1/32", &[7502, 7503]),
        ("fd00:99:1::/64", &[7502]),
    ]);
    let node = world.load_with(&World::capabilities(), options);
    let proxy = Proxy::start(&node, &pod.spec());
    let servers = [7501, 7502, 7503, 7504].map(|port| App::start(&world.netns, port));
    // The narrow network excludes what the wide one does, too.
    for (family, expected) in [(0, [false, false, false, true]), (1, [true, false, true, true])] {
        for (server, captured) in servers.iter().zip(expected) {
            let to = SocketAddr::new(pod.node[family], server.address.port());
            assert_eq!(is_captured(&pod, &proxy, to), captured, "{to}");
        }
    }
    nothing_is_held(&world, &proxy.enrolled);
}

#[test]
fn an_ipv4_network_holds_for_sockets_of_ipv6_that_go_there() {
    let mut world = World::new("exclude-map");
    let pod = world.pod("a");
    let node = world.load_with(&World::capabilities(), excluding(&[("10.99.1.0/24", &[])]));
    let proxy = Proxy::start(&node, &pod.spec());
    let server = App::start(&world.netns, 7510);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    let socket = tcp(&pod.netns, Domain::IPV6);
    socket.connect(&in_v6(to).into()).unwrap();
    assert_eq!(socket.peer_addr().unwrap().as_socket(), Some(in_v6(to)));
    talk_over(&TcpStream::from(socket)).unwrap();
    assert_eq!(proxy.events(), []);
    assert_eq!(proxy.enrolled.stats().excluded, 1);
}

#[test]
fn all_of_ipv4_is_nothing_of_ipv6() {
    let mut world = World::new("exclude-all");
    let pod = world.pod("a");
    let node = world.load_with(&World::capabilities(), excluding(&[("0.0.0.0/0", &[])]));
    let proxy = Proxy::start(&node, &pod.spec());
    let server = App::start(&world.netns, 7520);
    let captured = |ip| is_captured(&pod, &proxy, SocketAddr::new(ip, server.address.port()));
    assert!(!captured(pod.node[0]));
    assert!(captured(pod.node[1]));
}

#[test]
fn every_pod_has_them_and_another_generation_others() {
    let mut world = World::new("exclude-gen");
    let pods = [world.pod("a"), world.pod("b")];
    let server = App::start(&world.netns, 7530);
    let to = |pod: &Pod, family: usize| SocketAddr::new(pod.node[family], server.address.port());
    let first_options = excluding(&[("10.99.0.0/16", &[])]);
    let first = world.load_with(&World::capabilities(), first_options);
    let old = pods.each_ref().map(|pod| Proxy::start(&first, &pod.spec()));
    for (pod, proxy) in pods.iter().zip(&old) {
        assert!(!is_captured(pod, proxy, to(pod, 0)));
        assert!(is_captured(pod, proxy, to(pod, 1)));
    }
    let second_options = excluding(&[("fd00:99::/32", &[])]);
    let second = world.load_with(&World::capabilities(), second_options);
    let new = pods.each_ref().map(|pod| Proxy::start(&second, &pod.spec()));
    for (pod, proxy) in pods.iter().zip(&new) {
        assert!(is_captured(pod, proxy, to(pod, 0)));
        assert!(!is_captured(pod, proxy, to(pod, 1)));
    }
    // Two pods are held apart only by their counts.
    crate::traffic::eventually(|| Held::of(&world) == Held::default());
}
