//! `retry_on`, of configurations and of `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
use std::fmt;

/// A set of [`Condition`]s.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Conditions(u32);

/// One kind of failure that is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `5xx`: any status of 500 and above, no answer at all.
    ServerError,
    /// `gateway-error`: 502, 503, 504, no answer at all.
    GatewayError,
    ConnectFailure,
    /// `retriable-4xx`: 409.
    Retriable4xx,
    /// An HTTP/2 stream that was refused.
    RefusedStream,
    /// `retriable-status-codes`: those that the policy lists.
    StatusCodes,
    /// A connection that ended before the answer.
    Reset,
    /// The same, when nothing of the request was sent.
    ResetBeforeRequest,
    /// `retriable-headers`: answers with headers that the policy lists.
    Headers,
    /// `envoy-ratelimited`: answers with `x-envoy-ratelimited`.
    EnvoyRateLimited,
    /// `http3-post-connect-failure`: known, and without meaning where there is no HTTP/3.
    Http3PostConnectFailure,
    GrpcCancelled,
    GrpcDeadlineExceeded,
    GrpcResourceExhausted,
    GrpcUnavailable,
    GrpcInternal,
}

use Condition as C;

/// All of them by name; those of gRPC are read from the other header.
const NAMES: [(&str, Condition, bool); 16] = [
    ("5xx", C::ServerError, false),
    ("gateway-error", C::GatewayError, false),
    ("connect-failure", C::ConnectFailure, false),
    ("retriable-4xx", C::Retriable4xx, false),
    ("refused-stream", C::RefusedStream, false),
    ("retriable-status-codes", C::StatusCodes, false),
    ("reset", C::Reset, false),
    ("reset-before-request", C::ResetBeforeRequest, false),
    ("retriable-headers", C::Headers, false),
    ("envoy-ratelimited", C::EnvoyRateLimited, false),
    ("http3-post-connect-failure", C::Http3PostConnectFailure, false),
    ("cancelled", C::GrpcCancelled, true),
    ("deadline-exceeded", C::GrpcDeadlineExceeded, true),
    ("resource-exhausted", C::GrpcResourceExhausted, true),
    ("unavailable", C::GrpcUnavailable, true),
    ("internal", C::GrpcInternal, true),
];

impl Conditions {
    /// Those of a list with commas, of both kinds; names that are not known are passed over, as
    /// Envoy does.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        Self::read(list, |_grpc| true)
    }

    /// Those of `x-envoy-retry-on`.
    #[must_use]
    pub fn parse_http(list: &str) -> Self {
        Self::read(list, |grpc| !grpc)
    }

    /// Those of `x-envoy-retry-grpc-on`.
    #[must_use]
    pub fn parse_grpc(list: &str) -> Self {
        Self::read(list, |grpc| grpc)
    }

    fn read(list: &str, kind: impl Fn(bool) -> bool) -> Self {
        let mut set = Self::default();
        for name in list.split(',').map(str::trim) {
            for &(known, condition, grpc) in &NAMES {
                if known == name && kind(grpc) {
                    set = set.with(condition);
                }
            }
        }
        set
    }

    #[must_use]
    pub const fn with(self, condition: Condition) -> Self {
        Self(self.0 | 1 << condition as u32)
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn has(self, condition: Condition) -> bool {
        self.0 & 1 << condition as u32 != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// As it would be written.
impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (name, condition, _grpc) in NAMES {
            if self.has(condition) {
                write!(f, "{between}{name}")?;
                between = ",";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conditions({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Conditions};

    #[test]
    fn says_what_it_was_read_from() {
        let all = "5xx,gateway-error,connect-failure,retriable-4xx,refused-stream,\
                   retriable-status-codes,reset,reset-before-request,retriable-headers,\
                   envoy-ratelimited,http3-post-connect-failure,cancelled,deadline-exceeded,\
                   resource-exhausted,unavailable,internal";
        assert_eq!(Conditions::parse(all).to_string(), all);
        assert_eq!(Conditions::parse(" reset , what,5xx").to_string(), "5xx,reset");
    }

    #[test]
    fn each_header_names_its_own_kind() {
        assert!(Conditions::parse_http("cancelled").is_empty());
        assert!(Conditions::parse_grpc("5xx").is_empty());
        assert!(Conditions::parse_grpc("cancelled").has(Condition::GrpcCancelled));
    }
}
