//! The way of a connection that comes to a pod: accept, admit, deliver, copy.
mod accept;
mod deliver;

use crate::{conn::Admitted, errors::InboundError, pods::door::Door};
use culvert_telemetry::chain::Chain;
use std::{future::Future, net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use tracing::debug;

/// Takes an accepted connection in, if it was captured and the pod has room for it.
///
/// # Errors
///
/// When not; that is recorded then.
pub(crate) fn admit(
    door: &Door,
    io: TcpStream,
    source: SocketAddr,
) -> Result<Admitted, InboundError> {
    Ok(accept::accept(door, io, source)?.admit(&door.pod)?)
}

/// Carries an admitted connection to its end.
#[expect(clippy::manual_async_fn, reason = "the arguments of an `async fn` are kept twice")]
pub(crate) fn carry(door: Arc<Door>, admitted: Admitted) -> impl Future<Output = ()> + Send {
    async move {
        let other = match deliver::deliver(&admitted, &door.sockets).await {
            Ok(other) => other,
            Err(error) => {
                debug!(pod = %door.pod.uid, error = %Chain(&error), "inbound connection refused");
                return admitted.refuse(error.reason(), &error);
            }
        };
        let joined = admitted.join(other);
        let ended = joined.copy().await;
        if let Err(error) = joined.close(ended) {
            debug!(pod = %door.pod.uid, error = %Chain(&error), "inbound connection ended");
        }
    }
}
