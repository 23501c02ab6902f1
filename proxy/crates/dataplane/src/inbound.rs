//! The way of a connection that comes to a pod: accept, admit, deliver, copy.
mod accept;
mod deliver;

use crate::{errors::InboundError, pods::door::Door};
use culvert_telemetry::chain::Chain;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use tracing::debug;

/// Carries one connection to its end.
pub(crate) async fn serve(door: Arc<Door>, io: TcpStream, source: SocketAddr) {
    if let Err(error) = carry(&door, io, source).await {
        debug!(pod = %door.pod.uid, %source, error = %Chain(&error), "inbound connection ended");
    }
}

async fn carry(door: &Door, io: TcpStream, source: SocketAddr) -> Result<(), InboundError> {
    let admitted = accept::accept(door, io, source)?.admit(&door.pod)?;
    let joined = deliver::deliver(admitted, &door.sockets).await?;
    Ok(joined.copy().await?)
}
