//! How endpoints are checked.
use super::{
    Got, Path, Wrong,
    basic::{duration, each, flag, known, must, number, port, texts},
    mutation::mutations,
    text::string,
};
use culvert_model::http::health::{GrpcCheck, HealthCheck, HealthCheckKind, HttpCheck, TcpCheck};
use culvert_proto::api::envoy::{
    config::core::v3::{
        self as core, RequestMethod,
        health_check::{self as pb, HealthChecker},
    },
    r#type::v3::{CodecClientType, Int64Range},
};
use std::{num::NonZeroU32, ops::Range, sync::Arc, time::Duration};

pub(super) fn decode(value: &core::HealthCheck, path: &Path<'_>) -> Got<HealthCheck> {
    let of = |value: &Option<_>, name: &str| duration(value, &path.field(name));
    let needed = |value: &Option<_>, name: &str| {
        of(value, name)?.ok_or_else(|| Wrong::at(&path.field(name), "not set"))
    };
    let interval = needed(&value.interval, "interval")?;
    let no_traffic =
        of(&value.no_traffic_interval, "no_traffic_interval")?.unwrap_or(Duration::from_secs(60));
    let unhealthy = of(&value.unhealthy_interval, "unhealthy_interval")?.unwrap_or(interval);
    let threshold = |value: &Option<_>, name: &str| {
        let value = number(value).and_then(NonZeroU32::new);
        value.ok_or_else(|| Wrong::at(&path.field(name), "must be more than 0"))
    };
    if value.transport_socket_match_criteria.is_some() {
        let path = path.field("transport_socket_match_criteria");
        return Err(Wrong::at(&path, "is not supported"));
    }
    Ok(HealthCheck {
        timeout: needed(&value.timeout, "timeout")?,
        interval,
        initial_jitter: of(&value.initial_jitter, "initial_jitter")?.unwrap_or_default(),
        interval_jitter: of(&value.interval_jitter, "interval_jitter")?.unwrap_or_default(),
        interval_jitter_percent: value.interval_jitter_percent,
        unhealthy_threshold: threshold(&value.unhealthy_threshold, "unhealthy_threshold")?,
        healthy_threshold: threshold(&value.healthy_threshold, "healthy_threshold")?,
        no_traffic_interval: no_traffic,
        no_traffic_healthy_interval: of(
            &value.no_traffic_healthy_interval,
            "no_traffic_healthy_interval",
        )?
        .unwrap_or(no_traffic),
        unhealthy_interval: unhealthy,
        unhealthy_edge_interval: of(&value.unhealthy_edge_interval, "unhealthy_edge_interval")?
            .unwrap_or(unhealthy),
        healthy_edge_interval: of(&value.healthy_edge_interval, "healthy_edge_interval")?
            .unwrap_or(interval),
        reuse_connection: flag(&value.reuse_connection, true),
        alt_port: match number(&value.alt_port) {
            Some(value) => Some(port(value, &path.field("alt_port"))?),
            None => None,
        },
        always_log_failures: value.always_log_health_check_failures,
        alpn: texts(value.tls_options.as_ref().map_or(&[], |tls| &tls.alpn_protocols)),
        kind: kind(must(&value.health_checker, path)?, path)?,
    })
}

fn kind(value: &HealthChecker, path: &Path<'_>) -> Got<HealthCheckKind> {
    Ok(match value {
        HealthChecker::HttpHealthCheck(value) => {
            HealthCheckKind::Http(http_check(value, &path.field("http_health_check"))?)
        }
        HealthChecker::TcpHealthCheck(value) => {
            let path = path.field("tcp_health_check");
            if value.proxy_protocol_config.is_some() {
                let path = path.field("proxy_protocol_config");
                return Err(Wrong::at(&path, "is not supported"));
            }
            HealthCheckKind::Tcp(TcpCheck {
                send: match &value.send {
                    Some(value) => payload(value, &path.field("send"))?,
                    None => Arc::default(),
                },
                receive: each(&value.receive, &path.field("receive"), payload)?,
            })
        }
        HealthChecker::GrpcHealthCheck(value) => {
            let path = path.field("grpc_health_check");
            HealthCheckKind::Grpc(GrpcCheck {
                service: value.service_name.as_str().into(),
                authority: value.authority.as_str().into(),
                metadata: mutations(
                    (&value.initial_metadata, "initial_metadata"),
                    (&[], "initial_metadata"),
                    &path,
                )?,
            })
        }
        HealthChecker::CustomHealthCheck(value) => {
            let what = format!("no health check {} is known; http, tcp and grpc are", value.name);
            return Err(Wrong::at(&path.field("custom_health_check"), what));
        }
    })
}

