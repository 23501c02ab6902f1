//! In whose name an HTTP engine opens connections.
use crate::name::WorkloadUid;
use std::net::IpAddr;

/// Whom a connection belongs to that was handed to an engine. What it opens for it, it opens as
/// this; connections of equal parties look the same from the far end, and may be shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The pod that made it: the way on is the pod's own.
    Source(WorkloadUid),
    /// The pod it came to: the application there sees the client's address.
    Destination { pod: WorkloadUid, client: IpAddr },
}

impl Party {
    /// The pod of this node.
    pub const fn pod(&self) -> &WorkloadUid {
        match self {
            Self::Source(pod) | Self::Destination { pod, .. } => pod,
        }
    }
}
