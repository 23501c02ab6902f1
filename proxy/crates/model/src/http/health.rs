//! How endpoints are checked.
use super::{matcher::StringMatch, mutation::HeaderMutations};
use std::{num::NonZeroU32, ops::Range, sync::Arc, time::Duration};

/// One way to check the endpoints of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    pub timeout: Duration,
    pub interval: Duration,
    /// At most so much is waited before the first check.
    pub initial_jitter: Duration,
    pub interval_jitter: Duration,
    /// Of the interval.
    pub interval_jitter_percent: u32,
    pub unhealthy_threshold: NonZeroU32,
    pub healthy_threshold: NonZeroU32,
    /// For clusters that have not had traffic. Envoy: 60 s.
    pub no_traffic_interval: Duration,
    /// The same for endpoints that are healthy already; Envoy: as `no_traffic_interval`.
    pub no_traffic_healthy_interval: Duration,
    /// For endpoints that fail; Envoy: the interval.
    pub unhealthy_interval: Duration,
    /// After the first failure; Envoy: `unhealthy_interval`.
    pub unhealthy_edge_interval: Duration,
    /// After the first success; Envoy: the interval.
    pub healthy_edge_interval: Duration,
    /// Envoy: true.
    pub reuse_connection: bool,
    /// Another port than the endpoint's.
    pub alt_port: Option<u16>,
    pub always_log_failures: bool,
    /// ALPN offered to endpoints with TLS.
    pub alpn: Arc<[Arc<str>]>,
    pub kind: HealthCheckKind,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum HealthCheckKind {
    Http(HttpCheck),
    Tcp(TcpCheck),
    Grpc(GrpcCheck),
}

#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {
    /// Empty: the endpoint's hostname, else the cluster's name.
    pub host: Arc<str>,
    pub path: Arc<str>,
    pub method: http::Method,
    pub headers: HeaderMutations,
    /// Statuses that mean healthy. Envoy: 200 only.
    pub expected: Arc<[Range<u16>]>,
    /// Statuses that count towards the threshold instead of failing at once.
    pub retriable: Arc<[Range<u16>]>,
    pub http2: bool,
    /// What `x-envoy-upstream-healthchecked-cluster` must match.
    pub service: Option<StringMatch>,
    /// Parts of the body that must be there, in this order.
    pub receive: Arc<[Arc<[u8]>]>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TcpCheck {
    /// Empty: connecting is enough.
    pub send: Arc<[u8]>,
    /// Each must come, in this order, with anything between.
    pub receive: Arc<[Arc<[u8]>]>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct GrpcCheck {
    pub service: Arc<str>,
    /// Empty: the endpoint's hostname, else the cluster's name.
    pub authority: Arc<str>,
    pub metadata: HeaderMutations,
}
