//! Where connections were bound before somebody redirected them.
use socket2::SockRef;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// The destination that a redirect (`REDIRECT` of iptables, or of nftables) took from the
/// connection; `None`: nobody redirected it.
pub(super) fn destination(tcp: &TcpStream) -> Option<SocketAddr> {
    let local = tcp.local_addr().ok()?;
    let socket = SockRef::from(tcp);
    let found = match local.ip().to_canonical() {
        std::net::IpAddr::V4(_) => socket.original_dst_v4(),
        std::net::IpAddr::V6(_) => socket.original_dst_v6(),
    };
    found.ok()?.as_socket()
}
