//! The way through a tunnel.
use crate::{
    conn::Admitted,
    copy::Side,
    errors::{CopyError, OutboundError},
    hbone::{
        headers::{Baggage, Forwarded, Request},
        pool::Target,
        relay::relay,
        tunnel::Tunnel,
    },
    pods::door::Door,
};
use culvert_model::{close::CloseReason, member::Member};
use culvert_policy::route::Hop;
use culvert_telemetry::chain::Chain;
use std::sync::Arc;
use tokio::io::Interest;
use tracing::debug;

/// Opens a tunnel to `hop` in the name of `member`, which is the pod.
///
/// # Errors
///
/// When there is no certificate, nobody or somebody else is there, or it does not take the
/// connection.
pub(super) async fn open(
    admitted: &Admitted,
    door: &Door,
    member: &Member,
    hop: Hop,
    host: Option<Arc<str>>,
) -> Result<Tunnel, OutboundError> {
    let Hop { next, expected, authority, peer, is_waypoint: _ } = hop;
    let own = door.pod.certificate(&member.identity).await?;
    let facts = admitted.account.facts();
    let request = Request {
        baggage: Baggage::of(member),
        forwarded: Some(Forwarded { client: facts.source, host }),
        trace: facts.trace,
        ..Request::new(authority)
    };
    let peer = peer.map(|peer| peer.member.uid.clone());
    if let Some(peer) = &peer {
        door.peers.note(peer, next);
    }
    let target = Target { next, expected, peer, own };
    let opened = tokio::select! {
        opened = door.pool.open(&target, &request, || door.sockets.dial(next)) => opened?,
        _ = admitted.io.ready(Interest::ERROR) => return Err(OutboundError::SourceLeft),
    };
    debug!(pod = %door.pod.uid, peer = %opened.peer, says = %opened.baggage, "tunnel open");
    admitted.account.learn(|facts| facts.destination_identity = Some(opened.peer));
    Ok(opened.tunnel)
}

/// Carries the connection through `tunnel` to its end.
pub(super) async fn carry(admitted: Admitted, mut tunnel: Tunnel) {
    let Admitted { io, mut account } = admitted;
    account.opened();
    let streams = account.pod().shared.telemetry.metrics.tunnel_stream(account.direction());
    let bounds = account.pod().shared.copy;
    let meter = account.meter();
    let count = move |moved| meter.count(moved);
    let ended = relay(io.shared(), Side::Source, &mut tunnel, bounds, count).await;
    drop(streams);
    let Some(error) = CopyError::of(ended) else {
        io.close();
        drop(tunnel);
        return account.close(CloseReason::Done, None);
    };
    drop((io, tunnel));
    debug!(pod = %account.pod().uid, error = %Chain(&error), "outbound connection ended");
    account.close(error.reason(), error.detail());
}
