//! What is known of one connection.
use crate::{identity::Identity, path::Path, service::Service, tunnel::Trace, workload::Workload};
use std::{net::SocketAddr, sync::Arc};

/// Seen from the workload whose proxy handles the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    /// As the access log and metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// The two ends of a connection as the applications see them, and who they are.
///
/// Addresses are canonical: never v4-mapped.
#[derive(Clone, Debug)]
pub struct ConnFacts {
    pub direction: Direction,
    pub source: SocketAddr,
    /// Where the application meant to go, before the kernel diverted it.
    pub destination: SocketAddr,
    pub source_workload: Option<Arc<Workload>>,
    pub destination_workload: Option<Arc<Workload>>,
    /// Proven by a handshake or, where both ends are of this node, known; `None` in plain text.
    pub source_identity: Option<Identity>,
    /// As the source's.
    pub destination_identity: Option<Identity>,
    /// The service that was addressed.
    pub service: Option<Arc<Service>>,
    /// The next hop of the tunnel: what was dialled, or what the tunnel came to.
    pub hbone: Option<SocketAddr>,
    pub trace: Option<Trace>,
    pub path: Path,
}

impl ConnFacts {
    /// A plain connection of which only the addresses are known.
    pub fn new(direction: Direction, source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            direction,
            source,
            destination,
            source_workload: None,
            destination_workload: None,
            source_identity: None,
            destination_identity: None,
            service: None,
            hbone: None,
            trace: None,
            path: Path::Plain,
        }
    }

    /// The workload on whose behalf the proxy acts.
    pub fn own_workload(&self) -> Option<&Arc<Workload>> {
        match self.direction {
            Direction::Inbound => self.destination_workload.as_ref(),
            Direction::Outbound => self.source_workload.as_ref(),
        }
    }
}
