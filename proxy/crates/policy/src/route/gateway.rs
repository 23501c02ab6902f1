//! Waypoints: the way to a workload or a service when it is not the workload itself.
use super::{Asking, Hop, NoRoute, Step, Trace, expected};
use crate::balance::{Choice, Place, below};
use culvert_model::{
    member::Member,
    network::{Gateway, Target},
    service::Service,
    snapshot::{Bound, Snapshot},
    tunnel::Authority,
};
use std::{net::SocketAddr, sync::Arc};

/// The waypoint of a service, of several one by weight.
pub(super) fn of_service<'a>(
    service: &'a Service,
    dice: &mut dyn FnMut() -> u64,
) -> Option<&'a Gateway> {
    let weighted = &service.weighted_waypoints;
    let total: u64 = weighted.iter().map(|(_, weight)| u64::from(*weight)).sum();
    if total == 0 {
        return service.waypoint.as_ref();
    }
    let mut left = below(total, dice);
    for (waypoint, weight) in weighted {
        match left.checked_sub(u64::from(*weight)) {
            Some(rest) => left = rest,
            None => return Some(waypoint),
        }
    }
    None
}

/// Whether `member` is what `gateway` leads to.
pub fn is_way_of(snapshot: &Snapshot, gateway: &Gateway, member: &Member) -> bool {
    match &gateway.target {
        Target::Service(name) => member.services.contains(name),
        Target::Ip(at) => {
            let own = member.network_ips().any(|own| own == *at);
            own || *at.network == *snapshot.mesh().network
                && snapshot
                    .service_at(at.ip, &member.name.namespace)
                    .is_some_and(|bound| member.services.contains(&bound.service.host))
        }
    }
}

/// The tunnel to `gateway`, for what was dialled.
pub(super) fn hop(
    snapshot: &Snapshot,
    asking: &mut Asking<'_>,
    gateway: &Gateway,
    trace: &mut dyn Trace,
) -> Result<Hop, NoRoute> {
    let port = gateway.hbone_port.get();
    let at = match &gateway.target {
        Target::Service(name) => {
            let bound = snapshot.service(name).ok_or(NoRoute::UnknownWaypoint)?;
            return by_service(snapshot, asking, bound, port, trace);
        }
        Target::Ip(at) => at,
    };
    if *at.network != *snapshot.mesh().network {
        return Err(NoRoute::OtherNetwork(Arc::clone(&at.network)));
    }
    if let Some(known) = snapshot.known_in(at) {
        if asking.failed.contains(&known.member.uid) {
            return Err(NoRoute::Failed(known.member.name.clone()));
        }
        return Ok(Hop {
            next: SocketAddr::new(at.ip, port),
            expected: expected(known, &[]),
            authority: Authority::Addr(asking.destination),
            peer: Some(Arc::clone(known)),
            is_waypoint: true,
        });
    }
    let namespace = &asking.source.member.name.namespace;
    let bound = snapshot.service_at(at.ip, namespace).ok_or(NoRoute::UnknownWaypoint)?;
    by_service(snapshot, asking, bound, port, trace)
}

fn by_service(
    snapshot: &Snapshot,
    asking: &mut Asking<'_>,
    bound: &Bound,
    port: u16,
    trace: &mut dyn Trace,
) -> Result<Hop, NoRoute> {
    let choice = Choice {
        bound,
        source: &asking.source.member,
        network: &snapshot.mesh().network,
        dialled: asking.destination.ip(),
        port,
        gateways: true,
        failed: asking.failed,
    };
    trace.heard(Step::Choice(&choice));
    let Some((endpoint, fit)) = choice.choose(asking.load, asking.dice) else {
        return Err(NoRoute::endless(&choice));
    };
    // A gateway that has only a host name is never fit.
    let Place::Addr(next) = fit.place else { return Err(NoRoute::endless(&choice)) };
    Ok(Hop {
        next,
        expected: expected(&endpoint.known, &bound.service.accepted),
        authority: Authority::Addr(asking.destination),
        peer: Some(Arc::clone(&endpoint.known)),
        is_waypoint: true,
    })
}
