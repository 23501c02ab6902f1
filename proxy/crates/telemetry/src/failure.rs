//! Which ends of a connection are failures.
use culvert_model::close::CloseReason;

/// Whether something went wrong that is not the source's own doing or the operator's.
///
/// Decides `istio_tcp_connections_failed_total` and the level of the access line.
#[must_use]
pub(crate) const fn is_failure(reason: CloseReason) -> bool {
    match reason {
        CloseReason::DestinationReset
        | CloseReason::UpstreamRefused
        | CloseReason::UpstreamTimeout
        | CloseReason::UpstreamUnreachable
        | CloseReason::PodLimit
        | CloseReason::NoDescriptors
        | CloseReason::NotCaptured
        | CloseReason::PolicyDenied
        | CloseReason::PolicyRevoked
        | CloseReason::NoEndpoint
        | CloseReason::NoRoute
        | CloseReason::NoL7
        | CloseReason::IdentityMissing
        | CloseReason::TlsFailed
        | CloseReason::CertRevoked
        | CloseReason::TunnelFailed
        | CloseReason::PeerDenied
        | CloseReason::PeerUnavailable
        | CloseReason::Internal => true,
        CloseReason::Done
        | CloseReason::SourceReset
        | CloseReason::IdleTimeout
        | CloseReason::PodGone
        | CloseReason::Drained => false,
    }
}
