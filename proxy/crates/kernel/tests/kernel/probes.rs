//! The node's own probes reach the application, whatever becomes of the proxy.
use crate::{
    held::{Held, held, nothing_is_held},
    socket::{in_v6, listen, tcp},
    traffic::{App, Event, Proxy, connect, talk, talk_over},
    world::{World, options},
};
use culvert_kernel::{Node, NodeOptions};
use socket2::Domain;
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
};

/// A cgroup of a test's own, beside that of this process.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(world: &World) -> Self {
        let path = world.instance.cgroup_root().join(world.instance.name());
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

fn probed_by(world: &World, cgroup: PathBuf) -> Node {
    let options = NodeOptions { prober_cgroup: Some(cgroup), ..options() };
    world.load_with(&World::capabilities(), options)
}

#[test]
fn every_process_of_the_nodes_namespace_probes() {
    let mut world = World::new("probe-ns");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    let at = |family: usize| SocketAddr::new(pod.ips[family], app.address.port());
    for family in [0, 1] {
        assert_eq!(talk(&world.netns, at(family)).unwrap().by_app, pod.node[family]);
    }
    let mapped = tcp(&world.netns, Domain::IPV6);
    mapped.connect(&in_v6(at(0)).into()).unwrap();
    talk_over(&TcpStream::from(mapped)).unwrap();
    assert_eq!(proxy.events(), []);
    let stats = proxy.enrolled.stats();
    assert_eq!((stats.bypassed, stats.inbound), (3, 0));
    nothing_is_held(&world, &proxy.enrolled);
}

#[test]
fn a_probe_counts_in_its_pods_share_while_it_lasts() {
    let mut world = World::new("probe-held");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let app = listen(&pod.netns, SocketAddr::new(pod.ips[1], 8080), 128);
    let probe = connect(&world.netns, app.local_addr().unwrap()).unwrap();
    let (accepted, _) = app.accept().unwrap();
    assert_eq!(held(&world, &proxy.enrolled), Held { bypass: 1, ..Held::default() });
    drop((probe, accepted));
    nothing_is_held(&world, &proxy.enrolled);
}

#[test]
fn where_a_cgroup_probes_its_processes_do() {
    let mut world = World::new("probe-own");
    let (client, pod) = (world.pod("client"), world.pod("a"));
    // This process is in it.
    let node = probed_by(&world, world.instance.cgroup_root().join("proxy"));
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    for (ip, from) in pod.ips.iter().zip(&client.ips) {
        let to = SocketAddr::new(*ip, app.address.port());
        talk(&world.netns, to).unwrap();
        assert_eq!(proxy.events(), []);
        // From elsewhere, not even those.
        talk(&client.netns, to).unwrap();
        assert_eq!(proxy.event(), Event::Inbound { client: *from, destination: to });
    }
}

#[test]
fn where_a_cgroup_probes_nobody_else_does() {
    let mut world = World::new("probe-other");
    let pod = world.pod("a");
    let kubelet = Cgroup::new(&world);
    let node = probed_by(&world, kubelet.0.clone());
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    for (ip, from) in pod.ips.iter().zip(&pod.node) {
        let to = SocketAddr::new(*ip, app.address.port());
        assert_eq!(talk(&world.netns, to).unwrap().by_app, *from);
        assert_eq!(proxy.event(), Event::Inbound { client: *from, destination: to });
    }
    nothing_is_held(&world, &proxy.enrolled);
}

/// As a service's is, when it is started again.
#[test]
fn a_cgroup_that_is_made_anew_probes_once_that_was_noticed() {
    let mut world = World::new("probe-anew");
    let pod = world.pod("a");
    // This process's, under another name at first: what is there then is not this process.
    let name = world.instance.cgroup_root().join(format!("{}-link", world.instance.name()));
    fs::create_dir(&name).unwrap();
    let node = probed_by(&world, name.clone());
    assert!(!node.refresh_prober().unwrap(), "nothing changed");
    fs::remove_dir(&name).unwrap();
    assert!(!node.refresh_prober().unwrap(), "nobody probes while it is away");
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    let to = SocketAddr::new(pod.ips[0], app.address.port());
    talk(&world.netns, to).unwrap();
    assert_eq!(proxy.event(), Event::Inbound { client: pod.node[0], destination: to });
    fs::create_dir(&name).unwrap();
    assert!(node.refresh_prober().unwrap());
    assert!(!node.refresh_prober().unwrap());
    fs::remove_dir(&name).unwrap();
}

#[test]
fn a_probe_does_not_need_the_proxy() {
    let mut world = World::new("probe-dead");
    let pod = world.pod("a");
    let node = world.load();
    let mut prepared = node.prepare(&pod.spec()).unwrap();
    drop(prepared.listeners.take());
    let enrolled = prepared.activate().unwrap();
    let app = App::start(&pod.netns, 8080);
    for ip in &pod.ips {
        talk(&world.netns, SocketAddr::new(*ip, app.address.port())).unwrap();
    }
    assert_eq!(enrolled.stats().inbound_refused, 0);
    nothing_is_held(&world, &enrolled);
}

#[test]
fn a_socket_that_probed_is_an_ordinary_one_afterwards() {
    let mut world = World::new("probe-reuse");
    let (pod, other) = (world.pod("a"), world.pod("b"));
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let apps = [&pod, &other].map(|pod| App::start(&pod.netns, 8080));
    let socket = tcp(&world.netns, Domain::IPV4);
    socket.connect(&SocketAddr::new(pod.ips[0], apps[0].address.port()).into()).unwrap();
    assert_eq!(held(&world, &proxy.enrolled).bypass, 1);
    crate::socket::disconnect(&socket);
    nothing_is_held(&world, &proxy.enrolled);
    // To a pod that is not enrolled.
    socket.connect(&SocketAddr::new(other.ips[0], apps[1].address.port()).into()).unwrap();
    assert_eq!(held(&world, &proxy.enrolled), Held::default());
    talk_over(&TcpStream::from(socket)).unwrap();
}
