//! Without a proxy: refused, or direct where the pod says so.
use crate::{
    held::{held, nothing_is_held},
    socket::{begin, in_v6, tcp},
    traffic::{App, Event, Proxy, connect, talk, talk_over},
    world::{Pod, World},
};
use culvert_kernel::{Enrolled, Node, PodSpec, netns::Netns};
use culvert_model::pod::Fail;
use socket2::Domain;
use std::{
    io,
    net::{SocketAddr, TcpStream},
};

fn spec(pod: &Pod, fail: Fail) -> PodSpec {
    PodSpec { fail, ..pod.spec() }
}

/// A pod whose proxy has died.
fn orphaned(node: &Node, spec: &PodSpec) -> Enrolled {
    let mut prepared = node.prepare(spec).unwrap();
    drop(prepared.listeners.take());
    prepared.activate().unwrap()
}

fn is_refused(result: io::Result<TcpStream>) -> bool {
    result.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

/// As a socket of IPv6 that goes to an IPv4 address.
fn connect_mapped(netns: &Netns, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = tcp(netns, Domain::IPV6);
    socket.connect(&in_v6(to).into())?;
    Ok(socket.into())
}

#[test]
fn out_of_a_pod() {
    let mut world = World::new("open-out");
    let pod = world.pod("a");
    let node = world.load();
    let server = App::start(&world.netns, 7600);
    let to = [0, 1].map(|family| SocketAddr::new(pod.node[family], server.address.port()));

    let mut enrolled = orphaned(&node, &spec(&pod, Fail::Closed));
    assert!(to.iter().all(|to| is_refused(connect(&pod.netns, *to))));
    assert!(is_refused(connect_mapped(&pod.netns, to[0])));
    assert_eq!(enrolled.stats().failed_open, 0);

    enrolled.update(&spec(&pod, Fail::Open)).unwrap();
    for (to, own) in to.iter().zip(&pod.ips) {
        let seen = talk(&pod.netns, *to).unwrap();
        assert_eq!((seen.by_app, seen.peer), (*own, *to));
    }
    talk_over(&connect_mapped(&pod.netns, to[0]).unwrap()).unwrap();
    assert_eq!(enrolled.stats().failed_open, 3);

    // The next proxy has them again.
    let proxy = Proxy::start(&node, &spec(&pod, Fail::Open));
    for to in to {
        talk(&pod.netns, to).unwrap();
        assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });
    }
    talk_over(&connect_mapped(&pod.netns, to[0]).unwrap()).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(to[0]) });
    assert_eq!(proxy.enrolled.stats().failed_open, 3);
    nothing_is_held(&world, &proxy.enrolled);
}

#[test]
fn into_a_pod() {
    let mut world = World::new("open-in");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let node = world.load();
    let app = App::start(&pod.netns, 8080);
    let to = [0, 1].map(|family| SocketAddr::new(pod.ips[family], app.address.port()));
    // Also so that neighbours know each other: a SYN sent again would count again.
    for to in to {
        talk(&client.netns, to).unwrap();
    }

    let mut enrolled = orphaned(&node, &spec(&pod, Fail::Closed));
    assert!(to.iter().all(|to| is_refused(connect(&client.netns, *to))));
    assert_eq!((enrolled.stats().inbound_refused, enrolled.stats().failed_open), (2, 0));

    enrolled.update(&spec(&pod, Fail::Open)).unwrap();
    for (to, from) in to.iter().zip(&client.ips) {
        assert_eq!(talk(&client.netns, *to).unwrap().by_app, *from);
    }
    assert_eq!((enrolled.stats().inbound_refused, enrolled.stats().failed_open), (2, 2));

    let proxy = Proxy::start(&node, &spec(&pod, Fail::Open));
    for (to, from) in to.into_iter().zip(&client.ips) {
        talk(&client.netns, to).unwrap();
        assert_eq!(proxy.event(), Event::Inbound { client: *from, destination: to });
    }
    assert_eq!(proxy.enrolled.stats().failed_open, 2);
    nothing_is_held(&world, &proxy.enrolled);
}

#[test]
fn closed_again_is_closed() {
    let mut world = World::new("open-close");
    let (client, pod) = (world.pod("client"), world.pod("b"));
    let node = world.load();
    let (app, server) = (App::start(&pod.netns, 8080), App::start(&world.netns, 7610));
    let mut enrolled = orphaned(&node, &spec(&pod, Fail::Open));
    enrolled.update(&spec(&pod, Fail::Closed)).unwrap();
    for (inside, outside) in pod.ips.iter().zip(&pod.node) {
        let inward = SocketAddr::new(*inside, app.address.port());
        assert!(is_refused(connect(&client.netns, inward)));
        let outward = SocketAddr::new(*outside, server.address.port());
        assert!(is_refused(connect(&pod.netns, outward)));
    }
    nothing_is_held(&world, &enrolled);
}

#[test]
fn a_proxy_that_does_not_keep_up_is_no_reason() {
    let mut world = World::new("open-busy");
    let pod = world.pod("a");
    pod.set_sysctl("core/somaxconn", "1");
    let node = world.load();
    let mut prepared = node.prepare(&spec(&pod, Fail::Open)).unwrap();
    let listeners = prepared.listeners.take();
    let enrolled = prepared.activate().unwrap();
    for ip in &pod.node {
        let to = SocketAddr::new(*ip, 80);
        let sockets: Vec<_> = (0..8).map(|_| begin(&pod.netns, to)).collect();
        // They wait for the proxy, all but those it has not accepted yet.
        assert!(held(&world, &enrolled).pending > 0);
        drop(sockets);
        nothing_is_held(&world, &enrolled);
    }
    assert_eq!((enrolled.stats().captured, enrolled.stats().failed_open), (16, 0));
    drop(listeners);
}
