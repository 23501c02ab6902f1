//! A tunnel that somebody opens to the pod: who it is is proven before a word is exchanged.
use super::request::{self, Origin};
use crate::{
    account,
    errors::TunnelRefusal,
    hbone::server::{self, Accepted},
    limits::TunnelTicket,
    pods::door::Door,
};
use culvert_model::{
    facts::{ConnFacts, Direction},
    path::Path,
};
use culvert_runtime::drain::Worker;
use culvert_telemetry::{chain::Chain, metrics::Handshake};
use std::{net::SocketAddr, sync::Arc, time::Instant};
use tokio::net::TcpStream;
use tracing::debug;

/// Serves a tunnel to its end; each connection in it runs for itself.
pub(crate) async fn serve(door: Arc<Door>, io: TcpStream, source: SocketAddr, worker: Worker) {
    let local = door.sockets.named(io.local_addr().unwrap_or(source));
    let source = door.sockets.named(source);
    let begun = Instant::now();
    let pod = &door.pod;
    let metrics = &pod.shared.telemetry.metrics;
    let accepted = Box::pin(accept(&door, io, source, local)).await;
    let outcome = accepted.as_ref().map_or_else(TunnelRefusal::handshake, |_| Handshake::Done);
    metrics.handshake(Direction::Inbound, outcome, begun.elapsed());
    let (ticket, accepted) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            debug!(pod = %pod.uid, client = %source, error = %Chain(&error), "tunnel refused");
            let facts = facts(&door, source, local);
            return account::refused(pod, facts, error.reason(), &error);
        }
    };
    let open = metrics.tunnel(Direction::Inbound);
    let origin = Arc::new(Origin {
        identity: accepted.peer.identity().clone(),
        remote: door.sockets.named(accepted.remote),
        local: door.sockets.named(accepted.local),
    });
    let trust = pod.shared.identities.trust();
    let on_request = |incoming| {
        let carry = request::carry(Arc::clone(&door), Arc::clone(&origin), incoming);
        worker.spawn(carry);
    };
    server::serve(accepted, &worker, trust, on_request).await;
    drop((open, ticket));
}

async fn accept(
    door: &Door,
    io: TcpStream,
    source: SocketAddr,
    local: SocketAddr,
) -> Result<(TunnelTicket, Accepted), TunnelRefusal> {
    if local.ip().is_loopback() {
        return Err(TunnelRefusal::NotCaptured { listener: local });
    }
    let pod = &door.pod;
    let ticket = pod.shared.limits.admit_tunnel(&pod.load)?;
    let place = pod.handshakes.enter(source.ip())?;
    let identity = pod.identity();
    let own = pod.certificate(&identity).await?;
    let accepted = server::accept(io, &own, pod.shared.handshake_timeout).await?;
    drop(place);
    Ok((ticket, accepted))
}

/// What is known of a tunnel that was not opened.
fn facts(door: &Door, source: SocketAddr, local: SocketAddr) -> ConnFacts {
    let snapshot = door.pod.shared.snapshot.pin();
    let facts = door.pod.facts(Direction::Inbound, source, local, &snapshot.value);
    ConnFacts { path: Path::Tunnel, ..facts }
}
