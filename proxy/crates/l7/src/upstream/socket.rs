//! A socket to an endpoint.
use super::host::Host;
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

/// Opens one, to the first of the addresses that answers; a name is where it leads now.
pub(super) async fn open(to: &[Address], host: &Host, cluster: &Cluster) -> io::Result<Socket> {
    let mut why = io::Error::new(io::ErrorKind::AddrNotAvailable, "no address");
    for address in to {
        let opened = match address {
            Address::Socket(address) => connect(*address, cluster).await.map(Socket::Tcp),
            Address::Name { port, .. } => by_name(*port, host, cluster).await.map(Socket::Tcp),
            Address::Pipe(path) => unix(path).await.map(Socket::Unix),
        };
        match opened {
            Ok(socket) => return Ok(socket),
            Err(error) => why = error,
        }
    }
    Err(why)
}

async fn by_name(port: u16, host: &Host, cluster: &Cluster) -> io::Result<TcpStream> {
    let nothing = || format!("{} has no address", host.name);
    let mut why = io::Error::new(io::ErrorKind::NotFound, nothing());
    for at in host.resolved() {
        match connect(SocketAddr::new(at.ip(), port), cluster).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => why = error,
        }
    }
    Err(why)
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
