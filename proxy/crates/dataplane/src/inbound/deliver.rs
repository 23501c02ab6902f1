//! The connection to the application, which sees the client's own address.
use super::authorize::{Authorized, authorize};
use crate::{account::Account, connect::connected, errors::InboundError, pods::sockets::Sockets};
use tokio::net::TcpStream;

/// Asks the policies of the pod, and connects to its application in the client's name, while
/// `source` is there.
///
/// # Errors
///
/// When policy denies it, or the application cannot be reached.
pub(crate) async fn deliver(
    account: &mut Account,
    sockets: &Sockets,
    source: &TcpStream,
) -> Result<(TcpStream, Authorized), InboundError> {
    let authorized = authorize(account).await?;
    let (client, destination) = (account.source(), account.destination());
    let limit = account.pod().shared.connect_timeout;
    let connecting = sockets
        .deliver(client.ip(), destination)
        .map_err(|error| InboundError::deliver(error, limit))?;
    let reached = account.guard(connected(connecting, destination, source, limit)).await;
    Ok((reached.map_err(InboundError::Cut)??, authorized))
}
