//! The sockets of an enrolled pod.
use crate::dns::{Listener, upstream::Sockets};
use culvert_kernel::{DnsListener, PodSockets};
use std::{io, net::SocketAddr, os::fd::BorrowedFd};

/// Where resolvers are asked; what is asked elsewhere is not captured.
const PORT: u16 = 53;

impl Sockets for PodSockets {
    fn udp(&self, resolver: SocketAddr) -> io::Result<std::net::UdpSocket> {
        Self::udp(self, resolver)
    }

    fn tcp(&self, resolver: SocketAddr) -> io::Result<std::net::TcpStream> {
        self.dial(resolver)
    }

    fn is_captured(&self, accepted: BorrowedFd<'_>) -> bool {
        self.original_dst(accepted).is_some()
    }
}

impl From<DnsListener> for Listener {
    fn from(DnsListener { resolver, udp, tcp }: DnsListener) -> Self {
        Self { resolver: SocketAddr::new(resolver, PORT), udp, tcp }
    }
}
