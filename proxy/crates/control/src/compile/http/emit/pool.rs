//! Connections to endpoints: how many, how long, which HTTP, and who is left out.
use super::{
    super::plan::traffic::{Keepalive, Outlier, RetryBudget, Tls, TrafficPolicy, Version},
    words::{any, duration, number, some_time},
};
use culvert_model::service::AppProtocol;
use culvert_proto::api::{
    envoy::{
        config::{
            cluster::v3::{
                CircuitBreakers, OutlierDetection, UpstreamConnectionOptions,
                circuit_breakers::{Thresholds, thresholds},
            },
            core::v3::{
                Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as Common,
                KeepaliveSettings, TcpKeepalive, UpstreamHttpProtocolOptions,
            },
        },
        extensions::upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{
                ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
                explicit_http_config::ProtocolConfig,
            },
        },
        r#type::v3::Percent,
    },
    google::protobuf::{Any, UInt32Value},
};
use std::{collections::HashMap, time::Duration};

/// Under which name they are given.
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// HTTP/2's largest number of streams.
const MOST_STREAMS: u32 = i32::MAX as u32;

/// Without limits, unless they are given: as Istio has it.
pub(super) fn breakers(policy: &TrafficPolicy) -> CircuitBreakers {
    let pool = &policy.pool;
    let budget = |of: RetryBudget| thresholds::RetryBudget {
        budget_percent: of
            .share
            .map(|share| Percent { value: f64::from(share.parts_of_a_million()) / 10_000.0 }),
        min_retry_concurrency: of.least.map(number),
        ..thresholds::RetryBudget::default()
    };
    let limit = |given: Option<u32>| Some(number(given.unwrap_or(u32::MAX)));
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: limit(pool.max_connections),
            max_pending_requests: limit(pool.max_pending),
            max_requests: limit(pool.max_requests),
            max_retries: limit(pool.max_retries),
            retry_budget: policy.retry_budget.map(budget),
            track_remaining: true,
            ..Thresholds::default()
        }],
        per_host_thresholds: Vec::new(),
    }
}

pub(super) fn outlier(of: &Outlier) -> OutlierDetection {
    // A count of zero turns a way of counting off.
    let count = |of: Option<u32>| of.filter(|count| *count > 0).map(number);
    let enforced = |of: Option<u32>, unless: Option<u32>| -> Option<UInt32Value> {
        of.map_or(unless, |count| Some(if count > 0 { 100 } else { 0 })).map(number)
    };
    OutlierDetection {
        consecutive_5xx: count(of.consecutive_5xx),
        enforcing_consecutive_5xx: enforced(of.consecutive_5xx, None),
        consecutive_gateway_failure: count(of.consecutive_gateway),
        enforcing_consecutive_gateway_failure: enforced(of.consecutive_gateway, Some(0)),
        split_external_local_origin_errors: of.split_local,
        consecutive_local_origin_failure: count(of.consecutive_local),
        enforcing_consecutive_local_origin_failure: enforced(of.consecutive_local, None),
        enforcing_success_rate: Some(number(0)),
        enforcing_local_origin_success_rate: Some(number(0)),
        interval: of.interval.map(some_time),
        base_ejection_time: of.base_ejection.map(some_time),
        max_ejection_percent: of.max_percent.map(|percent| number(percent.min(100))),
        ..OutlierDetection::default()
    }
}

pub(super) fn keepalive(of: Keepalive) -> UpstreamConnectionOptions {
    let seconds = |time: Option<Duration>| {
        time.map(|time| number(u32::try_from(time.as_secs().max(1)).unwrap_or(u32::MAX)))
    };
    UpstreamConnectionOptions {
        tcp_keepalive: Some(TcpKeepalive {
            keepalive_probes: of.probes.map(number),
            keepalive_time: seconds(of.time),
            keepalive_interval: seconds(of.interval),
        }),
        ..UpstreamConnectionOptions::default()
    }
}

/// Which HTTP is spoken, and for how long.
pub(super) fn options(policy: &TrafficPolicy, protocol: AppProtocol) -> HashMap<String, Any> {
    let pool = &policy.pool;
    let http1 = Http1ProtocolOptions::default;
    let http2 = || Http2ProtocolOptions {
        max_concurrent_streams: (pool.max_streams).map(|most| number(most.clamp(1, MOST_STREAMS))),
        connection_keepalive: pool.pings.map(|(interval, timeout)| KeepaliveSettings {
            interval: Some(some_time(interval)),
            timeout: Some(some_time(timeout)),
            ..KeepaliveSettings::default()
        }),
        ..Http2ProtocolOptions::default()
    };
    let explicit = |config| {
        UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(config),
        })
    };
    let as_client = || {
        UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
            http_protocol_options: Some(http1()),
            http2_protocol_options: Some(http2()),
            ..UseDownstreamHttpConfig::default()
        })
    };
    let chosen = match (pool.version, protocol) {
        (Version::AsDeclared, AppProtocol::Tcp | AppProtocol::Tls) => return HashMap::new(),
        (Version::AsClient, _) | (Version::AsDeclared, AppProtocol::Unknown) => as_client(),
        (Version::Http2, _) | (Version::AsDeclared, AppProtocol::Http2 | AppProtocol::Grpc) => {
            explicit(ProtocolConfig::Http2ProtocolOptions(http2()))
        }
        (Version::Http1, _) | (Version::AsDeclared, AppProtocol::Http1) => {
            explicit(ProtocolConfig::HttpProtocolOptions(http1()))
        }
    };
    let common = Common {
        idle_timeout: pool.http_idle.map(duration),
        max_connection_duration: pool.max_connection_duration.map(some_time),
        max_requests_per_connection: (pool.max_requests_per_connection)
            .filter(|most| *most > 0)
            .map(number),
        ..Common::default()
    };
    let options = HttpProtocolOptions {
        common_http_protocol_options: (common != Common::default()).then_some(common),
        upstream_http_protocol_options: follow_host(policy).then(|| UpstreamHttpProtocolOptions {
            auto_sni: true,
            auto_san_validation: is_verified_by_host(policy),
            ..UpstreamHttpProtocolOptions::default()
        }),
        upstream_protocol_options: Some(chosen),
        ..HttpProtocolOptions::default()
    };
    [(OPTIONS.to_owned(), any(&options))].into()
}

/// Whether the name that TLS asks for is the request's host.
fn follow_host(policy: &TrafficPolicy) -> bool {
    matches!(&policy.tls, Tls::Originate(tls) if tls.sni.is_none())
}

fn is_verified_by_host(policy: &TrafficPolicy) -> bool {
    matches!(&policy.tls, Tls::Originate(tls) if !tls.insecure && tls.names.is_empty())
}
