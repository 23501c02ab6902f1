//! What is known of one connection.
use crate::workload::Workload;
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
}

impl ConnFacts {
    /// The workload on whose behalf the proxy acts.
    pub fn own_workload(&self) -> Option<&Arc<Workload>> {
        match self.direction {
            Direction::Inbound => self.destination_workload.as_ref(),
            Direction::Outbound => self.source_workload.as_ref(),
        }
    }
}
