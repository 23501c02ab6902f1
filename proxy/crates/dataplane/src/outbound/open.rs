//! The connection to the original destination.
use crate::{conn::Admitted, connect::connected, errors::OpenError};
use culvert_kernel::PodSockets;
use tokio::net::TcpStream;

/// Connects to where the application meant to go, from the pod's own namespace and address.
///
/// # Errors
///
/// When that cannot be reached.
pub(super) async fn open(
    admitted: &Admitted,
    sockets: &PodSockets,
) -> Result<TcpStream, OpenError> {
    let destination = admitted.account.destination();
    let limit = admitted.account.pod().shared.connect_timeout;
    match sockets.dial(destination) {
        Ok(connecting) => connected(connecting, destination, &admitted.io, limit).await,
        Err(error) => Err(OpenError::new(destination, error, limit)),
    }
}
