//! The way a connection took.

/// How bytes went between the two ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// As the applications wrote them: nothing was encrypted or proven.
    #[default]
    Plain,
    /// Through a tunnel of mutual TLS.
    Tunnel,
    /// From hand to hand in one process, which holds both ends.
    Local,
    /// From socket to socket on one node, past the proxy, which permitted it before.
    Direct,
    /// By the HTTP engine of the namespace, which opens others for what it carries.
    L7,
}

impl Path {
    /// Every path, for metrics and documentation.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Tunnel, Self::Local, Self::Direct, Self::L7];

    /// As the access log and metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tunnel => "tunnel",
            Self::Local => "local",
            Self::Direct => "direct",
            Self::L7 => "l7",
        }
    }

    /// `connection_security_policy` of Istio's metrics.
    ///
    /// `none` and not `unknown`: it is known that no TLS was used.
    /// The same on both sides, for Kiali joins the two reports of a flow by all their labels.
    #[must_use]
    pub const fn security_policy(self) -> &'static str {
        match self {
            Self::Tunnel => "mutual_tls",
            Self::Plain | Self::Local | Self::Direct | Self::L7 => "none",
        }
    }
}
