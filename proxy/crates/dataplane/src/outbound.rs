//! The way of a connection that a pod makes: identify, admit, open, copy.
//!
//! Where it leads is decided by the snapshot of the moment: to the destination as it is, through a
//! tunnel, or over to another pod of this node.
mod host;
mod identify;
pub(crate) mod local;
mod open;
mod tunnel;

use crate::{
    conn::{Admitted, Joined},
    copy::Side,
    errors::OutboundError,
    l7::{
        self,
        carried::{Carried, Io},
    },
    pods::door::Door,
};
use culvert_telemetry::chain::Chain;
use open::Opened;
use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};
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
) -> Result<Admitted, OutboundError> {
    Ok(identify::identify(door, io, source)?.admit(&door.pod)?)
}

/// Carries an admitted connection to its end.
#[expect(clippy::manual_async_fn, reason = "the arguments of an `async fn` are kept twice")]
pub(crate) fn carry(door: Arc<Door>, admitted: Admitted) -> impl Future<Output = ()> + Send {
    async move {
        let Some(joined) = begin(&door, admitted).await else { return };
        match joined.copy_until_cut().await {
            Ok(ended) => {
                if let Err(error) = joined.close(ended) {
                    debug!(pod = %door.pod.uid, error = %Chain(&error), "outbound connection ended");
                }
            }
            Err(why) => joined.close_cut(&why),
        }
    }
}

/// Opens the other side; a connection that goes no further, or another way than the plain one, has
/// ended when this resolves.
///
/// In a box, as every part of it: what they need is more than what a connection needs for the rest
/// of its life.
fn begin(
    door: &Arc<Door>,
    mut admitted: Admitted,
) -> Pin<Box<dyn Future<Output = Option<Joined>> + Send + '_>> {
    Box::pin(async move {
        match Box::pin(open::open(&mut admitted, door)).await {
            Ok(Opened::Plain(other)) => return Some(admitted.join(other)),
            Ok(Opened::Tunnel(tunnel)) => Box::pin(tunnel::carry(admitted, tunnel)).await,
            Ok(Opened::Local(handed)) => Box::pin(local::carry(admitted, handed)).await,
            Ok(Opened::L7(place)) => {
                let Admitted { io, account } = admitted;
                l7::hand_out(place, Carried::new(Io::Tcp(io), Side::Source, [account]));
            }
            Err(error) => {
                debug!(pod = %door.pod.uid, error = %Chain(&error), "outbound connection refused");
                admitted.refuse(error.reason(), &error);
            }
        }
        None
    })
}
