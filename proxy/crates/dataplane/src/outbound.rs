//! The way of a connection that a pod makes: identify, admit, open, copy.
mod identify;
mod open;

use crate::{errors::OutboundError, pods::door::Door};
use culvert_telemetry::chain::Chain;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use tracing::debug;

/// Carries one connection to its end.
pub(crate) async fn serve(door: Arc<Door>, io: TcpStream, source: SocketAddr) {
    if let Err(error) = carry(&door, io, source).await {
        debug!(pod = %door.pod.uid, %source, error = %Chain(&error), "outbound connection ended");
    }
}

async fn carry(door: &Door, io: TcpStream, source: SocketAddr) -> Result<(), OutboundError> {
    let admitted = identify::identify(door, io, source)?.admit(&door.pod)?;
    let joined = open::open(admitted, &door.sockets).await?;
    Ok(joined.copy().await?)
}
