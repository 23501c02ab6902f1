//! Deliveries to the application, which sees the client's address.
//!
//! The source port must be neither a live connection of that client to that destination (the live
//! socket would swallow our SYN) nor one the application listens on. The connect program refuses
//! the former with EPERM, and also what goes beyond the pod's share; the kernel says the latter with EADDRINUSE, and another delivery on the
//! same tuple with EADDRNOTAVAIL. Each costs a socket, since a bound one cannot be bound again.
use crate::sockets::{
    DeliverError, Pod,
    dial::{start, stream},
    ports::Candidate,
};
use culvert_common::conn;
use socket2::Socket;
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::AsFd as _,
};

/// Marks the packets of deliveries, so that the application's answers are routed back to us.
pub(crate) const MARK: u32 = 0x539;

/// After how many refused ports the pod's share of connections is looked at again.
const LOOK: usize = 16;

/// Who connects to what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) client: IpAddr,
    pub(crate) destination: SocketAddr,
}

impl Pair {
    /// Both in one family, IPv4 written as such.
    ///
    /// Nothing that goes to loopback is steered: whoever arrives that way has connected to the
    /// listener itself, and a delivery would arrive there again.
    pub(crate) fn canonical(self) -> Result<Self, DeliverError> {
        let client = self.client.to_canonical();
        let destination = culvert_model::addr::canonical(self.destination);
        if client.is_ipv4() != destination.is_ipv4() {
            return Err(DeliverError::Families { client, destination });
        }
        if destination.ip().is_loopback() {
            return Err(DeliverError::NotCaptured { destination });
        }
        Ok(Self { client, destination })
    }
}

/// Starts a connection to the pod's application as the client.
pub(crate) fn deliver(pod: &Pod, pair: Pair) -> Result<TcpStream, DeliverError> {
    let Pair { client, destination } = pair;
    let failed = |source| DeliverError::Io { destination, source };
    let try_all = || {
        for (tried, candidate) in pod.ports.candidates().enumerate() {
            match attempt(pod, pair, &candidate) {
                Ok(socket) => {
                    pod.ports.took(&candidate);
                    return Ok(socket.into());
                }
                // EPERM has two meanings.
                Err(e) if is_refused(&e) && tried % LOOK == 0 && pod.is_share_full() => {
                    return Err(DeliverError::Share { destination });
                }
                Err(e) if is_refused(&e) || is_taken(&e) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        pod.ports.exhausted();
        Err(DeliverError::NoPort { client, destination })
    };
    pod.netns.run(try_all).map_err(failed)?
}

fn attempt(
    pod: &Pod,
    Pair { client, destination }: Pair,
    candidate: &Candidate,
) -> io::Result<Socket> {
    let socket = stream(destination)?;
    socket.set_mark(MARK)?;
    match destination {
        SocketAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
        SocketAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
    }
    // One port serves several destinations.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(client, candidate.port).into())?;
    let time_wait = if candidate.time_wait_ok() { conn::TIME_WAIT_OK } else { 0 };
    pod.mark(socket.as_fd(), conn::DELIVERS | time_wait)?;
    start(&socket, destination)?;
    Ok(socket)
}

/// By the connect program.
fn is_refused(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL))
}
