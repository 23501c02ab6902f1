//! Finding the way and going it.
use super::{
    host,
    local::{self, Handed, Offer},
    tunnel,
};
use crate::{
    conn::Admitted,
    connect::connected,
    dice::{dice, new_trace},
    errors::{OpenError, OutboundError},
    hbone::tunnel::Tunnel,
    l7,
    pods::{door::Door, pod::Seen},
};
use culvert_model::{
    facts::Direction, name::WorkloadUid, path::Path, snapshot::Bound, tunnel::Authority,
};
use culvert_policy::{
    Asking, Route,
    route::{self, Hop, To},
};
use culvert_runtime::doors::Place;
use std::{net::SocketAddr, sync::Arc};
use tokio::{io::Interest, net::TcpStream};
use tracing::debug;

/// How many endpoints of a service are tried.
const TRIES: usize = 3;

/// What continues the connection.
#[derive(Debug)]
pub(super) enum Opened {
    Plain(TcpStream),
    Tunnel(Tunnel),
    Local(Handed),
    L7(Box<dyn Place>),
}

/// Goes to where the application meant to go, from the pod's own namespace and address.
///
/// Of a service, another endpoint is tried when a connect fails.
///
/// # Errors
///
/// When there is no way, or it leads nowhere.
pub(super) async fn open(
    admitted: &mut Admitted,
    door: &Arc<Door>,
) -> Result<Opened, OutboundError> {
    let destination = admitted.account.destination();
    let mut failed: Vec<WorkloadUid> = Vec::new();
    let mut last = None;
    let mut has_waited = false;
    loop {
        let seen = door.pod.known().await?;
        if let Some(bound) = route::must_pass(seen.snapshot(), &seen.known, destination) {
            note_l7(admitted, &seen, bound);
            drop(seen);
            return l7(admitted, door, destination).await;
        }
        let asking = Asking {
            source: &seen.known,
            destination,
            failed: &failed,
            load: &door.pod.shared.loads,
            dice: &mut dice,
        };
        let route = match route::route(seen.snapshot(), asking) {
            Ok(route) => route,
            // That none is left says less than why the last one was not reached.
            Err(none) => return Err(last.unwrap_or_else(|| none.into())),
        };
        note(admitted, &seen, destination, &route);
        if !has_waited && let Some(uncertified) = local::uncertified(door, &route.to) {
            // The way of that moment is not held meanwhile.
            drop((seen, route));
            uncertified.certified().await?;
            has_waited = true;
            continue;
        }
        let endpoint = route.endpoint.as_ref().map(|endpoint| endpoint.member.uid.clone());
        // A workload that was dialled by its own address has no other.
        let one_of_several = endpoint.filter(|_| route.service.is_some());
        if let Some(endpoint) = &one_of_several {
            admitted.account.count_at(door.pod.shared.loads.count(endpoint));
        }
        let opened = go(admitted, door, seen, destination, route).await;
        match (opened, one_of_several) {
            (Err(error), Some(endpoint)) if error.is_connect() && failed.len() + 1 < TRIES => {
                debug!(pod = %door.pod.uid, %endpoint, %error, "another endpoint is tried");
                failed.push(endpoint);
                last = Some(error);
            }
            (opened, _) => return opened,
        }
    }
}

async fn go(
    admitted: &mut Admitted,
    door: &Arc<Door>,
    seen: Seen,
    meant: SocketAddr,
    route: Route,
) -> Result<Opened, OutboundError> {
    let Route { to, service, endpoint: _ } = route;
    let hop = match to {
        To::Plain(destination) => {
            let limit = door.pod.shared.connect_timeout;
            let connecting = door.sockets.dial(destination);
            let connecting =
                connecting.map_err(|error| OpenError::new(destination, error, limit))?;
            // Not held while it waits.
            drop(seen);
            return Ok(Opened::Plain(
                connected(connecting, destination, &admitted.io, limit).await?,
            ));
        }
        To::Host(host, port) => {
            drop(seen);
            let opened = Box::pin(host::open(admitted, door, &host, port)).await?;
            return Ok(Opened::Plain(opened));
        }
        To::Hbone(hop) => hop,
    };
    let bound = service.as_ref().and_then(|service| seen.snapshot().service(&service.host));
    let offer = Offer { meant, source: &seen.known, service: bound, hop: &hop };
    if let Some(entered) = local::enter(admitted, door, &offer)? {
        return Ok(Opened::Local(local::hand(admitted, entered).await?));
    }
    let host = service.map(|service| Arc::clone(&service.host.hostname));
    let member = Arc::clone(&seen.known.member);
    drop(seen);
    Ok(Opened::Tunnel(tunnel::open(admitted, door, &member, hop, host).await?))
}

/// Leaves the way to the engine of the pod's namespace.
async fn l7(
    admitted: &Admitted,
    door: &Door,
    destination: SocketAddr,
) -> Result<Opened, OutboundError> {
    let place = Box::pin(l7::place(&door.pod, Direction::Outbound, destination));
    tokio::select! {
        place = place => Ok(Opened::L7(place?)),
        _ = admitted.io.ready(Interest::ERROR) => Err(OutboundError::SourceLeft),
    }
}

fn note_l7(admitted: &Admitted, seen: &Seen, bound: &Bound) {
    admitted.account.learn(|facts| {
        facts.source_workload = Some(Arc::clone(&seen.known.workload));
        facts.source_identity = Some(seen.known.member.identity.clone());
        facts.service = Some(Arc::clone(&bound.service));
        facts.path = Path::L7;
    });
}

/// Notes what the way says of the connection.
fn note(admitted: &Admitted, seen: &Seen, destination: SocketAddr, route: &Route) {
    let Route { to, service, endpoint } = route;
    let workload = match endpoint {
        Some(endpoint) => Some(Arc::clone(&endpoint.workload)),
        None => seen.snapshot().at(destination.ip()).cloned(),
    };
    admitted.account.learn(|facts| {
        facts.source_workload = Some(Arc::clone(&seen.known.workload));
        facts.destination_workload = workload;
        facts.service = service.clone();
        (facts.destination, facts.destination_identity) = (destination, None);
        match to {
            To::Plain(target) => {
                facts.destination = *target;
                (facts.path, facts.hbone, facts.source_identity) = (Path::Plain, None, None);
            }
            To::Host(..) => {}
            To::Hbone(Hop { next, authority, .. }) => {
                if let Authority::Addr(target) = authority {
                    facts.destination = *target;
                }
                (facts.path, facts.hbone) = (Path::Tunnel, Some(*next));
                facts.source_identity = Some(seen.known.member.identity.clone());
                facts.trace.get_or_insert_with(new_trace);
            }
        }
    });
}
