//! How a message can end that was not answered by whoever it was for: Envoy's words for it.
//!
//! A [`Flag`] is what an access log's `%RESPONSE_FLAGS%` shows, details are its
//! `%RESPONSE_CODE_DETAILS%`; both are looked for by people who know Envoy, and by their dashboards.
use http::StatusCode;
use std::borrow::Cow;

pub use culvert_policy::http::flags::{Flag, Flags};

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

impl Refusal {
    pub(crate) const fn new(status: StatusCode, details: &'static str) -> Self {
        Self { status, details }
    }

    pub(crate) const fn bad(details: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, details)
    }
}
