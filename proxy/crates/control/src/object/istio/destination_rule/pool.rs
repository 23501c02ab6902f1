//! How many connections, and for how long.
use crate::object::istio::time::{AnyTime, Time};
use serde::Deserialize;

/// Connections to one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConnectionPool {
    pub tcp: Option<TcpPool>,
    pub http: Option<HttpPool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpPool {
    pub max_connections: Option<u32>,
    pub connect_timeout: Option<Time>,
    pub tcp_keepalive: Option<Keepalive>,
    pub max_connection_duration: Option<Time>,
    pub idle_timeout: Option<AnyTime>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Keepalive {
    pub probes: Option<u32>,
    pub time: Option<Time>,
    pub interval: Option<Time>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpPool {
    pub http1_max_pending_requests: Option<u32>,
    pub http2_max_requests: Option<u32>,
    pub max_requests_per_connection: Option<u32>,
    pub max_retries: Option<u32>,
    pub idle_timeout: Option<Time>,
    pub h2_upgrade_policy: UpgradePolicy,
    pub use_client_protocol: bool,
    pub max_concurrent_streams: Option<u32>,
    #[serde(rename = "http2KeepAlive")]
    pub http2_keepalive: Option<Http2Keepalive>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Http2Keepalive {
    pub interval: Option<Time>,
    pub timeout: Option<Time>,
}

/// Whether HTTP/2 is spoken where the client speaks HTTP/1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UpgradePolicy {
    #[default]
    Default,
    DoNotUpgrade,
    Upgrade,
}
