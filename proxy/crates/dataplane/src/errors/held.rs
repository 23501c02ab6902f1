//! Why a connection or a tunnel waited in vain, or was not begun.
use crate::{handshakes::Crowded, hbone::server::AcceptError, limits::Refusal};
use culvert_identity::{store::Unavailable, tls::HandshakeError, verify::VerifyError};
use culvert_model::{close::CloseReason, identity::Identity};
use culvert_telemetry::metrics::Handshake;
use std::{net::SocketAddr, time::Duration};

/// What a connection cannot do without did not come in time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HoldError {
    #[error("the control plane did not announce the pod within {0:?}")]
    Unannounced(Duration),
    #[error("the control plane did not say within {0:?} who is in the mesh")]
    Unknown(Duration),
    #[error(transparent)]
    Certificate(#[from] Unavailable),
    #[error("no certificate for {identity} came within {waited:?}")]
    CertificateLate { identity: Identity, waited: Duration },
}

/// Why a tunnel to a pod did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelRefusal {
    #[error("came to the proxy's listener {listener} without having been captured")]
    NotCaptured { listener: SocketAddr },
    #[error(transparent)]
    Crowded(#[from] Crowded),
    #[error(transparent)]
    Held(#[from] HoldError),
    #[error(transparent)]
    Accept(#[from] AcceptError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl HoldError {
    pub(crate) const fn reason(&self) -> CloseReason {
        match self {
            Self::Unannounced(_) | Self::Unknown(_) => CloseReason::NoRoute,
            Self::Certificate(_) | Self::CertificateLate { .. } => CloseReason::IdentityMissing,
        }
    }
}

impl TunnelRefusal {
    pub(crate) fn reason(&self) -> CloseReason {
        match self {
            Self::NotCaptured { .. } => CloseReason::NotCaptured,
            Self::Crowded(_) => CloseReason::PodLimit,
            Self::Held(error) => error.reason(),
            Self::Accept(AcceptError::Handshake(HandshakeError::Peer(VerifyError::Revoked))) => {
                CloseReason::CertRevoked
            }
            Self::Accept(AcceptError::Handshake(_) | AcceptError::Timeout(_)) => {
                CloseReason::TlsFailed
            }
            Self::Accept(AcceptError::Left(_)) => CloseReason::SourceReset,
            Self::Refused(refusal) => refusal.reason(),
        }
    }

    /// How that counts among handshakes.
    pub(crate) fn handshake(&self) -> Handshake {
        match self {
            Self::Accept(AcceptError::Timeout(_)) => Handshake::Timeout,
            Self::Crowded(_) | Self::Refused(_) => Handshake::Crowded,
            Self::Held(_) => Handshake::Identity,
            Self::NotCaptured { .. }
            | Self::Accept(AcceptError::Handshake(_) | AcceptError::Left(_)) => Handshake::Failed,
        }
    }
}
