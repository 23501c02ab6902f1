//! Where a connection of a workload goes, and how.
//!
//! In the order of Istio's ambient mesh: a workload's address before a service's; a service's
//! waypoint before its endpoints; a workload's waypoint before itself; then as it says it is
//! reached. What is not known goes where it was meant to in plain text, unless the mesh forbids it.
//! Nothing that should be encrypted ever falls back to that.
use crate::balance::{Choice, Load, Place};
use culvert_model::{
    identity::Identity,
    locality::BalanceMode,
    member::Tunnel,
    name::WorkloadUid,
    network::{Gateway, HBONE_PORT},
    service::Service,
    snapshot::{Bound, Known, OutboundPolicy, Snapshot},
    tunnel::Authority,
};
use std::{fmt, net::SocketAddr, sync::Arc};

mod gateway;

mod refusal;

pub mod explain;

pub use {
    explain::{Explanation, explain},
    gateway::is_way_of,
    refusal::NoRoute,
};

/// What a route depends on beside what is known of the mesh.
#[expect(missing_debug_implementations, reason = "holds functions")]
pub struct Asking<'a> {
    pub source: &'a Known,
    /// What it dialled; never v4-mapped.
    pub destination: SocketAddr,
    /// Those a connect to which failed, for this connection.
    pub failed: &'a [WorkloadUid],
    pub load: &'a dyn Load,
    /// Throws numbers of 64 bits.
    pub dice: &'a mut dyn FnMut() -> u64,
}

/// Where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub to: To,
    /// The service that was dialled.
    pub service: Option<Arc<Service>>,
    /// The workload it ends at, as far as that is decided here: not behind a waypoint.
    pub endpoint: Option<Arc<Known>>,
}

/// How it goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// In plain text.
    Plain(SocketAddr),
    /// In plain text to a host, of which the address has to be asked for first.
    Host(Arc<str>, u16),
    Hbone(Hop),
}

/// One tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// What is dialled.
    pub next: SocketAddr,
    /// Who may answer: any of them.
    pub expected: Arc<[Identity]>,
    /// What the tunnel is asked for.
    pub authority: Authority,
    /// The workload that is dialled.
    pub peer: Option<Arc<Known>>,
    pub is_waypoint: bool,
}

/// Listens to a walk.
pub(crate) trait Trace {
    fn heard(&mut self, step: Step<'_>);
}

/// What a walk has found out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// The destination is a workload's address.
    Workload(&'a Arc<Known>),
    /// It is a service's.
    Service(&'a Arc<Bound>),
    Unknown,
    /// It goes by a waypoint, as the first of them says.
    Waypoint(&'a Gateway),
    /// The source is the waypoint itself.
    FromWaypoint(&'a Gateway),
    /// An endpoint is chosen like this.
    Choice(&'a Choice<'a>),
}

/// Hears nothing.
struct Silent;

/// In plain text, by tunnel, and to whom.
impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(addr) => write!(f, "in plain text to {addr}"),
            Self::Host(host, port) => write!(f, "in plain text to the host {host}, port {port}"),
            Self::Hbone(Hop { next, expected, authority, is_waypoint, .. }) => {
                let waypoint = if *is_waypoint { "the waypoint " } else { "" };
                let names: Vec<_> = expected.iter().map(ToString::to_string).collect();
                let names = names.join(" or ");
                write!(f, "by a tunnel to {waypoint}{next} for {authority}, which must be {names}")
            }
        }
    }
}

impl Trace for Silent {
    fn heard(&mut self, _: Step<'_>) {}
}

/// Whether a port is one of the proxy's own, which nobody may be led to.
#[must_use]
pub const fn is_own_port(port: u16) -> bool {
    matches!(port, 15001 | 15006 | 15008 | 15080)
}

/// The service of which a connection must pass L7 before its way is found: what is at a workload's
/// own address is asked for by nobody's name.
#[must_use]
pub fn must_pass<'s>(
    snapshot: &'s Snapshot,
    source: &Known,
    destination: SocketAddr,
) -> Option<&'s Arc<Bound>> {
    let (ip, namespace) = (destination.ip(), &source.member.name.namespace);
    if snapshot.known_at(ip).is_some() || snapshot.is_closed(ip, namespace) {
        return None;
    }
    let bound = snapshot.service_at(ip, namespace)?;
    let l7 = &bound.service.l7;
    (l7.contains(destination.port()) && l7.is_for(namespace)).then_some(bound)
}

/// Finds the way.
///
/// # Errors
///
/// When there is none that may be taken, with the reason.
pub fn route(snapshot: &Snapshot, asking: Asking<'_>) -> Result<Route, NoRoute> {
    walk(snapshot, asking, &mut Silent)
}

