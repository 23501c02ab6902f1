//! A route for people: what was found out on the way, in its order.
use super::{Asking, NoRoute, Route, Step, Trace, walk};
use crate::balance::{Out, Place};
use culvert_model::{
    l7::L7Ports,
    name::ServiceName,
    network::Gateway,
    snapshot::{Bound, Known, Snapshot},
};
use std::{fmt, sync::Arc};

/// A route, and everything it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The same that [`route`](super::route) gives.
    pub outcome: Result<Route, NoRoute>,
    pub steps: Vec<Found>,
}

/// One thing found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The destination is the address of a workload.
    Workload(Arc<Known>),
    /// It is that of a service.
    Service(Arc<Bound>),
    /// Nobody knows it.
    Unknown,
    /// The way goes by a waypoint.
    Waypoint(Gateway),
    /// It would, were the source not the waypoint itself.
    FromWaypoint(Gateway),
    /// One of these endpoints is chosen.
    Endpoints { service: ServiceName, port: u16, candidates: Vec<Candidate> },
}

/// An endpoint, and where it is or why it is not chosen from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub known: Arc<Known>,
    pub fit: Result<Place, Out>,
}

/// Finds the way as [`route`](super::route) does, and says how.
pub fn explain(snapshot: &Snapshot, asking: Asking<'_>) -> Explanation {
    let mut steps = Steps::default();
    let outcome = walk(snapshot, asking, &mut steps);
    Explanation { outcome, steps: steps.0 }
}

/// Writes down what it hears.
#[derive(Debug, Default)]
struct Steps(Vec<Found>);

impl Trace for Steps {
    fn heard(&mut self, step: Step<'_>) {
        self.0.push(match step {
            Step::Workload(known) => Found::Workload(Arc::clone(known)),
            Step::Service(bound) => Found::Service(Arc::clone(bound)),
            Step::Unknown => Found::Unknown,
            Step::Waypoint(gateway) => Found::Waypoint(gateway.clone()),
            Step::FromWaypoint(gateway) => Found::FromWaypoint(gateway.clone()),
            Step::Choice(choice) => Found::Endpoints {
                service: choice.bound.service.host.clone(),
                port: choice.port,
                candidates: (choice.judged())
                    .map(|(endpoint, fit)| Candidate {
                        known: Arc::clone(&endpoint.known),
                        fit: fit.map(|fit| fit.place),
                    })
                    .collect(),
            },
        });
    }
}

impl Explanation {
    /// The endpoints it could have been as well, when one of several was chosen; the workload behind
    /// a waypoint is not among them.
    pub fn candidates(&self) -> impl Iterator<Item = (&Arc<Known>, &Place)> {
        let last = self.steps.iter().rev().find_map(|step| match step {
            Found::Endpoints { candidates, .. } => Some(&candidates[..]),
            Found::Workload(_)
            | Found::Service(_)
            | Found::Unknown
            | Found::Waypoint(_)
            | Found::FromWaypoint(_) => None,
        });
        let all = last.unwrap_or_default().iter();
        all.filter_map(|one| one.fit.as_ref().ok().map(|place| (&one.known, place)))
    }
}

/// One line for each step.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| write!(f, "{step}"))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload(known) => {
                writeln!(f, "is workload {}", known.member.name)?;
                l7(f, &known.member.l7, "at its node, after the policies here")
            }
            Self::Service(bound) => {
                writeln!(f, "is service {}", bound.service.host)?;
                l7(
                    f,
                    &bound.service.l7,
                    "at the client's node, which finds the way in place of this",
                )
            }
            Self::Unknown => writeln!(f, "is not known to the mesh"),
            Self::Waypoint(gateway) => writeln!(f, "goes by the waypoint {gateway}"),
            Self::FromWaypoint(gateway) => {
                writeln!(f, "goes past the waypoint {gateway}, which the source is itself")
            }
            Self::Endpoints { service, port, candidates } => {
                writeln!(f, "endpoints of {service} for port {port}")?;
                if candidates.is_empty() {
                    writeln!(f, "    none")?;
                }
                candidates.iter().try_for_each(|one| write!(f, "{one}"))
            }
        }
    }
}

/// Says what must pass L7, if something must.
fn l7(f: &mut fmt::Formatter<'_>, ports: &L7Ports, place: &str) -> fmt::Result {
    if ports.is_empty() {
        return Ok(());
    }
    let ports: Vec<_> = ports.iter().map(|port| port.to_string()).collect();
    writeln!(f, "  port {} passes L7 {place}", ports.join(", "))
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.known.member.name;
        match &self.fit {
            Ok(place) => writeln!(f, "  + {name} at {place}"),
            Err(out) => writeln!(f, "  - {name}: {out}"),
        }
    }
}
