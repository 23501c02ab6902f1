//! One connection in a tunnel: what it asks for, whether it may, and the application.
use super::{
    authorize::{Authorized, authorize},
    deliver::{Reached, reach},
};
use crate::{
    account::{self, Account},
    conn::Abrupt,
    copy::Side,
    cut::Why,
    dice::new_trace,
    errors::{CopyError, InboundError},
    hbone::{
        bytes::Bytes,
        headers::{Baggage, Request},
        relay::relay,
        server::{Incoming, Respond},
        tunnel::Tunnel,
    },
    l7::{
        self,
        carried::{Carried, Io},
    },
    pods::{door::Door, pod::Pod},
};
use culvert_model::{
    close::CloseReason,
    facts::{ConnFacts, Direction},
    identity::Identity,
    path::Path,
    service::Service,
    snapshot::{Known, Snapshot},
    tunnel::Authority,
};
use culvert_telemetry::chain::Chain;
use http::StatusCode;
use std::{net::SocketAddr, pin::pin, sync::Arc};
use tracing::debug;

/// Where requests come from: one tunnel.
#[derive(Debug)]
pub(super) struct Origin {
    /// Proven by the handshake.
    pub(super) identity: Identity,
    pub(super) remote: SocketAddr,
    /// What it dialled.
    pub(super) local: SocketAddr,
}

/// Answers a request, and carries the connection to its end.
pub(super) async fn carry(door: Arc<Door>, origin: Arc<Origin>, incoming: Incoming) {
    let Incoming { request, respond } = incoming;
    let target = match &request.authority {
        Authority::Addr(target) if target.ip() == origin.local.ip() => *target,
        elsewhere @ (Authority::Addr(_) | Authority::Host(..)) => {
            let error = InboundError::Elsewhere(elsewhere.clone());
            debug!(pod = %door.pod.uid, client = %origin.remote, %error, "request refused");
            let facts = facts(&door.pod, &origin, &request, origin.local);
            respond.refuse(status(&error));
            return account::refused(&door.pod, facts, error.reason(), &error);
        }
    };
    let facts = facts(&door.pod, &origin, &request, target);
    // A pod at its limit is not there for more.
    let Ok(account) = Account::open(&door.pod, facts) else {
        return respond.refuse(StatusCode::SERVICE_UNAVAILABLE);
    };
    Box::pin(answer(door, account, respond)).await;
}

async fn answer(door: Arc<Door>, mut account: Account, mut respond: Respond) {
    let (reached, baggage) = match connect(&door, &mut account, &mut respond).await {
        Ok(connected) => connected,
        Err(error) => {
            debug!(pod = %door.pod.uid, error = %Chain(&error), "inbound connection refused");
            respond.refuse(status(&error));
            return account.fail(&error);
        }
    };
    let io = match reached {
        Reached::App(io) => Abrupt::new(io),
        Reached::L7(place) => {
            return match respond.accept(&baggage) {
                Ok(tunnel) => {
                    let io = Io::Tunnel(Bytes::new(tunnel));
                    l7::hand_in(place, Carried::new(io, Side::Source, [account]));
                }
                Err(_gone) => account.fail(&InboundError::Abandoned),
            };
        }
    };
    match respond.accept(&baggage) {
        Ok(tunnel) => Box::pin(relayed(account, io, tunnel)).await,
        Err(_gone) => {
            drop(io);
            account.fail(&InboundError::Abandoned);
        }
    }
}

/// Asks policy, and connects to the application, unless the client takes its request back.
async fn connect(
    door: &Door,
    account: &mut Account,
    respond: &mut Respond,
) -> Result<(Reached, Baggage), InboundError> {
    let Authorized { known, must_pass, .. } = authorize(account).await?;
    let reached = tokio::select! {
        reached = reach(account, &door.sockets, must_pass, None) => reached?,
        () = respond.abandoned() => return Err(InboundError::Abandoned),
    };
    Ok((reached, Baggage::of(&known.member)))
}

