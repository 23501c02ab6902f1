//! How a message can end that was not answered by whoever it was for: Envoy's words for it.
//!
//! A [`Flag`] is what an access log's `%RESPONSE_FLAGS%` shows, details are its
//! `%RESPONSE_CODE_DETAILS%`; both are looked for by people who know Envoy, and by their dashboards.
use http::StatusCode;
use std::{borrow::Cow, fmt};

/// What became of a request, beside its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    DownstreamConnectionTermination,
    DownstreamProtocolError,
    DurationTimeout,
    FailedLocalHealthCheck,
    FaultInjected,
    DelayInjected,
    LocalReset,
    NoClusterFound,
    NoHealthyUpstream,
    NoRouteFound,
    OverloadManager,
    RateLimited,
    StreamIdleTimeout,
    UnauthorizedExternalService,
    UpstreamConnectionFailure,
    UpstreamConnectionTermination,
    UpstreamMaxStreamDurationReached,
    UpstreamOverflow,
    UpstreamProtocolError,
    UpstreamRemoteReset,
    UpstreamRequestTimeout,
    UpstreamRetryLimitExceeded,
}

/// The flags of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

/// A message that is no HTTP, or more of it than is allowed: what its sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {details}")]
pub struct Refusal {
    pub status: StatusCode,
    /// Envoy's response code details.
    pub details: &'static str,
}

/// Why a request is answered as it is.
pub type Details = Cow<'static, str>;

/// Why there is no response from upstream, or not all of it: Envoy's reset reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reset {
    /// No connection could be made.
    #[error("remote connection failure")]
    ConnectionFailure,
    /// A connection could not be made in time.
    #[error("connection timeout")]
    ConnectionTimeout,
    /// The connection ended.
    #[error("connection termination")]
    ConnectionTermination,
    /// The request was cut off by its own sender, or by us.
    #[error("local reset")]
    LocalReset,
    /// Upstream reset the stream.
    #[error("remote reset")]
    RemoteReset,
    /// Upstream did not even look at the stream.
    #[error("remote refused stream reset")]
    RefusedStream,
    /// A circuit breaker is open.
    #[error("overflow")]
    Overflow,
    /// Upstream answered with what is no HTTP.
    #[error("protocol error")]
    ProtocolError,
}

/// How a downstream exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The response was written to its end.
    Whole,
    /// The client went away, or reset the stream.
    DownstreamGone,
    /// The response's body failed, and the client was told by a reset.
    BodyFailed,
    /// The client took nothing for too long.
    Stalled,
}

/// What a codec knows of an exchange when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    pub ended: Ended,
    /// Bytes of the request's body that were read.
    pub received: u64,
    /// Bytes of the response's body that were written.
    pub sent: u64,
}

impl Reset {
    /// What an access log says of it.
    pub const fn flag(self) -> Flag {
        match self {
            Self::ConnectionFailure | Self::ConnectionTimeout => Flag::UpstreamConnectionFailure,
            Self::ConnectionTermination => Flag::UpstreamConnectionTermination,
            Self::LocalReset => Flag::LocalReset,
            Self::RemoteReset | Self::RefusedStream => Flag::UpstreamRemoteReset,
            Self::Overflow => Flag::UpstreamOverflow,
            Self::ProtocolError => Flag::UpstreamProtocolError,
        }
    }
}

impl Flag {
    pub const ALL: [Self; 22] = [
        Self::DownstreamConnectionTermination,
        Self::DownstreamProtocolError,
        Self::DurationTimeout,
        Self::FailedLocalHealthCheck,
        Self::FaultInjected,
        Self::DelayInjected,
        Self::LocalReset,
        Self::NoClusterFound,
        Self::NoHealthyUpstream,
        Self::NoRouteFound,
        Self::OverloadManager,
        Self::RateLimited,
        Self::StreamIdleTimeout,
        Self::UnauthorizedExternalService,
        Self::UpstreamConnectionFailure,
        Self::UpstreamConnectionTermination,
        Self::UpstreamMaxStreamDurationReached,
        Self::UpstreamOverflow,
        Self::UpstreamProtocolError,
        Self::UpstreamRemoteReset,
        Self::UpstreamRequestTimeout,
        Self::UpstreamRetryLimitExceeded,
    ];

    /// As access logs write it.
    pub const fn short(self) -> &'static str {
        match self {
            Self::DownstreamConnectionTermination => "DC",
            Self::DownstreamProtocolError => "DPE",
            Self::DurationTimeout => "DT",
            Self::FailedLocalHealthCheck => "LH",
            Self::FaultInjected => "FI",
            Self::DelayInjected => "DI",
            Self::LocalReset => "LR",
            Self::NoClusterFound => "NC",
            Self::NoHealthyUpstream => "UH",
            Self::NoRouteFound => "NR",
            Self::OverloadManager => "OM",
            Self::RateLimited => "RL",
            Self::StreamIdleTimeout => "SI",
            Self::UnauthorizedExternalService => "UAEX",
            Self::UpstreamConnectionFailure => "UF",
            Self::UpstreamConnectionTermination => "UC",
            Self::UpstreamMaxStreamDurationReached => "UMSDR",
            Self::UpstreamOverflow => "UO",
            Self::UpstreamProtocolError => "UPE",
            Self::UpstreamRemoteReset => "UR",
            Self::UpstreamRequestTimeout => "UT",
            Self::UpstreamRetryLimitExceeded => "URX",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl Flags {
    pub const fn set(&mut self, flag: Flag) {
        self.0 |= flag.bit();
    }

    #[must_use]
    pub const fn with(mut self, flag: Flag) -> Self {
        self.set(flag);
        self
    }

    pub const fn has(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.has(*flag))
    }
}

impl From<Flag> for Flags {
    fn from(flag: Flag) -> Self {
        Self::default().with(flag)
    }
}

impl fmt::Display for Flags {
    /// As access logs write them: `UF,URX`, or `-`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (i, flag) in self.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "," })?;
            f.write_str(flag.short())?;
        }
        Ok(())
    }
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, details: &'static str) -> Self {
        Self { status, details }
    }

    pub(crate) const fn bad(details: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_written_as_envoy_writes_them() {
        assert_eq!(Flags::default().to_string(), "-");
        let flags =
            Flags::from(Flag::UpstreamRetryLimitExceeded).with(Flag::UpstreamConnectionFailure);
        assert_eq!(flags.to_string(), "UF,URX");
    }

    #[test]
    fn no_two_flags_share_a_bit_or_a_name() {
        let bits: u32 = Flag::ALL.iter().map(|flag| flag.bit()).sum();
        assert_eq!(bits.count_ones() as usize, Flag::ALL.len());
        let names: std::collections::HashSet<_> = Flag::ALL.iter().map(|f| f.short()).collect();
        assert_eq!(names.len(), Flag::ALL.len());
    }
}
