//! The way to a host outside of the mesh of which only the name is known.
use crate::{
    conn::Admitted,
    connect::connected,
    dns::LookupError,
    errors::{OpenError, OutboundError},
    pods::door::Door,
};
use std::net::SocketAddr;
use tokio::{io::Interest, net::TcpStream};

/// How many of its addresses are tried.
const TRIES: usize = 3;

/// Asks the pod's own name servers where `host` is, and goes there from the pod.
///
/// # Errors
///
/// When they do not say, or nobody is there.
pub(super) async fn open(
    admitted: &Admitted,
    door: &Door,
    host: &str,
    port: u16,
) -> Result<TcpStream, OutboundError> {
    let nobody = || LookupError::NoResolver { host: host.into() };
    let lookup = door.lookup.as_ref().ok_or_else(nobody)?;
    let ips = tokio::select! {
        ips = lookup.addresses(host) => ips?,
        _ = admitted.io.ready(Interest::ERROR) => return Err(OutboundError::SourceLeft),
    };
    let mut last = None;
    for ip in ips.into_iter().take(TRIES) {
        let destination = SocketAddr::new(ip, port);
        admitted.account.learn(|facts| facts.destination = destination);
        match reach(admitted, door, destination).await {
            Err(error) if error.is_connect() => last = Some(error),
            reached => return Ok(reached?),
        }
    }
    Err(last.map_or_else(|| nobody().into(), Into::into))
}

async fn reach(
    admitted: &Admitted,
    door: &Door,
    destination: SocketAddr,
) -> Result<TcpStream, OpenError> {
    let limit = door.pod.shared.connect_timeout;
    let connecting = door.sockets.dial(destination);
    let connecting = connecting.map_err(|error| OpenError::new(destination, error, limit))?;
    connected(connecting, destination, &admitted.io, limit).await
}
