//! The way of a connection that comes to a pod: accept, admit, authorize, deliver, copy.
//!
//! In plain text it comes by itself; in a tunnel, each stream is one.
pub(crate) mod deliver;

pub(crate) mod authorize;

mod accept;
mod request;
pub(crate) mod tunnel;

pub(crate) use crate::errors::InboundError;

use crate::{
    conn::{Admitted, Joined},
    copy::Side,
    l7::{
        self,
        carried::{Carried, Io},
    },
    pods::door::Door,
};
use culvert_telemetry::chain::Chain;
use deliver::Reached;
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
) -> Result<Admitted, InboundError> {
    Ok(accept::accept(door, io, source)?.admit(&door.pod)?)
}

/// Carries an admitted connection to its end.
#[expect(clippy::manual_async_fn, reason = "the arguments of an `async fn` are kept twice")]
pub(crate) fn carry(door: Arc<Door>, admitted: Admitted) -> impl Future<Output = ()> + Send {
    async move {
        let Some(joined) = begin(&door, admitted).await else { return };
        match joined.copy_until_cut().await {
            Ok(ended) => {
                if let Err(error) = joined.close(ended) {
                    debug!(pod = %door.pod.uid, error = %Chain(&error), "inbound connection ended");
                }
            }
            Err(why) => joined.close_cut(&why),
        }
    }
}

/// Reaches the application; a connection that goes no further has ended when this resolves.
///
/// In a box: what waiting needs is more than what a connection needs for the rest of its life.
fn begin(
    door: &Door,
    mut admitted: Admitted,
) -> Pin<Box<dyn Future<Output = Option<Joined>> + Send + '_>> {
    Box::pin(async move {
        let Admitted { io, account } = &mut admitted;
        match deliver::deliver(account, &door.sockets, io).await {
            Ok((Reached::App(other), _)) => Some(admitted.join(other)),
            Ok((Reached::L7(place), _)) => {
                let Admitted { io, account } = admitted;
                l7::hand_in(place, Carried::new(Io::Tcp(io), Side::Source, [account]));
                None
            }
            Err(error) => {
                debug!(pod = %door.pod.uid, error = %Chain(&error), "inbound connection refused");
                admitted.refuse_inbound(&error);
                None
            }
        }
    })
}
