//! What tests of clusters share.
use culvert_model::http::health::{HealthCheck, HealthCheckKind, TcpCheck};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// A check that connects.
pub(super) fn check() -> HealthCheck {
    let second = Duration::from_secs(1);
    HealthCheck {
        timeout: second,
        interval: second,
        initial_jitter: Duration::ZERO,
        interval_jitter: Duration::ZERO,
        interval_jitter_percent: 0,
        unhealthy_threshold: NonZeroU32::MIN,
        healthy_threshold: NonZeroU32::MIN,
        no_traffic_interval: second,
        no_traffic_healthy_interval: second,
        unhealthy_interval: second,
        unhealthy_edge_interval: second,
        healthy_edge_interval: second,
        reuse_connection: true,
        alt_port: None,
        always_log_failures: false,
        alpn: Arc::default(),
        kind: HealthCheckKind::Tcp(TcpCheck::default()),
    }
}
