//! Options of HTTP/1 and HTTP/2, of both sides.
use super::{
    Got, Path, Wrong,
    basic::{duration, flag, inner, known, limit, must, number, open, refuse, some, unless_zero},
};
use culvert_model::http::protocol::{
    CommonOptions, HeaderFormat, Http1Options, Http2Floods, Http2Keepalive, Http2Options,
    PreserveOthers, Underscores,
};
use culvert_proto::api::envoy::{
    config::core::v3::{
        self as core, http_protocol_options::HeadersWithUnderscoresAction,
        http1_protocol_options::header_key_format::HeaderFormat as Format,
    },
    extensions::http::header_formatters::preserve_case::v3::{
        PreserveCaseFormatterConfig, preserve_case_formatter_config::FormatterTypeOnEnvoyHeaders,
    },
};
use std::num::NonZeroU32;

pub(super) fn common(
    value: &Option<core::HttpProtocolOptions>,
    path: &Path<'_>,
) -> Got<CommonOptions> {
    let default = CommonOptions::default();
    let Some(value) = value else { return Ok(default) };
    let underscores = known(
        value.headers_with_underscores_action,
        &path.field("headers_with_underscores_action"),
    )?;
    Ok(CommonOptions {
        idle_timeout: limit(
            &value.idle_timeout,
            default.idle_timeout,
            &path.field("idle_timeout"),
        )?,
        max_connection_duration: limit(
            &value.max_connection_duration,
            None,
            &path.field("max_connection_duration"),
        )?,
        max_stream_duration: limit(
            &value.max_stream_duration,
            None,
            &path.field("max_stream_duration"),
        )?,
        max_headers: number(&value.max_headers_count).unwrap_or(default.max_headers),
        max_requests_per_connection: number(&value.max_requests_per_connection)
            .and_then(NonZeroU32::new),
        underscores: match underscores {
            HeadersWithUnderscoresAction::Allow => Underscores::Allow,
            HeadersWithUnderscoresAction::RejectRequest => Underscores::RejectRequest,
            HeadersWithUnderscoresAction::DropHeader => Underscores::DropHeader,
        },
    })
}

pub(super) fn http1(
    value: &Option<core::Http1ProtocolOptions>,
    path: &Path<'_>,
) -> Got<Http1Options> {
    let Some(value) = value else { return Ok(Http1Options::default()) };
    let what = "upgrades are allowed or refused, not passed by; leave it out";
    refuse(path, &[("ignore_http_11_upgrade", !value.ignore_http_11_upgrade.is_empty(), what)])?;
    let format = value.header_key_format.as_ref().and_then(|format| format.header_format.as_ref());
    let header_format = match format {
        None => HeaderFormat::Lower,
        Some(Format::ProperCaseWords(_)) => HeaderFormat::ProperCase,
        Some(Format::StatefulFormatter(extension)) => {
            let path = path.field("header_key_format");
            let path = path.field("stateful_formatter");
            let path = path.field("typed_config");
            let (kind, bytes) = open(must(&extension.typed_config, &path)?, &path)?;
            if !kind.ends_with("preserve_case.v3.PreserveCaseFormatterConfig") {
                return Err(Wrong::at(&path, format!("no formatter {kind} is known")));
            }
            let config: PreserveCaseFormatterConfig = inner(&bytes, &path)?;
            let others = known(
                config.formatter_type_on_envoy_headers,
                &path.field("formatter_type_on_envoy_headers"),
            )?;
            HeaderFormat::Preserve {
                others: match others {
                    FormatterTypeOnEnvoyHeaders::Default => PreserveOthers::Lower,
                    FormatterTypeOnEnvoyHeaders::ProperCase => PreserveOthers::ProperCase,
                },
                reason: config.forward_reason_phrase,
            }
        }
    };
    Ok(Http1Options {
        allow_absolute_url: flag(&value.allow_absolute_url, true),
        accept_http_10: value.accept_http_10,
        default_host: some(&value.default_host_for_http_10),
        header_format,
        trailers: value.enable_trailers,
        allow_chunked_length: value.allow_chunked_length,
        keep_connection_on_error: flag(&value.override_stream_error_on_invalid_http_message, false),
        send_fully_qualified_url: value.send_fully_qualified_url,
    })
}

pub(super) fn http2(
    value: &Option<core::Http2ProtocolOptions>,
    path: &Path<'_>,
) -> Got<Http2Options> {
    let default = Http2Options::default();
    let Some(value) = value else { return Ok(default) };
    if !value.custom_settings_parameters.is_empty() {
        let what = "settings of one's own are not supported";
        return Err(Wrong::at(&path.field("custom_settings_parameters"), what));
    }
    let keepalive = match &value.connection_keepalive {
        Some(value) => Some(keepalive(value, &path.field("connection_keepalive"))?),
        None => None,
    };
    let floods = Http2Floods::default();
    Ok(Http2Options {
        hpack_table: number(&value.hpack_table_size).unwrap_or(default.hpack_table),
        max_streams: number(&value.max_concurrent_streams).unwrap_or(default.max_streams),
        stream_window: number(&value.initial_stream_window_size).unwrap_or(default.stream_window),
        connection_window: number(&value.initial_connection_window_size)
            .unwrap_or(default.connection_window),
        allow_connect: value.allow_connect,
        keepalive,
        keep_connection_on_error: flag(
            &value.override_stream_error_on_invalid_http_message,
            value.stream_error_on_invalid_http_messaging,
        ),
        floods: Http2Floods {
            outbound: number(&value.max_outbound_frames).unwrap_or(floods.outbound),
            outbound_control: number(&value.max_outbound_control_frames)
                .unwrap_or(floods.outbound_control),
            empty: number(&value.max_consecutive_inbound_frames_with_empty_payload)
                .unwrap_or(floods.empty),
            priority: number(&value.max_inbound_priority_frames_per_stream)
                .unwrap_or(floods.priority),
            window_update: number(&value.max_inbound_window_update_frames_per_data_frame_sent)
                .unwrap_or(floods.window_update),
        },
    })
}

fn keepalive(value: &core::KeepaliveSettings, path: &Path<'_>) -> Got<Http2Keepalive> {
    let timeout = duration(&value.timeout, &path.field("timeout"))?;
    let jitter = value.interval_jitter.as_ref().map_or(15.0, |percent| percent.value);
    Ok(Http2Keepalive {
        interval: unless_zero(duration(&value.interval, &path.field("interval"))?),
        timeout: timeout.ok_or_else(|| Wrong::at(&path.field("timeout"), "not set"))?,
        jitter_percent: jitter,
        idle_interval: unless_zero(duration(
            &value.connection_idle_interval,
            &path.field("connection_idle_interval"),
        )?),
    })
}
