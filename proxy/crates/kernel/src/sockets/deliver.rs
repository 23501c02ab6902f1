//! Deliveries to the application, which sees the client's address.
//!
//! The source port must be neither a live connection of that client to that destination (the live
//! socket would swallow our SYN) nor one the application listens on. The connect program refuses
//! the former with EPERM; the kernel says the latter with EADDRINUSE, and another delivery on the
//! same tuple with EADDRNOTAVAIL. Each costs a socket, since a bound one cannot be bound again.
use crate::{
    maps::Sockets,
    netns::Netns,
    sockets::{
        DeliverError,
        dial::{start, stream},
        ports::{Candidate, Ports},
    },
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

/// Who connects to what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) client: IpAddr,
    pub(crate) destination: SocketAddr,
}

impl Pair {
    /// Both in one family, IPv4 written as such.
    pub(crate) fn canonical(self) -> Result<Self, DeliverError> {
        let client = self.client.to_canonical();
        let destination = culvert_model::addr::canonical(self.destination);
        if client.is_ipv4() != destination.is_ipv4() {
            return Err(DeliverError::Families { client, destination });
        }
        Ok(Self { client, destination })
    }
}

/// Starts a connection to the pod's application as the client.
pub(crate) fn deliver(
    sockets: &Sockets,
    netns: &Netns,
    pod_id: u32,
    ports: &Ports,
    pair: Pair,
) -> Result<TcpStream, DeliverError> {
    let Pair { client, destination } = pair;
    let failed = |source| DeliverError::Io { destination, source };
    let try_all = || {
        let mut tries = 0;
        for candidate in ports.candidates() {
            tries += 1;
            match attempt(sockets, pod_id, pair, &candidate) {
                Ok(socket) => {
                    ports.took(&candidate);
                    return Ok(socket.into());
                }
                Err(e) if is_taken(&e) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        Err(DeliverError::NoPort { client, destination, tries })
    };
    netns.run(try_all).map_err(failed)?
}

fn attempt(
    sockets: &Sockets,
    pod_id: u32,
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
    sockets.mark(socket.as_fd(), pod_id, conn::DELIVERS | time_wait)?;
    start(&socket, destination)?;
    Ok(socket)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL | libc::EPERM))
}
