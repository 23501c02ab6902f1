//! The sockets that connections of a pod are made of.
use culvert_kernel::{DeliverError, Flow, PodSockets};
use culvert_model::addr::canonical;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::BorrowedFd,
};

/// Where a pod's sockets are made.
#[derive(Clone, Debug)]
pub(crate) enum Sockets {
    /// In its namespace.
    Pod(PodSockets),
    /// Here, for tests without the programs.
    #[cfg(test)]
    Here(IpAddr),
}

impl Sockets {
    /// Where the application meant to go; `None` for a connection that was not captured.
    pub(crate) fn original_dst(&self, accepted: BorrowedFd<'_>) -> Option<SocketAddr> {
        match self {
            Self::Pod(sockets) => sockets.original_dst(accepted),
            #[cfg(test)]
            Self::Here(_) => None,
        }
    }

    /// An end of a connection as the mesh knows it.
    pub(crate) fn named(&self, end: SocketAddr) -> SocketAddr {
        match self {
            Self::Pod(_) => canonical(end),
            #[cfg(test)]
            Self::Here(_) => here::named(end),
        }
    }

    /// The pod's connections that no proxy is in.
    pub(crate) fn flows(&self) -> io::Result<Vec<Flow>> {
        match self {
            Self::Pod(sockets) => sockets.flows(),
            #[cfg(test)]
            Self::Here(_) => Ok(Vec::new()),
        }
    }

    /// Ends one of them; whether there was one.
    pub(crate) fn destroy(&self, one: SocketAddr, other: SocketAddr) -> io::Result<bool> {
        match self {
            Self::Pod(sockets) => sockets.destroy(one, other),
            #[cfg(test)]
            Self::Here(_) => Ok(false),
        }
    }

    /// Begins to connect with the pod's address.
    pub(crate) fn dial(&self, destination: SocketAddr) -> io::Result<std::net::TcpStream> {
        match self {
            Self::Pod(sockets) => sockets.dial(destination),
            #[cfg(test)]
            Self::Here(ip) => here::connect(*ip, destination),
        }
    }

    /// Begins to connect to the application with the client's address.
    pub(crate) fn deliver(
        &self,
        client: IpAddr,
        destination: SocketAddr,
    ) -> Result<std::net::TcpStream, DeliverError> {
        match self {
            Self::Pod(sockets) => sockets.deliver(client, destination),
            #[cfg(test)]
            Self::Here(_) => here::connect(client, destination)
                .map_err(|source| DeliverError::Io { destination, source }),
        }
    }
}

/// Addresses of the loopback device (127.x.y.z), known as others (10.x.y.z).
#[cfg(test)]
pub(crate) mod here {
    use socket2::{Domain, Socket, Type};
    use std::{
        io,
        net::{IpAddr, Ipv4Addr, SocketAddr},
    };

    pub(crate) fn real(end: SocketAddr) -> SocketAddr {
        with(end, 127)
    }

    pub(crate) fn named(end: SocketAddr) -> SocketAddr {
        with(end, 10)
    }

    pub(super) fn connect(source: IpAddr, to: SocketAddr) -> io::Result<std::net::TcpStream> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), None)?;
        socket.bind(&real((source, 0).into()).into())?;
        match socket.connect(&real(to).into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            Ok(()) | Err(_) => Ok(socket.into()),
        }
    }

    fn with(end: SocketAddr, first: u8) -> SocketAddr {
        let IpAddr::V4(ip) = end.ip() else { return end };
        let [_, b, c, d] = ip.octets();
        (Ipv4Addr::new(first, b, c, d), end.port()).into()
    }
}
