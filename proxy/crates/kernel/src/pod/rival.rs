//! Whether another mesh has the pod: Istio's proxies listen at two ports of a pod's namespace, be
//! it a ztunnel or a sidecar.
use crate::{netns::Netns, pod::EnrolError};
use socket2::{Domain, Protocol, Socket, Type};
use std::{io, net::Ipv4Addr, net::SocketAddr};

/// Where they take what the pod sends, and what is sent to it in plain text.
const PORTS: [u16; 2] = [15_001, 15_006];

/// Refuses a pod that such a proxy has; an application that has one of the ports is none.
pub(crate) fn none(netns: &Netns) -> Result<(), EnrolError> {
    let look =
        || PORTS.into_iter().try_fold(true, |all, port| Ok::<_, io::Error>(all && is_taken(port)?));
    let found = netns.run(look).map_err(EnrolError::Enter)?;
    match found.map_err(|source| EnrolError::Listen { what: "other", source })? {
        true => Err(EnrolError::Rival),
        false => Ok(()),
    }
}

/// Whether somebody listens there, at whatever address.
fn is_taken(port: u16) -> io::Result<bool> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // What is left of connections is nobody who listens.
    socket.set_reuse_address(true)?;
    match socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into()) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(true),
        bound => bound.map(|()| false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv6Addr, TcpListener, TcpStream};

    #[test]
    fn only_who_listens_has_a_port() {
        for ip in [Ipv4Addr::LOCALHOST.into(), std::net::IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            assert!(is_taken(port).unwrap(), "{ip}");
            let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            let server = listener.accept().unwrap();
            // Ended by the listener's side, whose port is remembered for a while.
            drop((server, client, listener));
            assert!(!is_taken(port).unwrap(), "{ip}");
        }
    }
}