fn http_check(value: &pb::HttpHealthCheck, path: &Path<'_>) -> Got<HttpCheck> {
    if value.send.is_some() {
        return Err(Wrong::at(&path.field("send"), "is not supported"));
    }
    let method = match known(value.method, &path.field("method"))? {
        RequestMethod::MethodUnspecified | RequestMethod::Get => http::Method::GET,
        RequestMethod::Head => http::Method::HEAD,
        RequestMethod::Post => http::Method::POST,
        RequestMethod::Put => http::Method::PUT,
        RequestMethod::Delete => http::Method::DELETE,
        RequestMethod::Options => http::Method::OPTIONS,
        RequestMethod::Trace => http::Method::TRACE,
        RequestMethod::Patch => http::Method::PATCH,
        RequestMethod::Connect => {
            return Err(Wrong::at(&path.field("method"), "CONNECT checks nothing"));
        }
    };
    let expected: Arc<[Range<u16>]> =
        each(&value.expected_statuses, &path.field("expected_statuses"), range)?;
    let only_200 = || -> Arc<[Range<u16>]> { Arc::from([Range { start: 200, end: 201 }]) };
    let expected = if expected.is_empty() { only_200() } else { expected };
    Ok(HttpCheck {
        host: value.host.as_str().into(),
        path: value.path.as_str().into(),
        method,
        headers: mutations(
            (&value.request_headers_to_add, "request_headers_to_add"),
            (&value.request_headers_to_remove, "request_headers_to_remove"),
            path,
        )?,
        expected,
        retriable: each(&value.retriable_statuses, &path.field("retriable_statuses"), range)?,
        http2: match known(value.codec_client_type, &path.field("codec_client_type"))? {
            CodecClientType::Http1 => false,
            CodecClientType::Http2 => true,
            CodecClientType::Http3 => {
                return Err(Wrong::at(&path.field("codec_client_type"), "HTTP/3 comes later"));
            }
        },
        service: match &value.service_name_matcher {
            Some(value) => Some(string(value, &path.field("service_name_matcher"))?),
            None => None,
        },
        receive: each(&value.receive, &path.field("receive"), payload)?,
    })
}

fn range(value: &Int64Range, path: &Path<'_>) -> Got<Range<u16>> {
    let bound = |value: i64| u16::try_from(value).ok().filter(|bound| (100..=600).contains(bound));
    match (bound(value.start), bound(value.end)) {
        (Some(start), Some(end)) if start < end => Ok(start..end),
        _ => Err(Wrong::at(path, "want statuses from 100 to 599; end itself is not among them")),
    }
}

/// Text is written in hex.
fn payload(value: &pb::Payload, path: &Path<'_>) -> Got<Arc<[u8]>> {
    match must(&value.payload, path)? {
        pb::payload::Payload::Binary(bytes) => Ok(bytes.as_slice().into()),
        pb::payload::Payload::Text(text) => {
            let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
            let digits = digits.filter(|digits| digits.len() % 2 == 0);
            let digits = digits.ok_or_else(|| Wrong::at(&path.field("text"), "is not hex"))?;
            let bytes = digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]));
            bytes.collect::<Result<_, _>>().map_err(|_large| Wrong::at(path, "is not hex"))
        }
    }
}
