//! Where the application meant to go, and who that is.
use crate::{
    conn::{Abrupt, Captured, Identified},
    errors::OutboundError,
    pods::door::Door,
};
use culvert_model::{addr::canonical, facts::Direction};
use std::{net::SocketAddr, os::fd::AsFd as _};
use tokio::net::TcpStream;

/// Reads the original destination from the accepted socket and looks both ends up.
///
/// # Errors
///
/// When there is none: somebody connected to the listener itself. That is recorded.
pub(super) fn identify(
    door: &Door,
    io: TcpStream,
    source: SocketAddr,
) -> Result<Identified, OutboundError> {
    let original = door.sockets.original_dst(io.as_fd());
    // Without one the way leads nowhere; what it came to is then the best name for it.
    let destination = canonical(original.or_else(|| io.local_addr().ok()).unwrap_or(source));
    let captured = Captured { io: Abrupt::new(io), source: canonical(source), destination };
    // Not held across an await: a connection lives longer than a snapshot.
    let snapshot = door.pod.shared.snapshot.pin();
    let identified = captured.identify(Direction::Outbound, &door.pod, &snapshot.value);
    if original.is_some() {
        return Ok(identified);
    }
    let error = OutboundError::NotCaptured { listener: destination };
    identified.refuse(&door.pod, error.reason(), &error);
    Err(error)
}
