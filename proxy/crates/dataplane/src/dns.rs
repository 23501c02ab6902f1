//! Names for the pods: services of the mesh are answered here, everything else is asked of the
//! resolver that the pod meant.
//!
//! The kernel points a pod's questions at sockets in the pod's own namespace, of which there are a
//! pair for each resolver; so a socket says who asks and whom. What the mesh does not know goes to
//! that resolver from that namespace, unchanged.
//!
//! Reading order: [`answer`] (what the mesh knows; pure), [`message`] (bytes; pure), `respond` (one
//! message's way), `forward` (resolvers) over `upstream` and `cache`, `udp` and `tcp`, [`Node`].
pub mod answer;

pub mod message;

mod node;

mod respond;

mod forward;

mod lookup;

mod upstream;

mod cache;

mod udp;

mod tcp;

mod frame;

mod sockets;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use lookup::{Lookup, LookupError};
pub use node::{Node, Settings};
pub use respond::Client;
pub use upstream::{Sockets, UpstreamError};

use crate::dns::respond::Responder;
use culvert_runtime::drain::{Drain, Drained};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Handle,
    sync::Notify,
};
use tracing::error;

/// How long questions that are under way may take when the pod is let go: as long as resolvers have.
const LAST: Duration = Duration::from_secs(5);

/// Where questions come in that a pod meant for one resolver.
#[derive(Debug)]
pub struct Listener {
    pub resolver: SocketAddr,
    pub udp: std::net::UdpSocket,
    pub tcp: std::net::TcpListener,
}

/// A pod's questions are answered.
///
/// No part of the process's drain: an application may have a socket that sends to ours for as long
/// as it likes. Dropped without [`end`](Self::end) it ends at once.
#[derive(Debug)]
#[must_use = "questions are answered while it is held"]
pub struct Serving {
    drain: Drain,
    lookup: Lookup,
}

/// Answers a pod's questions on the runtime `data`; `lost` is told when a socket fails.
pub fn start(
    node: &Arc<Node>,
    client: Client,
    listeners: Vec<Listener>,
    data: &Handle,
    lost: &Arc<Notify>,
) -> Serving {
    let drain = Drain::default();
    let worker = drain.worker();
    let responder = Arc::new(Responder::new(node, client, worker.clone()));
    let resolvers = listeners.iter().map(|listener| listener.resolver).collect();
    let lookup = Lookup::new(&responder, resolvers);
    for Listener { resolver, udp, tcp } in listeners {
        let (own, finish, told) = (Arc::clone(&responder), worker.clone(), Arc::clone(lost));
        let by_udp = async move {
            let served = async {
                udp.set_nonblocking(true)?;
                udp::serve(&own, UdpSocket::from_std(udp)?, resolver, &finish).await
            };
            report(served.await, &own, resolver, &told);
        };
        worker.spawn_on(data, by_udp);
        let (own, finish, told) = (Arc::clone(&responder), worker.clone(), Arc::clone(lost));
        let by_tcp = async move {
            let served = async {
                tcp.set_nonblocking(true)?;
                tcp::serve(&own, &TcpListener::from_std(tcp)?, resolver, &finish).await
            };
            report(served.await, &own, resolver, &told);
        };
        worker.spawn_on(data, by_tcp);
    }
    Serving { drain, lookup }
}

impl Serving {
    /// For the proxy's own questions on the pod's behalf.
    pub fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// Answers who has asked already, then closes the sockets; to be called when nothing is
    /// captured any more and the pod's connections have ended.
    pub async fn end(self) -> Drained {
        self.drain.drain(LAST).await
    }
}

fn report(served: io::Result<()>, responder: &Responder, resolver: SocketAddr, lost: &Notify) {
    if let Err(error) = served {
        error!(pod = %responder.pod(), %resolver, %error, "socket for the pod's questions lost");
        lost.notify_one();
    }
}
