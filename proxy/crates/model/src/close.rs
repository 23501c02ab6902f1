//! How a connection ended.

/// The closed set of reasons, shared by access log, metrics and status.
///
/// The names are public: dashboards match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseReason {
    /// Both sides finished.
    Done,
    /// The source reset it.
    SourceReset,
    /// The destination reset it.
    DestinationReset,
    /// The destination refused it (RST to the SYN).
    UpstreamRefused,
    /// The destination did not answer in time.
    UpstreamTimeout,
    /// No route, no port left, or another failure to connect.
    UpstreamUnreachable,
    /// The pod has as many connections as it may.
    PodLimit,
    /// The process has no descriptor left for it.
    NoDescriptors,
    /// Came to the proxy's listener without having been captured.
    NotCaptured,
    /// Policy did not let it pass.
    PolicyDenied,
    /// Policy let it pass once and does so no longer.
    PolicyRevoked,
    /// The service has no endpoint that may be chosen.
    NoEndpoint,
    /// There is no way there that may be taken: an unknown destination, another network, a waypoint
    /// that is not known, or a port of the proxy's own.
    NoRoute,
    /// It must pass L7, and nobody has said in time what L7 is to do with it.
    NoL7,
    /// There is no certificate to prove with who we are.
    IdentityMissing,
    /// The other side of a tunnel did not prove who it is, or did not believe us.
    TlsFailed,
    /// A certificate of the other side was revoked.
    CertRevoked,
    /// The tunnel broke, or the other side's answer is none that means anything else here.
    TunnelFailed,
    /// The other side's policy did not let it pass.
    PeerDenied,
    /// The other side could not reach the application.
    PeerUnavailable,
    /// Neither side sent anything for the idle timeout.
    IdleTimeout,
    /// The pod left the mesh or vanished.
    PodGone,
    /// The drain's deadline passed.
    Drained,
    /// The proxy's own fault.
    Internal,
}

impl CloseReason {
    /// Every reason, for metrics and documentation.
    pub const ALL: [Self; 24] = [
        Self::Done,
        Self::SourceReset,
        Self::DestinationReset,
        Self::UpstreamRefused,
        Self::UpstreamTimeout,
        Self::UpstreamUnreachable,
        Self::PodLimit,
        Self::NoDescriptors,
        Self::NotCaptured,
        Self::PolicyDenied,
        Self::PolicyRevoked,
        Self::NoEndpoint,
        Self::NoRoute,
        Self::NoL7,
        Self::IdentityMissing,
        Self::TlsFailed,
        Self::CertRevoked,
        Self::TunnelFailed,
        Self::PeerDenied,
        Self::PeerUnavailable,
        Self::IdleTimeout,
        Self::PodGone,
        Self::Drained,
        Self::Internal,
    ];

    /// As the access log and metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::SourceReset => "source_reset",
            Self::DestinationReset => "destination_reset",
            Self::UpstreamRefused => "upstream_refused",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::PodLimit => "pod_limit",
            Self::NoDescriptors => "no_descriptors",
            Self::NotCaptured => "not_captured",
            Self::PolicyDenied => "policy_denied",
            Self::PolicyRevoked => "policy_revoked",
            Self::NoEndpoint => "no_endpoint",
            Self::NoRoute => "no_route",
            Self::NoL7 => "no_l7",
            Self::IdentityMissing => "identity_missing",
            Self::TlsFailed => "tls_failed",
            Self::CertRevoked => "cert_revoked",
            Self::TunnelFailed => "tunnel_failed",
            Self::PeerDenied => "peer_denied",
            Self::PeerUnavailable => "peer_unavailable",
            Self::IdleTimeout => "idle_timeout",
            Self::PodGone => "pod_gone",
            Self::Drained => "drained",
            Self::Internal => "internal",
        }
    }

    /// `response_flags` of Istio's TCP metrics (ztunnel's and Envoy's letters).
    #[must_use]
    pub const fn response_flags(self) -> &'static str {
        match self {
            Self::Done | Self::SourceReset | Self::IdleTimeout | Self::PodGone | Self::Drained => {
                "-"
            }
            Self::DestinationReset => "UC",
            Self::UpstreamRefused
            | Self::UpstreamTimeout
            | Self::UpstreamUnreachable
            | Self::NoEndpoint
            | Self::PeerUnavailable => "CONNECT",
            Self::PodLimit | Self::NoDescriptors => "UO",
            Self::NotCaptured
            | Self::PolicyDenied
            | Self::PolicyRevoked
            | Self::NoRoute
            | Self::NoL7
            | Self::PeerDenied => "DENY",
            Self::IdentityMissing => "IDENTITY_ERROR",
            Self::TlsFailed => "TLS_FAILURE",
            Self::CertRevoked => "CERT_REVOKED",
            Self::TunnelFailed => "H2_HANDSHAKE_FAILURE",
            Self::Internal => "-",
        }
    }

    /// Whether the connection never came about.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        match self {
            Self::UpstreamRefused
            | Self::UpstreamTimeout
            | Self::UpstreamUnreachable
            | Self::PodLimit
            | Self::NoDescriptors
            | Self::NotCaptured
            | Self::PolicyDenied
            | Self::NoEndpoint
            | Self::NoRoute
            | Self::NoL7
            | Self::IdentityMissing
            | Self::TlsFailed
            | Self::TunnelFailed
            | Self::PeerDenied
            | Self::PeerUnavailable => true,
            Self::Done
            | Self::SourceReset
            | Self::DestinationReset
            | Self::IdleTimeout
            | Self::PodGone
            | Self::Drained
            | Self::PolicyRevoked
            | Self::CertRevoked
            | Self::Internal => false,
        }
    }
}
