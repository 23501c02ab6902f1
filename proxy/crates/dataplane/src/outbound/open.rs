//! The connection to the original destination.
use crate::{
    conn::{Admitted, Joined},
    connect::connected,
    errors::OpenError,
};
use culvert_kernel::PodSockets;

/// Connects to where the application meant to go, from the pod's own namespace and address.
///
/// # Errors
///
/// When that cannot be reached; the account is closed then.
pub(super) async fn open(admitted: Admitted, sockets: &PodSockets) -> Result<Joined, OpenError> {
    let destination = admitted.account.facts().destination;
    let limit = admitted.account.pod().shared.connect_timeout;
    let opened = match sockets.dial(destination) {
        Ok(connecting) => connected(connecting, destination, &admitted.io, limit).await,
        Err(error) => Err(OpenError::new(destination, error, limit)),
    };
    match opened {
        Ok(stream) => Ok(admitted.join(stream)),
        Err(error) => {
            admitted.refuse(error.reason(), &error);
            Err(error)
        }
    }
}
