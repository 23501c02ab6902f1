//! Why a connection did not come about, or ended before both sides had finished.
mod held;

pub(crate) use held::{HoldError, TunnelRefusal};

use crate::{
    copy::{Ended, Side},
    cut::Why,
    dns::LookupError,
    hbone::{client::OpenTunnelError, tunnel::TunnelError},
    judge::Denial,
    limits::Refusal,
};
use culvert_kernel::DeliverError;
use culvert_model::{close::CloseReason, tunnel::Authority};
use culvert_policy::NoRoute;
use culvert_runtime::doors::NoPlace;
use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

/// Why a connection that a pod made ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("came to the proxy's listener {listener} without having been captured")]
    NotCaptured { listener: SocketAddr },
    #[error(transparent)]
    NotAdmitted(#[from] Refusal),
    #[error(transparent)]
    Held(#[from] HoldError),
    #[error(transparent)]
    NoRoute(#[from] NoRoute),
    #[error(transparent)]
    NoL7(#[from] NoPlace),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Tunnel(#[from] OpenTunnelError),
    #[error("the destination, a pod of this node, does not take it")]
    Local(#[from] LocalError),
    #[error("the source left while the tunnel was opened")]
    SourceLeft,
}

/// Why a pod of this node does not take what another one sends it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    #[error("policy does not let it pass")]
    Denied(#[source] Denial),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Unavailable(InboundError),
}

/// Why a connection that came to a pod ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboundError {
    #[error("came to the proxy's listener {listener} without having been captured")]
    NotCaptured { listener: SocketAddr },
    #[error(transparent)]
    NotAdmitted(#[from] Refusal),
    #[error("port {0} is one of the proxy's own")]
    OwnPort(u16),
    /// Only the inner one of two tunnels asks by name.
    #[error("{0} was asked for, which is not the pod that was dialled")]
    Elsewhere(Authority),
    #[error("the pod is reached by an application tunnel, which is not supported")]
    AppTunnel,
    #[error(transparent)]
    Held(#[from] HoldError),
    #[error(transparent)]
    NoL7(#[from] NoPlace),
    #[error("denied by policy")]
    Denied(#[source] Denial),
    #[error(transparent)]
    Cut(Arc<Why>),
    /// No port, or no such pair of addresses; a failed call is [`OpenError`].
    #[error(transparent)]
    Deliver(DeliverError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the client took its request back")]
    Abandoned,
}

/// Why the other side of a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{destination} refused the connection")]
    Refused { destination: SocketAddr },
    #[error("{destination} accepted the connection and reset it at once")]
    Reset { destination: SocketAddr },
    #[error("no answer from {destination} within {waited:?}; is something dropping the packets?")]
    Timeout { destination: SocketAddr, waited: Duration },
    #[error("cannot reach {destination}")]
    Unreachable {
        destination: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("no descriptor left for the connection to {destination}")]
    NoDescriptors { destination: SocketAddr },
    #[error("the source left before {destination} answered")]
    SourceLeft { destination: SocketAddr },
}

/// Why copying ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("the source reset the connection")]
    SourceReset,
    #[error("the destination reset the connection")]
    DestinationReset,
    #[error("lost the source")]
    SourceLost(#[source] io::Error),
    #[error("lost the destination")]
    DestinationLost(#[source] io::Error),
    #[error("{0}")]
    Tunnel(io::Error, CloseReason),
    #[error("neither side said anything for {0:?}")]
    Idle(Duration),
}

impl OutboundError {
    /// Total on purpose: a new variant does not compile until it has a reason.
    pub(crate) fn reason(&self) -> CloseReason {
        match self {
            Self::NotCaptured { .. } => CloseReason::NotCaptured,
            Self::NotAdmitted(refusal) => refusal.reason(),
            Self::Held(error) => error.reason(),
            Self::NoRoute(error) => error.reason(),
            Self::NoL7(_) => CloseReason::NoL7,
            Self::Lookup(_) => CloseReason::NoEndpoint,
            Self::Open(error) => error.reason(),
            Self::Tunnel(error) => error.reason(),
            Self::Local(LocalError::Denied(_)) => CloseReason::PeerDenied,
            Self::Local(LocalError::Refused(_) | LocalError::Unavailable(_)) => {
                CloseReason::PeerUnavailable
            }
            Self::SourceLeft => CloseReason::SourceReset,
        }
    }

    /// Whether the application was not reached and has not said a word to anybody, so that another
    /// endpoint may be tried.
    pub(crate) fn is_connect(&self) -> bool {
        match self {
            Self::Open(error) => error.is_connect(),
            Self::Tunnel(error) => {
                error.is_connect() || error.reason() == CloseReason::PeerUnavailable
            }
            Self::Local(LocalError::Unavailable(_) | LocalError::Refused(_)) | Self::Lookup(_) => {
                true
            }
            Self::Local(LocalError::Denied(_))
            | Self::NotCaptured { .. }
            | Self::NotAdmitted(_)
            | Self::Held(_)
            | Self::NoRoute(_)
            | Self::NoL7(_)
            | Self::SourceLeft => false,
        }
    }
}

impl From<InboundError> for LocalError {
    fn from(error: InboundError) -> Self {
        match error {
            InboundError::Denied(denial) => Self::Denied(denial),
            InboundError::NotCaptured { .. }
            | InboundError::NotAdmitted(_)
            | InboundError::OwnPort(_)
            | InboundError::Elsewhere(_)
            | InboundError::AppTunnel
            | InboundError::Held(_)
            | InboundError::NoL7(_)
            | InboundError::Cut(_)
            | InboundError::Deliver(_)
            | InboundError::Open(_)
            | InboundError::Abandoned => Self::Unavailable(error),
        }
    }
}

impl InboundError {
    pub(crate) fn reason(&self) -> CloseReason {
        match self {
            Self::NotCaptured { .. } => CloseReason::NotCaptured,
            Self::NotAdmitted(refusal) => refusal.reason(),
            Self::OwnPort(_) | Self::Elsewhere(_) | Self::AppTunnel => CloseReason::NoRoute,
            Self::Held(error) => error.reason(),
            Self::NoL7(_) => CloseReason::NoL7,
            Self::Denied(_) => CloseReason::PolicyDenied,
            Self::Cut(why) => why.reason(),
            Self::Deliver(_) => CloseReason::UpstreamUnreachable,
            Self::Open(error) => error.reason(),
            Self::Abandoned => CloseReason::SourceReset,
        }
    }
}

impl InboundError {
    /// What a delivery that could not even be begun means.
    pub(crate) fn deliver(error: DeliverError, waited: Duration) -> Self {
        if let DeliverError::Io { destination, source } = error {
            OpenError::new(destination, source, waited).into()
        } else {
            Self::Deliver(error)
        }
    }
}

impl OpenError {
    /// What a failed socket call for a connection to `destination` means.
    pub(crate) fn new(destination: SocketAddr, error: io::Error, waited: Duration) -> Self {
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Self::Refused { destination },
            // It was established: the answer to a SYN is a refusal.
            Some(libc::ECONNRESET) => Self::Reset { destination },
            // The kernel gave up before our own limit.
            Some(libc::ETIMEDOUT) => Self::Timeout { destination, waited },
            Some(libc::EMFILE | libc::ENFILE) => Self::NoDescriptors { destination },
            _ => Self::Unreachable { destination, source: error },
        }
    }

    /// Whether nobody was reached.
    pub(crate) const fn is_connect(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Timeout { .. } | Self::Unreachable { .. } => true,
            Self::Reset { .. } | Self::NoDescriptors { .. } | Self::SourceLeft { .. } => false,
        }
    }

    pub(crate) const fn reason(&self) -> CloseReason {
        match self {
            Self::Refused { .. } => CloseReason::UpstreamRefused,
            Self::Reset { .. } => CloseReason::DestinationReset,
            Self::Timeout { .. } => CloseReason::UpstreamTimeout,
            Self::Unreachable { .. } => CloseReason::UpstreamUnreachable,
            Self::NoDescriptors { .. } => CloseReason::NoDescriptors,
            Self::SourceLeft { .. } => CloseReason::SourceReset,
        }
    }
}

impl CopyError {
    /// What ended a connection early, if something did.
    pub(crate) fn of(ended: Ended) -> Option<Self> {
        match ended {
            Ended::Finished => None,
            Ended::Broken { side, error } => Some(match TunnelError::reason_of(&error) {
                Some(reason) => Self::Tunnel(error, reason),
                None => Self::broken(side, error),
            }),
            Ended::Idle(limit) => Some(Self::Idle(limit)),
        }
    }

    /// A socket of `side` failed with `error`.
    pub(crate) fn broken(side: Side, error: io::Error) -> Self {
        // EPIPE is the reset of a side that had finished before, ENOTCONN one noticed at its end.
        const RESETS: [i32; 3] = [libc::ECONNRESET, libc::EPIPE, libc::ENOTCONN];
        let reset = error.raw_os_error().is_some_and(|errno| RESETS.contains(&errno))
            || error.kind() == io::ErrorKind::ConnectionReset;
        match (side, reset) {
            (Side::Source, true) => Self::SourceReset,
            (Side::Source, false) => Self::SourceLost(error),
            (Side::Destination, true) => Self::DestinationReset,
            (Side::Destination, false) => Self::DestinationLost(error),
        }
    }

    pub(crate) const fn reason(&self) -> CloseReason {
        match self {
            Self::SourceReset | Self::SourceLost(_) => CloseReason::SourceReset,
            Self::DestinationReset | Self::DestinationLost(_) => CloseReason::DestinationReset,
            Self::Tunnel(_, reason) => *reason,
            Self::Idle(_) => CloseReason::IdleTimeout,
        }
    }

    /// The error, when it says more than its reason does.
    pub(crate) fn detail(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::SourceReset | Self::DestinationReset | Self::Idle(_) => None,
            Self::SourceLost(_) | Self::DestinationLost(_) | Self::Tunnel(..) => Some(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_telemetry::chain::Chain;

    #[track_caller]
    fn check(errno: i32, reason: CloseReason, text: &str) {
        let error = OutboundError::from(OpenError::new(
            "10.0.0.2:8080".parse().unwrap(),
            io::Error::from_raw_os_error(errno),
            Duration::from_secs(10),
        ));
        assert_eq!((error.reason(), Chain(&error).to_string()), (reason, text.to_owned()));
    }

    #[test]
    fn an_error_says_what_happened_where() {
        check(
            libc::ECONNREFUSED,
            CloseReason::UpstreamRefused,
            "10.0.0.2:8080 refused the connection",
        );
        check(
            libc::ECONNRESET,
            CloseReason::DestinationReset,
            "10.0.0.2:8080 accepted the connection and reset it at once",
        );
        check(
            libc::ETIMEDOUT,
            CloseReason::UpstreamTimeout,
            "no answer from 10.0.0.2:8080 within 10s; is something dropping the packets?",
        );
        check(
            libc::ENETUNREACH,
            CloseReason::UpstreamUnreachable,
            "cannot reach 10.0.0.2:8080: Network is unreachable (os error 101)",
        );
        check(
            libc::EMFILE,
            CloseReason::NoDescriptors,
            "no descriptor left for the connection to 10.0.0.2:8080",
        );
    }

    #[test]
    fn a_reset_needs_no_explanation_and_a_lost_side_does() {
        let of = |side, errno| CopyError::broken(side, io::Error::from_raw_os_error(errno));
        assert!(of(Side::Source, libc::ECONNRESET).detail().is_none());
        assert!(of(Side::Destination, libc::EPIPE).detail().is_none());
        assert!(of(Side::Source, libc::ENOTCONN).detail().is_none());
        let lost = of(Side::Destination, libc::ETIMEDOUT);
        assert_eq!(lost.reason(), CloseReason::DestinationReset);
        assert_eq!(
            Chain(lost.detail().unwrap()).to_string(),
            "lost the destination: Connection timed out (os error 110)"
        );
    }
}
