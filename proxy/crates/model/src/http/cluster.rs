//! Clusters: whom requests may go to.
use super::{
    address::{SocketOption, SourceAddress},
    balance::Balance,
    endpoint::Assignment,
    health::HealthCheck,
    outlier::Outlier,
    protocol::{CommonOptions, Http1Options, Http2Options},
    source::ConfigSource,
    tls::UpstreamTransport,
    value::{Metadata, Value},
};
use std::{sync::Arc, time::Duration};

/// One cluster.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as Envoy has them")]
pub struct Cluster {
    pub name: Arc<str>,
    /// What statistics call it; Envoy: the name.
    pub stat_name: Arc<str>,
    pub discovery: Discovery,
    /// Envoy: 5 s.
    pub connect_timeout: Duration,
    /// Bytes in each direction. Envoy: 1 MiB.
    pub buffer_limit: u32,
    pub balance: Balance,
    pub health_checks: Arc<[HealthCheck]>,
    pub outlier: Option<Arc<Outlier>>,
    pub breakers: Breakers,
    pub http: HttpOptions,
    pub transport: UpstreamTransport,
    /// The first whose metadata an endpoint has, counts in place of `transport`.
    pub transport_matches: Arc<[TransportMatch]>,
    pub keepalive: Option<TcpKeepalive>,
    pub source: Arc<[SourceAddress]>,
    pub socket_options: Arc<[SocketOption]>,
    pub metadata: Metadata,
    /// Connections of an endpoint end when checks fail.
    pub close_on_unhealthy: bool,
    /// An endpoint that is gone from discovery is dropped though its checks succeed.
    pub ignore_health_on_removal: bool,
    /// Connections to names end when the addresses behind them change.
    pub close_pools_on_change: bool,
    /// Statistics of timeouts' budgets, of sizes.
    pub track_budgets: bool,
    pub preconnect: Preconnect,
    /// Of `ORIGINAL_DST`: endpoints without traffic are forgotten. Envoy: 5 s.
    pub cleanup_interval: Duration,
}

/// How endpoints are found.
#[derive(Clone, Debug, PartialEq)]
pub enum Discovery {
    /// They are said here.
    Static(Arc<Assignment>),
    Eds {
        /// The name to ask for; Envoy: the cluster's.
        service: Arc<str>,
        source: ConfigSource,
    },
    /// Each address that a name has is an endpoint.
    StrictDns { assignment: Arc<Assignment>, dns: Dns },
    /// A connection goes to the first address that its name has.
    LogicalDns { assignment: Arc<Assignment>, dns: Dns },
    /// Wherever the connection meant to go.
    OriginalDst(OriginalDst),
    /// The first of several clusters that has a healthy endpoint.
    Aggregate(Arc<[Arc<str>]>),
}

/// How names are resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dns {
    /// Envoy: 5 s.
    pub refresh: Duration,
    /// After a failure: the first and the longest; Envoy: as `refresh`.
    pub failure_refresh: Option<(Duration, Duration)>,
    /// The TTL of the answer counts in place of `refresh`.
    pub respect_ttl: bool,
    pub family: DnsFamily,
    pub jitter: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsFamily {
    /// IPv6, and IPv4 where there is none.
    #[default]
    Auto,
    V4Only,
    V6Only,
    V4Preferred,
    All,
}

/// Where an `ORIGINAL_DST` cluster finds the destination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OriginalDst {
    /// A header of the request; Envoy: `x-envoy-original-dst-host`.
    pub header: Option<http::HeaderName>,
    /// In the request's metadata.
    pub metadata: Option<MetadataPath>,
    pub port: Option<u16>,
}

/// A place in metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataPath {
    pub namespace: Arc<str>,
    pub path: Arc<[Arc<str>]>,
}

/// How much a cluster is used at once, by priority.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Breakers {
    pub default: Thresholds,
    pub high: Thresholds,
    /// Connections to one endpoint; `None`: no limit.
    pub max_connections_per_host: Option<u32>,
}

