//! Connections to the port of tunnels.
use crate::{
    traffic::{App, Event, Proxy, Seen, connect, talk},
    world::World,
};
use culvert_kernel::HBONE_PORT;
use std::{
    io::{self, Read as _},
    net::SocketAddr,
    thread,
};

#[test]
fn tunnels_arrive_at_listeners_of_their_own() {
    let mut world = World::new("tunnel");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let _app = App::start(&pod.netns, 8080);
    for (ip, from) in pod.ips.iter().zip(&client.ips) {
        let destination = SocketAddr::new(*ip, HBONE_PORT);
        let _tunnel = connect(&client.netns, destination).unwrap();
        assert_eq!(proxy.event(), Event::Tunnel { client: *from, destination });
        // Any other port is not one of tunnels.
        talk(&client.netns, SocketAddr::new(*ip, 8080)).unwrap();
        assert!(matches!(proxy.event(), Event::Inbound { .. }));
    }
}

#[test]
fn an_application_may_listen_on_the_port_of_tunnels() {
    let mut world = World::new("tunnelapp");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, HBONE_PORT);
    let to = SocketAddr::new(pod.ips[0], app.address.port());
    // What comes from elsewhere is for the proxy, which delivers what it is told to.
    drop(connect(&client.netns, to).unwrap());
    assert!(matches!(proxy.event(), Event::Tunnel { .. }));
    let delivered = proxy.enrolled.socks().deliver(client.ips[0], to).unwrap();
    delivered.set_nonblocking(false).unwrap();
    assert_eq!(crate::traffic::talk_over(&delivered).unwrap().by_app, client.ips[0]);
    // Inside of the pod nothing changes.
    assert_eq!(talk(&pod.netns, to).unwrap(), Seen { by_app: pod.ips[0], peer: to });
    assert_eq!(proxy.events(), []);
}

#[test]
fn a_tunnel_that_an_application_dials_is_captured_and_one_of_the_proxy_is_not() {
    let mut world = World::new("tunneldial");
    let (a, b) = (world.pod("a"), world.pod("b"));
    let node = world.load();
    let (from, to) = (Proxy::start(&node, &a.spec()), Proxy::start(&node, &b.spec()));
    let destination = SocketAddr::new(b.ips[1], HBONE_PORT);
    let dialled = from.enrolled.socks().dial(destination).unwrap();
    assert_eq!(to.event(), Event::Tunnel { client: a.ips[1], destination });
    drop(dialled);
    assert_eq!(from.events(), []);
    let _captured = connect(&a.netns, destination).unwrap();
    assert_eq!(from.event(), Event::Outbound { original: Some(destination) });
}

#[test]
fn without_a_proxy_tunnels_are_refused() {
    let mut world = World::new("tunnelnone");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let node = world.load();
    let mut prepared = node.prepare(&pod.spec()).unwrap();
    drop(prepared.listeners.take());
    let enrolled = prepared.activate().unwrap();
    let _app = App::start(&pod.netns, HBONE_PORT);
    let refused = connect(&client.netns, SocketAddr::new(pod.ips[0], HBONE_PORT)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(enrolled.stats().inbound_refused, 1);
}

#[test]
fn a_connection_to_a_tunnels_listener_itself_shows_no_address_of_the_pod() {
    let mut world = World::new("tunnelself");
    let pod = world.pod("a");
    let node = world.load();
    let mut prepared = node.prepare(&pod.spec()).unwrap();
    let listeners = prepared.listeners.take().unwrap();
    let _enrolled = prepared.activate().unwrap();
    for listener in listeners.hbone {
        let at = listener.local_addr().unwrap();
        listener.set_nonblocking(false).unwrap();
        let accepting = thread::spawn(move || listener.accept().unwrap().0);
        let mut client = connect(&pod.netns, at).unwrap();
        let accepted = accepting.join().unwrap();
        assert!(accepted.local_addr().unwrap().ip().is_loopback());
        drop(accepted);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}
