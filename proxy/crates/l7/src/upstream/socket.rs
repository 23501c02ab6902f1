//! A socket to an endpoint.
use super::{resolve, wire::family};
use crate::io::Io;
use culvert_model::http::{
    address::{Address, SourceAddress},
    cluster::{Cluster, TcpKeepalive},
};
use socket2::SockRef;
use std::{io, net::SocketAddr};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

/// An open one.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Opens one, to the first of the addresses that answers.
pub(super) async fn open(to: &[Address], cluster: &Cluster) -> io::Result<Socket> {
    let mut why = io::Error::new(io::ErrorKind::AddrNotAvailable, "no address");
    for address in to {
        let opened = match address {
            Address::Socket(address) => connect(*address, cluster).await.map(Socket::Tcp),
            Address::Name { host, port } => by_name(host, *port, cluster).await.map(Socket::Tcp),
            Address::Pipe(path) => unix(path).await.map(Socket::Unix),
        };
        match opened {
            Ok(socket) => return Ok(socket),
            Err(error) => why = error,
        }
    }
    Err(why)
}

async fn by_name(host: &str, port: u16, cluster: &Cluster) -> io::Result<TcpStream> {
    let found = resolve::lookup(host, port, family(cluster)).await?;
    let nothing = || io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    connect(*found.first().ok_or_else(nothing)?, cluster).await
}

async fn connect(to: SocketAddr, cluster: &Cluster) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(from) = cluster.source.iter().find(|from| from.ip.is_ipv4() == to.is_ipv4()) {
        let SourceAddress { ip, port } = *from;
        socket.set_reuseaddr(port != 0)?;
        socket.bind(SocketAddr::new(ip, port))?;
    }
    let tcp = socket.connect(to).await?;
    tcp.set_nodelay(true)?;
    if let Some(TcpKeepalive { probes, time, interval }) = cluster.keepalive {
        let mut keepalive = socket2::TcpKeepalive::new();
        if let Some(time) = time {
            keepalive = keepalive.with_time(time);
        }
        if let Some(every) = interval {
            keepalive = keepalive.with_interval(every);
        }
        if let Some(most) = probes {
            keepalive = keepalive.with_retries(most);
        }
        SockRef::from(&tcp).set_tcp_keepalive(&keepalive)?;
    }
    Ok(tcp)
}

async fn unix(path: &str) -> io::Result<UnixStream> {
    // tokio takes a leading NUL for the abstract namespace.
    match path.strip_prefix('@') {
        Some(name) => UnixStream::connect(format!("\0{name}")).await,
        None => UnixStream::connect(path).await,
    }
}

impl From<Socket> for Io {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Tcp(tcp) => tcp.into(),
            Socket::Unix(unix) => Self::boxed(unix),
        }
    }
}
