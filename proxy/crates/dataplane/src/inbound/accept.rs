//! Where a steered connection was going, and who makes it.
use crate::{
    conn::{Abrupt, Captured, Identified},
    errors::InboundError,
    pods::door::Door,
};
use culvert_model::{addr::canonical, facts::Direction};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// Looks both ends up; the socket's local address is where the client meant to go.
///
/// # Errors
///
/// When that is the loopback listener itself: somebody in the pod found its port. That is recorded.
pub(super) fn accept(
    door: &Door,
    io: TcpStream,
    source: SocketAddr,
) -> Result<Identified, InboundError> {
    let destination = door.sockets.named(io.local_addr().unwrap_or(source));
    let captured = Captured { io: Abrupt::new(io), source: canonical(source), destination };
    // Not held across an await: a connection lives longer than a snapshot.
    let snapshot = door.pod.shared.snapshot.pin();
    let identified = captured.identify(Direction::Inbound, &door.pod, &snapshot.value);
    if !destination.ip().is_loopback() {
        return Ok(identified);
    }
    let error = InboundError::NotCaptured { listener: destination };
    identified.refuse(&door.pod, error.reason(), &error);
    Err(error)
}
