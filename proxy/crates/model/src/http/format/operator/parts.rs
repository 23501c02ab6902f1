//! What operators are made of.
use std::sync::Arc;

/// Which headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers {
    Request,
    Response,
    Trailers,
}

/// Which path `PATH` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathChoice {
    /// What it was before it was rewritten, if it was.
    #[default]
    OriginalOrPath,
    Original,
    Path,
}

/// How `QUERY_PARAMS` is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryForm {
    #[default]
    Original,
    Decoded,
}

/// What is said of each try, by commas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempted {
    Hosts,
    HostsWithoutPort,
    Names,
    NamesWithoutPort,
    ConnectionIds,
}

/// What is said of a connection's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// `…_DETECTED_CLOSE_TYPE`: `Normal`, `RemoteReset`, `LocalReset`.
    Detected,
    /// `…_LOCAL_CLOSE_REASON`.
    LocalReason,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// `BYTES_RECEIVED`: bodies.
    Received,
    /// `BYTES_SENT`: bodies.
    Sent,
    Retransmitted,
    PacketsRetransmitted,
    UpstreamWireSent,
    UpstreamWireReceived,
    UpstreamHeadersSent,
    UpstreamHeadersReceived,
    UpstreamDecompressedHeadersSent,
    UpstreamDecompressedHeadersReceived,
    DownstreamWireSent,
    DownstreamWireReceived,
    DownstreamHeadersSent,
    DownstreamHeadersReceived,
    DownstreamDecompressedHeadersSent,
    DownstreamDecompressedHeadersReceived,
}

/// From when to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// `DURATION`: to the end, or to now.
    Whole,
    /// `REQUEST_DURATION`: to the request's last byte.
    Request,
    /// `REQUEST_TX_DURATION`: to its last byte upstream.
    RequestSent,
    /// `RESPONSE_DURATION`: to the response's first byte from upstream.
    Response,
    /// `RESPONSE_TX_DURATION`: from there to its last byte downstream.
    ResponseSent,
    /// `DOWNSTREAM_HANDSHAKE_DURATION`.
    Handshake,
    /// `ROUNDTRIP_DURATION`: of HTTP/3 only.
    RoundTrip,
    /// `UPSTREAM_CONNECTION_POOL_READY_DURATION`.
    PoolReady,
    /// `COMMON_DURATION`.
    Between { from: Moment, to: Moment, precision: Precision },
}

/// A moment in a request's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    DownstreamReceiveBegin,
    DownstreamReceiveEnd,
    UpstreamConnectBegin,
    UpstreamConnectEnd,
    UpstreamHandshakeEnd,
    UpstreamSendBegin,
    UpstreamSendEnd,
    UpstreamReceiveBegin,
    UpstreamReceiveBodyBegin,
    UpstreamReceiveEnd,
    DownstreamSendBegin,
    DownstreamSendEnd,
    /// One that a filter set.
    Named(Arc<str>),
}

/// In what durations are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// Which time is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    Start,
    StartLocal,
    Emit,
    EmitLocal,
    /// `…_PEER_CERT_V_START`.
    CertificateStart {
        upstream: bool,
    },
    /// `…_PEER_CERT_V_END`.
    CertificateEnd {
        upstream: bool,
    },
}

/// How a time is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TimeForm {
    /// `2016-04-15T20:17:00.310Z`.
    #[default]
    Default,
    /// The letters of `strftime`; `%s` is seconds of the epoch, `%3f` three places of a second's
    /// fraction (nine without a number), `%E3S` seconds with them.
    Strftime(Arc<str>),
}

/// Which end of which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    UpstreamRemote,
    UpstreamLocal,
    /// `x-forwarded-for` and the PROXY protocol believed.
    DownstreamRemote,
    DownstreamDirectRemote,
    /// Where the connection was meant to go.
    DownstreamLocal,
    DownstreamDirectLocal,
}

/// What of an address is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPart {
    Whole,
    WithoutPort,
    /// The network of so many bits; a length beyond the address is nothing.
    Masked(u8),
    Port,
    /// `…_ADDRESS_ENDPOINT_ID`, of internal addresses.
    EndpointId,
}

/// How `GRPC_STATUS` is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrpcForm {
    /// `NotFound`.
    #[default]
    Camel,
    /// `NOT_FOUND`.
    Snake,
    Number,
}

/// Whose metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataOf {
    /// The request's, from filters.
    Dynamic,
    Cluster,
    /// The endpoint's.
    Upstream,
    Route,
    VirtualHost,
    Listener,
    FilterChain,
}

/// How a filter state is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FilterStateForm {
    Plain,
    #[default]
    Typed,
    Field(Arc<str>),
}

/// What of the TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPart {
    Version,
    Cipher,
    SessionId,
    /// Of the key exchange.
    Group,
    Ja3,
    Ja4,
}

/// Whose certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificates {
    Local,
    Peer,
    /// `…_PEER_CHAIN_…`: every certificate that the peer sent.
    PeerChain,
}

/// What of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificatePart {
    UriSan,
    DnsSan,
    IpSan,
    EmailSan,
    OtherNameSan,
    Subject,
    Issuer,
    Serial,
    FingerprintSha1,
    FingerprintSha256,
    /// As a header can carry it: PEM, with per cent escapes.
    Pem,
}
