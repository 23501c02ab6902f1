//! Pods that are in the way, by mistake or on purpose.
use crate::{
    socket::listen,
    traffic::{App, Event, Proxy, talk},
    world::{World, tool},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::{Ipv4Addr, SocketAddr};

#[test]
fn a_pod_whose_clients_draw_from_all_ports_is_captured() {
    let mut world = World::new("allports");
    let pod = world.pod("a");
    let before = pod.state();
    pod.set_sysctl("ipv4/ip_local_port_range", "1024 65535");
    let server = App::start(&world.netns, 7820);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    talk(&pod.netns, to).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });
    proxy.enrolled.finish().unwrap();
    assert_eq!(pod.state(), before);
}

#[test]
fn a_pod_that_has_bound_every_port_above_those_drawn_is_captured() {
    let mut world = World::new("bound");
    let pod = world.pod("a");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let bound: Vec<_> = (61_000..=u16::MAX)
        .map(|port| listen(&pod.netns, (Ipv4Addr::UNSPECIFIED, port).into(), 1))
        .collect();
    let server = App::start(&world.netns, 7821);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    talk(&pod.netns, to).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });
    drop(bound);
}

#[test]
fn rules_and_routes_of_others_stay() {
    let mut world = World::new("rules");
    let pod = world.pod("a");
    for family in ["-4", "-6"] {
        for table in [100, 1337] {
            tool(
                &pod.netns,
                "ip",
                &format!("{family} rule add priority 90 fwmark 0x539 lookup {table}"),
            );
            tool(
                &pod.netns,
                "ip",
                &format!("{family} route add local default dev lo table {table}"),
            );
        }
    }
    let before = pod.state();
    let app = App::start(&pod.netns, 8080);
    let client = world.pod("client");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    for ip in &pod.ips {
        talk(&client.netns, SocketAddr::new(*ip, app.address.port())).unwrap();
    }
    proxy.enrolled.finish().unwrap();
    assert_eq!(pod.state(), before);
}
