//! A proxy and applications just big enough to see who reaches whom.
use culvert_kernel::{
    DnsListener, Enrolled, Node, PodListeners, PodSockets, PodSpec, netns::Netns, reset,
};
use socket2::SockRef;
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Long enough for a loaded machine; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What the proxy accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Outbound {
        original: Option<SocketAddr>,
    },
    Inbound {
        client: IpAddr,
        destination: SocketAddr,
    },
    /// A tunnel, of which only the arrival is of interest here.
    Tunnel {
        client: IpAddr,
        destination: SocketAddr,
    },
}

/// The proxy of one pod.
pub(crate) struct Proxy {
    pub(crate) enrolled: Enrolled,
    events: Receiver<Event>,
    _loops: Vec<Accepting>,
}

/// An application that says who it is connected to, then echoes.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    _accepting: Accepting,
}

/// A thread that accepts until this is dropped.
pub(crate) struct Accepting {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

/// What a client learns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whom the application is connected to, as it says.
    pub(crate) by_app: IpAddr,
    /// Whom the client is connected to, as `getpeername(2)` says.
    pub(crate) peer: SocketAddr,
}

impl Proxy {
    /// Enrols a pod the way the data plane does: accept, then activate.
    pub(crate) fn start(node: &Node, spec: &PodSpec) -> Self {
        let mut prepared = node.prepare(spec).unwrap();
        let (tell, events) = mpsc::channel();
        let listeners = prepared.listeners.take().unwrap();
        let loops = serve(listeners, &prepared.socks(), &tell);
        Self { enrolled: prepared.activate().unwrap(), events, _loops: loops }
    }

    /// As [`Self::start`], without anybody on the listeners for DNS.
    pub(crate) fn start_with_dns(node: &Node, spec: &PodSpec) -> (Self, Vec<DnsListener>) {
        let mut prepared = node.prepare(spec).unwrap();
        let (tell, events) = mpsc::channel();
        let mut listeners = prepared.listeners.take().unwrap();
        let dns = std::mem::take(&mut listeners.dns);
        let loops = serve(listeners, &prepared.socks(), &tell);
        (Self { enrolled: prepared.activate().unwrap(), events, _loops: loops }, dns)
    }

    pub(crate) fn event(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("the proxy accepts a connection")
    }

    /// Everything accepted until now that no one asked for.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }
}

impl App {
    pub(crate) fn start(netns: &Netns, port: u16) -> Self {
        let listener = netns.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)));
        let listener = listener.unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = Accepting::start(listener, |stream| {
            thread::spawn(move || drop(greet_and_echo(stream)));
        });
        Self { address, _accepting: accepting }
    }
}

impl Accepting {
    pub(crate) fn start(listener: TcpListener, serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        listener.set_nonblocking(false).unwrap();
        let ours = listener.try_clone().unwrap();
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                serve(stream);
            }
        });
        Self { listener: ours, thread: Some(thread) }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        // Ends the accept(2) that the thread is in.
        SockRef::from(&self.listener).shutdown(Shutdown::Both).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Connects from a namespace, exchanges a word, and says what both ends see.
pub(crate) fn talk(netns: &Netns, to: SocketAddr) -> io::Result<Seen> {
    talk_over(&connect(netns, to)?)
}

/// As [`talk`], over a connection that is there.
pub(crate) fn talk_over(mut stream: &TcpStream) -> io::Result<Seen> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let peer = canonical(stream.peer_addr()?);
    let mut lines = BufReader::new(stream);
    let mut greeting = String::new();
    lines.read_line(&mut greeting)?;
    let by_app = greeting.trim().parse().map_err(io::Error::other)?;
    stream.write_all(b"word")?;
    stream.shutdown(Shutdown::Write)?;
    let mut echo = String::new();
    lines.read_to_string(&mut echo)?;
    assert_eq!(echo, "word");
    Ok(Seen { by_app, peer })
}

pub(crate) fn connect(netns: &Netns, to: SocketAddr) -> io::Result<TcpStream> {
    netns.run(|| TcpStream::connect_timeout(&to, PATIENCE))?
}

/// Waits until what is counted elsewhere has been.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "it never came to hold");
        thread::yield_now();
    }
}

pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    culvert_model::addr::canonical(address)
}

fn serve(listeners: PodListeners, sockets: &PodSockets, tell: &Sender<Event>) -> Vec<Accepting> {
    let (out, tell_out) = (sockets.clone(), tell.clone());
    let outbound = Accepting::start(listeners.outbound, move |stream| {
        let original = out.original_dst(stream.as_fd());
        let told = tell_out.send(Event::Outbound { original });
        if let (Ok(()), Some(destination)) = (told, original) {
            join(stream, out.dial(destination));
        }
    });
    let inbound = listeners.inbound.into_iter().map(|listener| {
        let (own, tell) = (sockets.clone(), tell.clone());
        Accepting::start(listener, move |stream| {
            let client = canonical(stream.peer_addr().unwrap()).ip();
            let destination = canonical(stream.local_addr().unwrap());
            if tell.send(Event::Inbound { client, destination }).is_ok() {
                join(stream, own.deliver(client, destination).map_err(io::Error::other));
            }
        })
    });
    let tunnels = listeners.hbone.into_iter().map(|listener| {
        let tell = tell.clone();
        Accepting::start(listener, move |stream| {
            let client = canonical(stream.peer_addr().unwrap()).ip();
            let destination = canonical(stream.local_addr().unwrap());
            let _nobody_may_listen = tell.send(Event::Tunnel { client, destination });
        })
    });
    inbound.chain(tunnels).chain([outbound]).collect()
}

/// Copies both ways until both end.
fn join(near: TcpStream, far: io::Result<TcpStream>) {
    let Ok(far) = far else {
        reset(&near).unwrap();
        return;
    };
    // A blocking socket waits for its connection to be there when it is used.
    far.set_nonblocking(false).unwrap();
    let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    thread::spawn(move || copy(near, far));
    thread::spawn(move || copy(far_too, near_too));
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    match io::copy(&mut from, &mut to) {
        Ok(_) => drop(to.shutdown(Shutdown::Write)),
        Err(_) => reset(&to).unwrap(),
    }
}

fn greet_and_echo(mut stream: TcpStream) -> io::Result<()> {
    writeln!(stream, "{}", canonical(stream.peer_addr()?).ip())?;
    io::copy(&mut stream.try_clone()?, &mut stream)?;
    stream.shutdown(Shutdown::Write)
}
