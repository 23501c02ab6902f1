//! Every kind of connect that an application can do, and what it then sees.
use crate::{
    held::{held, nothing_is_held},
    socket::{begin, disconnect, in_v6, tcp},
    traffic::{App, Event, Proxy, Seen, eventually, talk_over},
    world::{Pod, World},
};
use culvert_kernel::Node;
use nix::sys::socket::{setsockopt, sockopt::TcpFastOpenConnect};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
};

/// A captured pod that talks to a server at the node. (The world goes last.)
struct Scene {
    proxy: Proxy,
    server: App,
    _node: Node,
    pod: Pod,
    world: World,
}

impl Scene {
    fn new(test: &str) -> Self {
        let mut world = World::new(test);
        let pod = world.pod("a");
        let node = world.load();
        let proxy = Proxy::start(&node, &pod.spec());
        let server = App::start(&world.netns, 7300);
        Self { proxy, server, _node: node, pod, world }
    }

    fn servers(&self) -> [SocketAddr; 2] {
        [0, 1].map(|i| SocketAddr::new(self.pod.node[i], self.server.address.port()))
    }

    fn socket(&self, domain: Domain) -> Socket {
        tcp(&self.pod.netns, domain)
    }

    /// Talks over a connected socket, which must be captured and look as if it were not.
    fn assert_captured(&self, socket: Socket, to: SocketAddr) {
        assert_eq!(self.proxy.event(), Event::Outbound { original: Some(to) });
        let own = self.pod.ips[usize::from(to.is_ipv6())];
        let seen = talk_over(&TcpStream::from(socket)).unwrap();
        assert_eq!(seen, Seen { by_app: own, peer: to });
        nothing_is_held(&self.world, &self.proxy.enrolled);
    }
}

#[test]
fn sockets_name_both_ends_in_their_own_family() {
    let scene = Scene::new("plain");
    let [v4, v6] = scene.servers();
    let kinds = [(Domain::IPV4, v4, v4), (Domain::IPV6, v6, v6), (Domain::IPV6, in_v6(v4), v4)];
    for (domain, written, meant) in kinds {
        let socket = scene.socket(domain);
        socket.connect(&written.into()).unwrap();
        assert_eq!(socket.peer_addr().unwrap().as_socket(), Some(written));
        let own = socket.local_addr().unwrap().as_socket().unwrap();
        let ip = scene.pod.ips[usize::from(meant.is_ipv6())];
        let own_ip = culvert_model::addr::canonical(own).ip();
        assert!(own_ip == ip && own.is_ipv6() == written.is_ipv6(), "{own}");
        scene.assert_captured(socket, meant);
    }
    assert_eq!(scene.proxy.enrolled.stats().captured, 3);
}

#[test]
fn a_socket_that_does_not_wait_is_captured() {
    let scene = Scene::new("nonblock");
    for to in scene.servers() {
        let socket = begin(&scene.pod.netns, to);
        eventually(|| socket.peer_addr().is_ok());
        assert!(socket.take_error().unwrap().is_none());
        socket.set_nonblocking(false).unwrap();
        scene.assert_captured(socket, to);
    }
}

#[test]
fn a_bound_socket_is_captured() {
    let scene = Scene::new("bound");
    for (to, own) in scene.servers().into_iter().zip(&scene.pod.ips) {
        for port in [0, 40_001] {
            let socket = scene.socket(Domain::for_address(to));
            socket.bind(&SocketAddr::new(*own, port).into()).unwrap();
            socket.connect(&to.into()).unwrap();
            let bound = socket.local_addr().unwrap().as_socket().unwrap();
            assert!(bound.ip() == *own && (port == 0 || bound.port() == port), "{bound}");
            scene.assert_captured(socket, to);
        }
    }
}

#[test]
fn a_socket_bound_to_loopback_is_captured() {
    let scene = Scene::new("bound-lo");
    let [to, _] = scene.servers();
    let socket = scene.socket(Domain::IPV4);
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    // It comes to the listener from elsewhere than where the listener is.
    assert_eq!(held(&scene.world, &scene.proxy.enrolled).bypass, 1);
    scene.assert_captured(socket, to);
}

