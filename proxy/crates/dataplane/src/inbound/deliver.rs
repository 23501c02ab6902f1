//! The connection to the application, which sees the client's own address.
use crate::{
    conn::{Admitted, Joined},
    connect::connected,
    errors::InboundError,
};
use culvert_kernel::PodSockets;
use culvert_model::facts::ConnFacts;
use std::time::Duration;
use tokio::net::TcpStream;

/// Connects to the application in the client's name.
///
/// # Errors
///
/// When it cannot be reached; the account is closed then.
pub(super) async fn deliver(
    admitted: Admitted,
    sockets: &PodSockets,
) -> Result<Joined, InboundError> {
    let limit = admitted.account.pod().shared.connect_timeout;
    match reach(&admitted, sockets, limit).await {
        Ok(stream) => Ok(admitted.join(stream)),
        Err(error) => {
            admitted.refuse(error.reason(), &error);
            Err(error)
        }
    }
}

async fn reach(
    admitted: &Admitted,
    sockets: &PodSockets,
    limit: Duration,
) -> Result<TcpStream, InboundError> {
    let ConnFacts { source, destination, .. } = *admitted.account.facts();
    let connecting = sockets
        .deliver(source.ip(), destination)
        .map_err(|error| InboundError::deliver(error, limit))?;
    Ok(connected(connecting, destination, &admitted.io, limit).await?)
}