async fn relayed(mut account: Account, io: Abrupt, mut tunnel: Tunnel) {
    account.opened();
    let bounds = account.pod().shared.copy;
    let stream = account.pod().shared.telemetry.metrics.tunnel_stream(Direction::Inbound);
    let ended = {
        let meter = account.meter();
        let count = move |moved| meter.count(moved);
        let mut relay = pin!(relay(io.shared(), Side::Destination, &mut tunnel, bounds, count));
        account.guard(relay.as_mut()).await
    };
    drop(stream);
    match ended.map(CopyError::of) {
        Ok(None) => {
            io.close();
            drop(tunnel);
            account.close(CloseReason::Done, None);
        }
        Ok(Some(error)) => {
            drop((io, tunnel));
            debug!(pod = %account.pod().uid, error = %Chain(&error), "inbound connection ended");
            account.close(error.reason(), error.detail());
        }
        Err(why) => {
            drop((io, tunnel));
            account.close_cut(&why);
        }
    }
}

fn status(error: &InboundError) -> StatusCode {
    match error {
        InboundError::Denied(_) => StatusCode::UNAUTHORIZED,
        InboundError::Cut(why) if matches!(**why, Why::Revoked(_)) => StatusCode::UNAUTHORIZED,
        InboundError::Elsewhere(Authority::Addr(_)) => StatusCode::BAD_REQUEST,
        InboundError::NotCaptured { .. }
        | InboundError::NotAdmitted(_)
        | InboundError::Elsewhere(Authority::Host(..))
        | InboundError::OwnPort(_)
        | InboundError::AppTunnel
        | InboundError::Held(_)
        | InboundError::NoL7(_)
        | InboundError::Cut(_)
        | InboundError::Deliver(_)
        | InboundError::Open(_)
        | InboundError::Abandoned => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn facts(pod: &Pod, origin: &Origin, request: &Request, target: SocketAddr) -> ConnFacts {
    let Origin { identity, remote, local } = origin;
    // The client's own port; that it is the client's own address, the tunnel proves.
    let told = request.forwarded.as_ref().map(|forwarded| forwarded.client);
    let source = told.filter(|told| told.ip() == remote.ip()).unwrap_or(*remote);
    let pinned = pod.shared.snapshot.pin();
    let snapshot = &pinned.value;
    let facts = pod.facts(Direction::Inbound, source, target, snapshot);
    let known = snapshot.known(&pod.uid);
    let host = request.forwarded.as_ref().and_then(|forwarded| forwarded.host.as_deref());
    ConnFacts {
        // An address that somebody else uses too says nothing about who it is.
        source_workload: facts.source_workload.filter(|workload| workload.identity == *identity),
        source_identity: Some(identity.clone()),
        destination_identity: Some(pod.identity()),
        service: known.and_then(|known| addressed(snapshot, known, target.port(), host)),
        hbone: Some(*local),
        trace: Some(request.trace.unwrap_or_else(new_trace)),
        path: Path::Tunnel,
        ..facts
    }
}

/// The service that was addressed: the one the source names, if the pod is behind it, else one
/// that has the port.
fn addressed(
    snapshot: &Snapshot,
    known: &Known,
    port: u16,
    host: Option<&str>,
) -> Option<Arc<Service>> {
    let services = || {
        let names = known.member.services.iter();
        names.filter_map(|(name, _)| snapshot.service(name)).map(|bound| &bound.service)
    };
    let named = host.and_then(|host| services().find(|one| &*one.host.hostname == host));
    let leads_here = |service: &Service| {
        let own = known.member.services.get(&service.host);
        let ports = own.into_iter().flat_map(|ports| ports.iter()).chain(&service.ports);
        ports.filter_map(|port| port.target).any(|target| target.get() == port)
    };
    named.or_else(|| services().find(|one| leads_here(one))).map(Arc::clone)
}
