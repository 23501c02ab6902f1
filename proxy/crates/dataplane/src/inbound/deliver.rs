//! The connection to the application, which sees the client's own address.
use crate::{conn::Admitted, connect::connected, errors::InboundError};
use culvert_kernel::PodSockets;
use tokio::net::TcpStream;

/// Connects to the application in the client's name.
///
/// # Errors
///
/// When it cannot be reached.
pub(super) async fn deliver(
    admitted: &Admitted,
    sockets: &PodSockets,
) -> Result<TcpStream, InboundError> {
    let (source, destination) = (admitted.account.source(), admitted.account.destination());
    let limit = admitted.account.pod().shared.connect_timeout;
    let connecting = sockets
        .deliver(source.ip(), destination)
        .map_err(|error| InboundError::deliver(error, limit))?;
    Ok(connected(connecting, destination, &admitted.io, limit).await?)
}