#[test]
fn a_socket_bound_to_the_device_is_captured() {
    let scene = Scene::new("device");
    for to in scene.servers() {
        let socket = scene.socket(Domain::for_address(to));
        socket.bind_device(Some(b"eth0")).unwrap();
        socket.connect(&to.into()).unwrap();
        scene.assert_captured(socket, to);
    }
}

/// Sends a word that was to travel in the SYN, and reads what comes back of it.
fn send_early(scene: &Scene, to: SocketAddr, send: impl FnOnce(&Socket) -> io::Result<usize>) {
    let socket = scene.socket(Domain::for_address(to));
    assert_eq!(send(&socket).unwrap(), b"early".len());
    assert_eq!(scene.proxy.event(), Event::Outbound { original: Some(to) });
    let mut stream = TcpStream::from(socket);
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let own = scene.pod.ips[usize::from(to.is_ipv6())];
    assert_eq!(answer, format!("{own}\nearly"));
    drop(stream);
    nothing_is_held(&scene.world, &scene.proxy.enrolled);
}

#[test]
fn data_in_the_syn_arrives_after_it() {
    let scene = Scene::new("fastopen");
    for to in scene.servers() {
        send_early(&scene, to, |socket| {
            socket.send_to_with_flags(b"early", &to.into(), libc::MSG_FASTOPEN)
        });
    }
    // Clients may send without a cookie: only then is the SYN put off until the first write.
    scene.pod.set_sysctl("ipv4/tcp_fastopen", "5");
    for to in scene.servers() {
        send_early(&scene, to, |mut socket| {
            setsockopt(socket, TcpFastOpenConnect, &true)?;
            socket.connect(&to.into())?;
            assert_eq!(held(&scene.world, &scene.proxy.enrolled).pending, 0);
            socket.write(b"early")
        });
    }
}

#[test]
fn multipath_sockets_are_captured_where_there_are_any() {
    let scene = Scene::new("mptcp");
    for to in scene.servers() {
        let domain = Domain::for_address(to);
        let made = scene.pod.netns.run(|| Socket::new(domain, Type::STREAM, Some(Protocol::MPTCP)));
        let has_mptcp = scene.pod.netns.run(|| fs::exists("/proc/sys/net/mptcp").unwrap()).unwrap();
        match made.unwrap() {
            Ok(socket) => {
                socket.connect(&to.into()).unwrap();
                assert_eq!(scene.proxy.event(), Event::Outbound { original: Some(to) });
                let mut stream = TcpStream::from(socket);
                stream.shutdown(Shutdown::Write).unwrap();
                let mut greeting = String::new();
                stream.read_to_string(&mut greeting).unwrap();
                let own = scene.pod.ips[usize::from(to.is_ipv6())];
                assert_eq!(greeting.trim(), own.to_string());
            }
            // The application then does without, which is captured as any other.
            Err(e) => {
                assert!(!has_mptcp, "{e}");
                assert_eq!(e.raw_os_error(), Some(libc::EPROTONOSUPPORT));
                let socket = scene.socket(domain);
                socket.connect(&to.into()).unwrap();
                scene.assert_captured(socket, to);
            }
        }
    }
    nothing_is_held(&scene.world, &scene.proxy.enrolled);
}

#[test]
fn a_socket_used_again_is_what_it_is_now() {
    let scene = Scene::new("reuse");
    let local = App::start(&scene.pod.netns, 7301);
    let to = scene.servers()[0];
    let inside = [Ipv4Addr::LOCALHOST.into(), scene.pod.ips[0]];
    for inside in inside.map(|ip| SocketAddr::new(ip, local.address.port())) {
        let socket = scene.socket(Domain::IPV4);
        socket.connect(&to.into()).unwrap();
        assert_eq!(scene.proxy.event(), Event::Outbound { original: Some(to) });
        disconnect(&socket);
        socket.connect(&inside.into()).unwrap();
        assert_eq!(socket.peer_addr().unwrap().as_socket(), Some(inside));
        assert_eq!(scene.proxy.events(), []);
        disconnect(&socket);
        socket.connect(&to.into()).unwrap();
        scene.assert_captured(socket, to);
    }
}