/// Finds the way, and lets `trace` hear how.
pub(crate) fn walk(
    snapshot: &Snapshot,
    mut asking: Asking<'_>,
    trace: &mut dyn Trace,
) -> Result<Route, NoRoute> {
    let destination = asking.destination;
    if destination.ip().is_loopback() && is_own_port(destination.port()) {
        return Err(NoRoute::OwnPort(destination));
    }
    if let Some(known) = snapshot.known_at(destination.ip()) {
        trace.heard(Step::Workload(known));
        return to_workload(snapshot, &mut asking, known, trace);
    }
    let namespace = &asking.source.member.name.namespace;
    if snapshot.is_closed(destination.ip(), namespace) {
        return Err(NoRoute::Closed(destination));
    }
    if let Some(bound) = snapshot.service_at(destination.ip(), namespace) {
        trace.heard(Step::Service(bound));
        return to_service(snapshot, &mut asking, bound, trace);
    }
    trace.heard(Step::Unknown);
    match snapshot.mesh().outbound {
        OutboundPolicy::AllowAny => {
            Ok(Route { to: To::Plain(destination), service: None, endpoint: None })
        }
        OutboundPolicy::RegistryOnly => Err(NoRoute::Unknown(destination)),
    }
}

fn to_workload(
    snapshot: &Snapshot,
    asking: &mut Asking<'_>,
    known: &Arc<Known>,
    trace: &mut dyn Trace,
) -> Result<Route, NoRoute> {
    let destination = asking.destination;
    if let Some(waypoint) = &known.member.waypoint {
        if is_way_of(snapshot, waypoint, &asking.source.member) {
            trace.heard(Step::FromWaypoint(waypoint));
        } else {
            trace.heard(Step::Waypoint(waypoint));
            let of = || known.member.name.to_string();
            let hop = gateway::hop(snapshot, asking, waypoint, trace)
                .map_err(|why| why.of_waypoint(waypoint, of()))?;
            return Ok(Route { to: To::Hbone(hop), service: None, endpoint: None });
        }
    }
    if asking.failed.contains(&known.member.uid) {
        return Err(NoRoute::Failed(known.member.name.clone()));
    }
    let to = reach(known, &Place::Addr(destination), &[]);
    Ok(Route { to, service: None, endpoint: Some(Arc::clone(known)) })
}

fn to_service(
    snapshot: &Snapshot,
    asking: &mut Asking<'_>,
    bound: &Arc<Bound>,
    trace: &mut dyn Trace,
) -> Result<Route, NoRoute> {
    let (service, destination) = (&bound.service, asking.destination);
    let addressed = Some(Arc::clone(service));
    if let Some(waypoint) = gateway::of_service(service, asking.dice) {
        if is_way_of(snapshot, waypoint, &asking.source.member) {
            trace.heard(Step::FromWaypoint(waypoint));
        } else {
            trace.heard(Step::Waypoint(waypoint));
            let of = || service.host.to_string();
            let hop = gateway::hop(snapshot, asking, waypoint, trace)
                .map_err(|why| why.of_waypoint(waypoint, of()))?;
            return Ok(Route { to: To::Hbone(hop), service: addressed, endpoint: None });
        }
    }
    let has_port = service.ports.iter().any(|port| port.port.get() == destination.port());
    if service.balance.mode == BalanceMode::Passthrough {
        return match snapshot.mesh().outbound {
            OutboundPolicy::RegistryOnly if !has_port => {
                Err(NoRoute::Portless(service.host.clone(), destination.port()))
            }
            OutboundPolicy::RegistryOnly | OutboundPolicy::AllowAny => {
                Ok(Route { to: To::Plain(destination), service: addressed, endpoint: None })
            }
        };
    }
    if !has_port {
        return Err(NoRoute::Portless(service.host.clone(), destination.port()));
    }
    let choice = Choice {
        bound,
        source: &asking.source.member,
        network: &snapshot.mesh().network,
        dialled: destination.ip(),
        port: destination.port(),
        gateways: false,
        failed: asking.failed,
    };
    trace.heard(Step::Choice(&choice));
    let Some((endpoint, fit)) = choice.choose(asking.load, asking.dice) else {
        return Err(NoRoute::endless(&choice));
    };
    let to = reach(&endpoint.known, &fit.place, &service.accepted);
    Ok(Route { to, service: addressed, endpoint: Some(Arc::clone(&endpoint.known)) })
}

/// To a workload, as it says it is reached.
fn reach(known: &Arc<Known>, place: &Place, accepted: &[Identity]) -> To {
    match (place, known.member.tunnel) {
        (Place::Addr(addr), Tunnel::Hbone) => To::Hbone(Hop {
            next: SocketAddr::new(addr.ip(), HBONE_PORT.get()),
            expected: expected(known, accepted),
            authority: Authority::Addr(*addr),
            peer: Some(Arc::clone(known)),
            is_waypoint: false,
        }),
        (Place::Addr(addr), Tunnel::None) => To::Plain(*addr),
        (Place::Host(host, port), _) => To::Host(Arc::clone(host), *port),
    }
}

/// Who may answer for a workload that is dialled as one of a service that accepts others too.
fn expected(known: &Known, accepted: &[Identity]) -> Arc<[Identity]> {
    let own = &known.member.identity;
    let others = accepted.iter().filter(|other| *other != own);
    [own].into_iter().chain(others).cloned().collect()
}

#[cfg(test)]
mod tests;
