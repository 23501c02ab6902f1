//! What can stand between two per cent signs.
use std::sync::Arc;

use crate::http::field::Field;

mod parts;

pub use parts::{
    Address, AddressPart, Amount, Attempted, CertificatePart, Certificates, Clock, Close,
    FilterStateForm, GrpcForm, Headers, MetadataOf, Moment, PathChoice, Precision, QueryForm, Span,
    TimeForm, TlsPart,
};

/// An operator; the parser knows its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The first header of that name, else of the alternative.
    Header {
        of: Headers,
        name: Field,
        alternative: Option<Field>,
    },
    /// The same of a request, without what follows a question mark.
    HeaderWithoutQuery {
        name: Field,
        alternative: Option<Field>,
    },
    /// `PATH`: which path, with or without its query.
    Path {
        choice: PathChoice,
        query: bool,
    },
    QueryParameter(Arc<str>),
    /// `QUERY_PARAMS`.
    Query(QueryForm),
    HeaderBytes(Headers),
    /// How much passed.
    Bytes(Amount),
    Protocol,
    UpstreamProtocol,
    ResponseCode,
    /// Spaces are underscores, unless told otherwise.
    ResponseCodeDetails {
        spaces: bool,
    },
    ConnectionTerminationDetails,
    ResponseFlags,
    ResponseFlagsLong,
    GrpcStatus(GrpcForm),
    Duration(Span),
    Time(Clock, TimeForm),
    Address(Address, AddressPart),
    UpstreamHost,
    UpstreamHostName {
        port: bool,
    },
    /// `UPSTREAM_CLUSTER` (its name for statistics, if it has one), `UPSTREAM_CLUSTER_RAW`.
    UpstreamCluster {
        raw: bool,
    },
    UpstreamAttempts,
    /// `UPSTREAM_HOSTS_ATTEMPTED` and its kin.
    UpstreamAttempted(Attempted),
    /// How a connection was closed.
    Closed {
        upstream: bool,
        how: Close,
    },
    UpstreamFailure,
    DownstreamFailure,
    ConnectionId,
    UpstreamConnectionId,
    StreamId,
    UniqueId,
    TraceId,
    SpanId,
    ServerName,
    /// `UPSTREAM_SERVER_NAME`.
    UpstreamServerName,
    /// What is known of few connections, and of none here: `DOWNSTREAM_CX_RTT` and the like.
    Unknown,
    RouteName,
    VirtualClusterName,
    FilterChainName,
    AccessLogType,
    LocalReplyBody,
    Hostname,
    Environment(Arc<str>),
    CustomFlags,
    /// `DYNAMIC_METADATA`, `METADATA(ROUTE:…)` and so on.
    Metadata {
        of: MetadataOf,
        filter: Arc<str>,
        path: Box<[Arc<str>]>,
    },
    FilterState {
        upstream: bool,
        key: Arc<str>,
        form: FilterStateForm,
    },
    Tls {
        upstream: bool,
        part: TlsPart,
    },
    Certificate {
        upstream: bool,
        whose: Certificates,
        part: CertificatePart,
    },
    /// `COALESCE`: the first that is there.
    Coalesce(Box<[Self]>),
}

impl Operator {
    /// Whether it prints what is known only of the connection to an endpoint.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "few of many")]
    pub fn is_of_upstream_connection(&self) -> bool {
        match self {
            Self::Address(Address::UpstreamLocal, _)
            | Self::Tls { upstream: true, .. }
            | Self::Certificate { upstream: true, .. }
            | Self::Time(
                Clock::CertificateStart { upstream: true }
                | Clock::CertificateEnd { upstream: true },
                _,
            )
            | Self::UpstreamAttempted(Attempted::ConnectionIds)
            | Self::UpstreamConnectionId
            | Self::UpstreamServerName
            | Self::Duration(Span::PoolReady) => true,
            Self::Coalesce(all) => all.iter().any(Self::is_of_upstream_connection),
            _ => false,
        }
    }
}
