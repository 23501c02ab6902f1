//! What is done per connection: whose it was, and sockets in the pod's own namespace.
use crate::{netns::Netns, node::Shared, sockets::ports::Ports};
use socket2::{SockRef, Socket};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Duration,
};

pub(crate) mod deliver;
pub(crate) mod dial;
pub(crate) mod ports;

/// Sockets of one pod; a clone is cheap and means the same pod.
#[derive(Clone)]
pub struct PodSockets {
    pod: Arc<Pod>,
}

pub(crate) struct Pod {
    shared: Arc<Shared>,
    netns: Netns,
    pod_id: u32,
    ports: Ports,
}

/// Why a connection was not delivered to the application.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    #[error("{client} has no source port left towards {destination}")]
    NoPort { client: IpAddr, destination: SocketAddr },
    #[error("the pod of {destination} has as many connections as the programs remember for one")]
    Share { destination: SocketAddr },
    #[error("{client} and {destination} are of different address families")]
    Families { client: IpAddr, destination: SocketAddr },
    #[error("{destination} is the proxy's listener itself: the connection was not captured")]
    NotCaptured { destination: SocketAddr },
    #[error("cannot deliver to {destination}")]
    Io {
        destination: SocketAddr,
        #[source]
        source: io::Error,
    },
}

impl PodSockets {
    pub(crate) fn new(shared: &Arc<Shared>, netns: &Netns, pod_id: u32) -> Self {
        let (shared, netns) = (Arc::clone(shared), netns.clone());
        Self { pod: Arc::new(Pod { shared, netns, pod_id, ports: Ports::default() }) }
    }

    /// Where the application meant to go; `None` for a connection that was not captured: somebody
    /// connected to the listener itself. Addresses are canonical.
    pub fn original_dst(&self, accepted: BorrowedFd<'_>) -> Option<SocketAddr> {
        self.pod.shared.maps.sockets.original(accepted)
    }

    /// Connects from inside the pod, past capture.
    ///
    /// The connection is in progress: await writability, then take the socket's error.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)` and `connect(2)`.
    pub fn dial(&self, destination: SocketAddr) -> io::Result<std::net::TcpStream> {
        dial::dial(&self.pod, destination)
    }

    /// A datagram socket from inside the pod, connected past capture; nonblocking.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)` and `connect(2)`.
    pub fn udp(&self, destination: SocketAddr) -> io::Result<std::net::UdpSocket> {
        dial::udp(&self.pod, destination)
    }

    /// Connects to the pod's application with the client's address as source.
    ///
    /// The connection is in progress: await writability, then take the socket's error. A port is
    /// chosen that is no live connection of that client to that destination.
    ///
    /// # Errors
    ///
    /// When no port is free in a bounded number of tries, and those of `socket(2)`, `bind(2)` and
    /// `connect(2)`.
    pub fn deliver(
        &self,
        client: IpAddr,
        destination: SocketAddr,
    ) -> Result<std::net::TcpStream, DeliverError> {
        deliver::deliver(&self.pod, deliver::Pair { client, destination }.canonical()?)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.pod.shared
    }

    pub(crate) fn netns(&self) -> &Netns {
        &self.pod.netns
    }

    /// Marks the listeners as the proxy's.
    pub(crate) fn own<'a>(
        &self,
        listeners: impl IntoIterator<Item = &'a TcpListener>,
    ) -> io::Result<()> {
        listeners.into_iter().try_for_each(|listener| self.pod.mark(listener.as_fd(), 0))
    }

    /// Ports that deliveries must not take: the application's.
    pub(crate) fn avoid(&self, ports: impl IntoIterator<Item = u16>) {
        self.pod.ports.avoid(ports);
    }
}

/// Bounds what a socket of the proxy queues beyond what its peer takes: as much as the kernel does
/// by default.
///
/// A pod may set its namespace's `tcp_wmem` to anything, but what its connections queue is the
/// proxy's memory. A listener passes the bound on to the sockets it accepts.
pub(crate) fn bound_queue(socket: &Socket) -> io::Result<()> {
    const UNSENT: u32 = 4 << 20;
    socket.set_tcp_notsent_lowat(UNSENT)
}

impl Pod {
    fn mark(&self, own: BorrowedFd<'_>, flags: u32) -> io::Result<()> {
        self.shared.maps.sockets.mark(own, self.pod_id, flags)
    }

    /// Whether the programs refuse more connections of the pod than it has.
    fn is_share_full(&self) -> bool {
        let stats = self.shared.maps.stats.get(&self.pod_id).ok().flatten();
        stats.is_none_or(|stats| stats.tuples >= u64::from(self.shared.options.tuple_limit))
    }
}

impl fmt::Debug for PodSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PodSockets").field("pod_id", &self.pod.pod_id).finish_non_exhaustive()
    }
}

/// Makes the close of this socket tell its peer with RST that something went wrong.
///
/// # Errors
///
/// When `socket` is none.
pub fn reset(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))
}
