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
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::SourceReset,
        Self::DestinationReset,
        Self::UpstreamRefused,
        Self::UpstreamTimeout,
        Self::UpstreamUnreachable,
        Self::PodLimit,
        Self::NoDescriptors,
        Self::NotCaptured,
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
            Self::UpstreamRefused | Self::UpstreamTimeout | Self::UpstreamUnreachable => "CONNECT",
            Self::PodLimit | Self::NoDescriptors => "UO",
            Self::NotCaptured => "DENY",
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
            | Self::NotCaptured => true,
            Self::Done
            | Self::SourceReset
            | Self::DestinationReset
            | Self::IdleTimeout
            | Self::PodGone
            | Self::Drained
            | Self::Internal => false,
        }
    }
}
