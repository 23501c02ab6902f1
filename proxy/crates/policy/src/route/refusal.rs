//! Why there is no way.
use crate::balance::{Choice, Out};
use culvert_model::{
    close::CloseReason,
    name::{ObjectName, ServiceName},
    network::Gateway,
};
use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc};

/// Why a connection goes nowhere, in the words a person needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    #[error("{0} is a port of the proxy's own")]
    OwnPort(SocketAddr),
    #[error("nothing known is at {0}, and the mesh's outbound traffic policy is REGISTRY_ONLY")]
    Unknown(SocketAddr),
    #[error("the control plane's resource for {0} is not understood")]
    Closed(SocketAddr),
    #[error("service {0} has no port {1}")]
    Portless(ServiceName, u16),
    #[error("service {service} has no endpoint for port {port}{outs}")]
    NoEndpoint { service: ServiceName, port: u16, outs: Outs },
    #[error("a connect to {0} failed, and there is no other")]
    Failed(ObjectName),
    /// Tunnels inside of tunnels would be needed.
    #[error("the way leads into network {0:?}, and tunnels between networks are not supported")]
    OtherNetwork(Arc<str>),
    #[error("nobody knows it")]
    UnknownWaypoint,
    #[error("{of} is behind the waypoint {waypoint}: {why}")]
    Waypoint { of: String, waypoint: Gateway, why: Box<Self> },
}

/// How many endpoints were not chosen from, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outs(BTreeMap<Out, usize>);

impl NoRoute {
    /// How the connection ends for it.
    #[must_use]
    pub fn reason(&self) -> CloseReason {
        match self {
            Self::NoEndpoint { .. } => CloseReason::NoEndpoint,
            Self::Failed(_) => CloseReason::UpstreamUnreachable,
            Self::OwnPort(_)
            | Self::Unknown(_)
            | Self::Closed(_)
            | Self::Portless(..)
            | Self::OtherNetwork(_)
            | Self::UnknownWaypoint => CloseReason::NoRoute,
            Self::Waypoint { why, .. } => why.reason(),
        }
    }

    /// Of a service of which no endpoint can be chosen.
    pub(super) fn endless(choice: &Choice<'_>) -> Self {
        let mut outs = BTreeMap::new();
        for (_, fit) in choice.judged() {
            if let Err(out) = fit {
                *outs.entry(out).or_default() += 1;
            }
        }
        // When all that is wrong is the network, that is what has to be said.
        if let (Some(Out::Elsewhere(network)), 1) = (outs.keys().next(), outs.len()) {
            return Self::OtherNetwork(Arc::clone(network));
        }
        let service = choice.bound.service.host.clone();
        Self::NoEndpoint { service, port: choice.port, outs: Outs(outs) }
    }

    pub(super) fn of_waypoint(self, waypoint: &Gateway, of: String) -> Self {
        Self::Waypoint { of, waypoint: waypoint.clone(), why: Box::new(self) }
    }
}

impl fmt::Display for Outs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (out, count)) in self.0.iter().enumerate() {
            let before = if at == 0 { ": " } else { ", " };
            write!(f, "{before}{count} {out}")?;
        }
        Ok(())
    }
}
