//! The guard at the host's end of a strict pod's link.
use crate::{
    traffic::{App, Event, Proxy, eventually, talk},
    world::{Pod, World, options, tool},
};
use culvert_kernel::{Capabilities, EnrolError, NodeOptions, netlink::Netlink};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;

/// A SYN that the connect program never sees.
fn send_raw_syn(pod: &Pod, to: SocketAddr) {
    let [high, low] = to.port().to_be_bytes();
    let syn = [0xc3, 0x50, high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 4, 0, 0, 0, 0, 0];
    let sent = pod.netns.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP))?;
        socket.send_to(&syn, &SocketAddr::new(to.ip(), 0).into())
    });
    assert_eq!(sent.unwrap().unwrap(), syn.len());
}

fn guards(capabilities: &Capabilities, test: &str) {
    let mut world = World::new(test);
    let pod = world.pod("a");
    let server = App::start(&world.netns, 7200);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    let strict = NodeOptions { strict: true, ..options() };
    let first = world.load_with(capabilities, strict.clone());
    let old = Proxy::start(&first, &pod.spec());
    // A second generation puts its program in the place of the first's.
    let second = world.load_with(capabilities, strict);
    let mut proxy = Proxy::start(&second, &pod.spec());
    drop((old, first));

    talk(&pod.netns, to).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });
    eventually(|| proxy.enrolled.stats().guard_passed == 1);
    send_raw_syn(&pod, to);
    eventually(|| proxy.enrolled.stats().guard_dropped == 1);

    proxy.enrolled.release().unwrap();
    send_raw_syn(&pod, to);
    talk(&pod.netns, to).unwrap();
    assert_eq!(proxy.enrolled.stats().guard_dropped, 1);
    proxy.enrolled.finish().unwrap();
    assert!(!tool(&world.netns, "tc", "filter show dev v1 ingress").contains("bpf"));
}

#[test]
fn only_the_proxys_connections_leave_a_strict_pod() {
    guards(&World::capabilities(), "guard-tcx");
}

#[test]
fn the_guard_works_without_tcx_too() {
    let mut capabilities = World::capabilities();
    capabilities.tcx = false;
    guards(&capabilities, "guard-cls");
}

#[test]
fn an_uninstalled_guard_is_gone_without_its_process() {
    for tcx in [true, false] {
        let mut world = World::new(if tcx { "unguard-tcx" } else { "unguard-cls" });
        let pod = world.pod("a");
        let mut capabilities = World::capabilities();
        capabilities.tcx &= tcx;
        let strict = NodeOptions { strict: true, ..options() };
        let node = world.load_with(&capabilities, strict);
        drop((Proxy::start(&node, &pod.spec()), node));
        assert_eq!(world.uninstall().left, Vec::<String>::new());
        let server = App::start(&world.netns, 7201);
        talk(&pod.netns, SocketAddr::new(pod.node[0], server.address.port())).unwrap();
        assert!(!tool(&world.netns, "tc", "filter show dev v1 ingress").contains("bpf"));
    }
}

#[test]
fn a_strict_node_enrols_no_pod_that_it_cannot_guard() {
    let mut world = World::new("unguarded");
    let pod = world.pod("a");
    let before = pod.state();
    let strict = NodeOptions { strict: true, ..options() };
    let node = world.load_with(&World::capabilities(), strict);
    let mut spec = pod.spec();
    let foreign = "10.99.200.2".parse().unwrap();
    spec.ips = culvert_model::addr::PodIps::try_from_ips([foreign]).unwrap();
    let refused = node.prepare(&spec);
    assert!(matches!(refused, Err(EnrolError::NoHostInterface { ip }) if ip == foreign));
    assert_eq!(pod.state(), before);
    // An address on a device that is no veth.
    Netlink::open_in(&pod.netns).unwrap().add_addr("lo", foreign, 32).unwrap();
    assert!(matches!(node.prepare(&spec), Err(EnrolError::NoHostInterface { .. })));
}