/// For one priority.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Envoy: 1024.
    pub max_connections: u32,
    /// Envoy: 1024.
    pub max_pending: u32,
    /// Envoy: 1024.
    pub max_requests: u32,
    pub retries: RetryLimit,
    /// `None`: no limit.
    pub max_pools: Option<u32>,
    /// Gauges say what remains.
    pub track_remaining: bool,
}

/// How many retries may be on their way at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryLimit {
    /// Envoy: 3.
    Count(u32),
    /// So many percent of active and pending requests, and always some.
    Budget { percent: f64, min: u32 },
}

/// HTTP towards endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpOptions {
    pub version: UpstreamVersion,
    pub http1: Http1Options,
    pub http2: Http2Options,
    pub common: CommonOptions,
    /// Of a response's headers; `None`: as Envoy, 60 KiB.
    pub max_headers_kb: Option<u32>,
    /// The SNI is the request's host.
    pub auto_sni: bool,
    /// The server's certificate must be for that name.
    pub auto_san_validation: bool,
    /// Another header than the host that names the SNI.
    pub sni_header: Option<http::HeaderName>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamVersion {
    #[default]
    Http1,
    Http2,
    /// By ALPN.
    Auto,
    /// The version of the request.
    AsDownstream,
}

/// A transport for endpoints with this metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportMatch {
    pub name: Arc<str>,
    /// All of them, in `envoy.transport_socket_match` of the endpoint or its locality.
    pub wanted: Arc<[(Arc<str>, Value)]>,
    pub transport: UpstreamTransport,
}

/// Probes of idle connections; `None`: as the system has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    pub probes: Option<u32>,
    pub time: Option<Duration>,
    pub interval: Option<Duration>,
}

/// Connections opened before they are needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preconnect {
    /// For each one in use. Envoy: 1.
    pub per_upstream: f64,
    /// Over all endpoints. Envoy: 1.
    pub predictive: f64,
}

impl Cluster {
    /// Envoy's, where nothing is said.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    pub const CLEANUP_INTERVAL: Duration = Duration::from_secs(5);
    pub const BUFFER_LIMIT: u32 = 1 << 20;

    /// One of which no more is said than how its endpoints are found.
    pub fn new(name: Arc<str>, discovery: Discovery) -> Self {
        Self {
            stat_name: Arc::clone(&name),
            name,
            discovery,
            connect_timeout: Self::CONNECT_TIMEOUT,
            buffer_limit: Self::BUFFER_LIMIT,
            balance: Balance::default(),
            health_checks: Arc::default(),
            outlier: None,
            breakers: Breakers::default(),
            http: HttpOptions::default(),
            transport: UpstreamTransport::Plain,
            transport_matches: Arc::default(),
            keepalive: None,
            source: Arc::default(),
            socket_options: Arc::default(),
            metadata: Metadata::default(),
            close_on_unhealthy: false,
            ignore_health_on_removal: false,
            close_pools_on_change: false,
            track_budgets: false,
            preconnect: Preconnect::default(),
            cleanup_interval: Self::CLEANUP_INTERVAL,
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending: 1024,
            max_requests: 1024,
            retries: RetryLimit::Count(3),
            max_pools: None,
            track_remaining: false,
        }
    }
}

impl Default for Preconnect {
    fn default() -> Self {
        Self { per_upstream: 1.0, predictive: 1.0 }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(5),
            failure_refresh: None,
            respect_ttl: false,
            family: DnsFamily::Auto,
            jitter: Duration::ZERO,
        }
    }
}

impl Discovery {
    /// Envoy's name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Static(_) => "STATIC",
            Self::Eds { .. } => "EDS",
            Self::StrictDns { .. } => "STRICT_DNS",
            Self::LogicalDns { .. } => "LOGICAL_DNS",
            Self::OriginalDst(_) => "ORIGINAL_DST",
            Self::Aggregate(_) => "AGGREGATE",
        }
    }
}
