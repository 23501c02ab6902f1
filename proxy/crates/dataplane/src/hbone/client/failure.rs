//! Why there is no tunnel.
use crate::{
    errors::OpenError,
    hbone::{
        http2::code::Code,
        link::{Link, LinkEnd},
    },
};
use culvert_identity::tls::HandshakeError;
use culvert_model::close::CloseReason;
use http::StatusCode;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// Why there is no tunnel; the same for all who waited for the same link.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum OpenTunnelError {
    #[error("cannot reach the next hop")]
    Connect(#[source] Arc<OpenError>),
    #[error("the tunnel to {next} was not opened")]
    Tls {
        next: SocketAddr,
        #[source]
        source: Arc<HandshakeError>,
    },
    #[error("{next} did not finish the TLS handshake within {waited:?}")]
    HandshakeTimeout { next: SocketAddr, waited: Duration },
    /// The link, or the stream in it, ended before there was an answer.
    #[error("the tunnel to {next} broke before it was open: {why}")]
    Broken { next: SocketAddr, why: String, reason: CloseReason, stale: bool },
    #[error("{next} did not answer within {waited:?}")]
    NoAnswer { next: SocketAddr, waited: Duration },
    #[error("{next} refused the tunnel: {status}, {}", meaning(*.status))]
    Refused { next: SocketAddr, status: StatusCode },
    #[error("{next} lets too few connections into each of its tunnels")]
    Crowded { next: SocketAddr },
    #[error("the request cannot be written")]
    Unwritable,
    #[error("no tunnels are opened any more")]
    Draining,
}

impl OpenTunnelError {
    /// Total on purpose: a new variant does not compile until it has a reason.
    pub(crate) fn reason(&self) -> CloseReason {
        match self {
            Self::Connect(error) => error.reason(),
            Self::Tls { source, .. } if source.is_revoked() => CloseReason::CertRevoked,
            Self::Tls { .. } | Self::HandshakeTimeout { .. } => CloseReason::TlsFailed,
            Self::Broken { reason, .. } => *reason,
            Self::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED => CloseReason::PeerDenied,
                StatusCode::SERVICE_UNAVAILABLE => CloseReason::PeerUnavailable,
                _ => CloseReason::TunnelFailed,
            },
            Self::NoAnswer { .. } | Self::Crowded { .. } => CloseReason::TunnelFailed,
            Self::Unwritable => CloseReason::Internal,
            Self::Draining => CloseReason::Drained,
        }
    }

    /// Whether the application was not reached, so that another endpoint may be tried.
    pub(crate) fn is_connect(&self) -> bool {
        match self {
            Self::Connect(error) => !matches!(**error, OpenError::NoDescriptors { .. }),
            Self::HandshakeTimeout { .. } | Self::NoAnswer { .. } | Self::Crowded { .. } => true,
            Self::Refused { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
            Self::Tls { .. } | Self::Broken { .. } | Self::Unwritable | Self::Draining => false,
        }
    }

    pub(in crate::hbone) fn silent(next: SocketAddr) -> Self {
        Self::ended(next, &LinkEnd::Silent)
    }

    pub(in crate::hbone) fn forgotten(next: SocketAddr) -> Self {
        Self::ended(next, &LinkEnd::Forgotten)
    }

    pub(in crate::hbone) fn revoked(next: SocketAddr) -> Self {
        Self::ended(next, &LinkEnd::Revoked)
    }

    pub(super) fn ended(next: SocketAddr, end: &LinkEnd) -> Self {
        Self::Broken { next, why: end.to_string(), reason: end.reason(), stale: true }
    }

    /// Whether it is the link's fault, and a new one may do better.
    pub(in crate::hbone) fn is_stale(&self) -> bool {
        matches!(self, Self::Broken { stale: true, .. })
    }
}

/// What the end of a link means to who waits for an answer.
pub(super) fn broken(next: SocketAddr, link: &Link) -> OpenTunnelError {
    let end = link.end().unwrap_or(&LinkEnd::Closed);
    // TLS 1.3 lets a client finish before the server has judged it: that comes with the first read.
    if let LinkEnd::Io(error) = end
        && let Some(error) = HandshakeError::within(error)
    {
        return OpenTunnelError::Tls { next, source: Arc::new(error) };
    }
    OpenTunnelError::Broken { next, why: end.to_string(), reason: end.reason(), stale: true }
}

pub(super) fn reset(code: Code) -> String {
    format!("the far end ended the stream: {code}")
}

/// For people; the codes are the protocol's.
fn meaning(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "it did not understand the request",
        StatusCode::UNAUTHORIZED => "its policy denies the connection",
        StatusCode::SERVICE_UNAVAILABLE => "it cannot reach the application",
        _ => "which means nothing here",
    }
}
