//! Pods that are in the way, by mistake or on purpose.
use crate::{
    socket::listen,
    traffic::{App, Event, Proxy, connect, eventually, talk},
    world::{World, tool},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

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

#[test]
fn what_a_connection_queues_is_not_the_pods_to_say() {
    const HUGE: &str = "4096 268435456 268435456";
    /// What the default `tcp_wmem` allows, and what is on its way.
    const BOUND: usize = 16 << 20;
    let mut world = World::new("queue");
    let (client, pod) = (world.pod("client"), world.pod("a"));
    pod.set_sysctl("ipv4/tcp_wmem", HUGE);
    let node = world.load();
    let mut prepared = node.prepare(&pod.spec()).unwrap();
    let listeners = prepared.listeners.take().unwrap();
    let enrolled = prepared.activate().unwrap();
    // Nobody reads at the other end of any of these.
    let silent = listen(&world.netns, SocketAddr::new(pod.node[0], 7822), 8);
    let app = listen(&pod.netns, SocketAddr::new(pod.ips[0], 8080), 8);
    let dialled = enrolled.socks().dial(silent.local_addr().unwrap()).unwrap();
    let delivered = enrolled.socks().deliver(client.ips[0], app.local_addr().unwrap()).unwrap();
    let outer = connect(&pod.netns, SocketAddr::new(pod.node[0], 80)).unwrap();
    listeners.outbound.set_nonblocking(false).unwrap();
    let (accepted, _) = listeners.outbound.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    for socket in [&dialled, &delivered, &accepted] {
        eventually(|| socket.peer_addr().is_ok());
        let queued = fill(socket);
        assert!(queued < BOUND, "{queued} bytes queued on {socket:?}");
    }
    drop(outer);
}

/// Writes as much as goes without waiting.
fn fill(mut socket: &TcpStream) -> usize {
    let bytes = vec![0; 1 << 20];
    let mut written = 0;
    while let Ok(more) = socket.write(&bytes) {
        written += more;
        if written > 1 << 28 {
            break;
        }
    }
    written
}
