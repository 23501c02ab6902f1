//! The HTTP connection manager.
use super::{
    Around, Got, Path, Wrong,
    access_log::logs,
    basic::{
        duration, each, flag, inner, known, limit, must, number, open, refuse, some, unless_zero,
    },
    filter::{agree, chain},
    mutation::steps,
    protocol,
    source::source,
};
use culvert_model::http::{
    manager::{
        ClientCertificate, Codec, EscapedSlashes, ForwardCertificate, HostOptions, Limits,
        LogOptions, Manager, PathOptions, RequestId, Routes, Scheme, ServerHeader, ServerMode,
        StripPort, Upgrade,
    },
    mutation::HeaderMutations,
};
use culvert_proto::api::envoy::{
    config::core::v3::scheme_header_transformation::Transformation,
    extensions::{
        filters::network::http_connection_manager::v3::{
            self as pb,
            http_connection_manager::{
                self as hcm, CodecType, ForwardClientCertDetails, PathWithEscapedSlashesAction,
                RouteSpecifier, ServerHeaderTransformation, StripPortMode,
            },
        },
        http::early_header_mutation::header_mutation::v3::HeaderMutation,
        request_id::uuid::v3::UuidRequestIdConfig,
    },
};
use std::{sync::Arc, time::Duration};

mod client;

mod replies;

mod tracing;

pub(super) fn decode(
    value: &pb::HttpConnectionManager,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Manager> {
    unsupported(value, path)?;
    let codec = match known(value.codec_type, &path.field("codec_type"))? {
        CodecType::Auto => Codec::Auto,
        CodecType::Http1 => Codec::Http1,
        CodecType::Http2 => Codec::Http2,
        CodecType::Http3 => {
            return Err(Wrong::at(&path.field("codec_type"), "HTTP/3 comes later"));
        }
    };
    let options = value.stream_error_on_invalid_http_message.as_ref();
    let routes = routes(value, path, around)?;
    let filters = chain(&value.http_filters, &path.field("http_filters"), around)?;
    if let Routes::Here(table) = &routes {
        agree(&filters, table, &path.field("route_config"))?;
    }
    Ok(Manager {
        stat_prefix: value.stat_prefix.as_str().into(),
        codec,
        routes,
        filters,
        upgrades: upgrades(value, path, around)?,
        common: protocol::common(
            &value.common_http_protocol_options,
            &path.field("common_http_protocol_options"),
        )?,
        http1: protocol::http1(&value.http_protocol_options, &path.field("http_protocol_options"))?,
        http2: protocol::http2(
            &value.http2_protocol_options,
            &path.field("http2_protocol_options"),
        )?,
        limits: limits(value, path)?,
        server: server(value, path)?,
        client: client::client(value, path)?,
        certificate: certificate(value, path)?,
        path: paths(value, path)?,
        host: HostOptions {
            strip_port: match (&value.strip_port_mode, value.strip_matching_host_port) {
                (Some(StripPortMode::StripAnyHostPort(true)), _) => StripPort::Any,
                (_, true) => StripPort::Matching,
                (Some(StripPortMode::StripAnyHostPort(false)) | None, false) => StripPort::Never,
            },
            strip_trailing_dot: value.strip_trailing_host_dot,
        },
        request_id: request_id(value, path)?,
        scheme: scheme(value, path)?,
        via: some(&value.via),
        add_user_agent: flag(&value.add_user_agent, false),
        append_forwarded_port: value.append_x_forwarded_port,
        proxy_100_continue: value.proxy_100_continue,
        keep_connection_on_error: options.map(|value| value.value),
        access_logs: logs(&value.access_log, &path.field("access_log"), around)?,
        log_options: log_options(value, path)?,
        replies: Arc::new(replies::replies(&value.local_reply_config, path, around)?),
        tracing: match &value.tracing {
            Some(value) => Some(Arc::new(tracing::tracing(value, &path.field("tracing"))?)),
            None => None,
        },
        early_mutations: early(value, path)?,
    })
}

fn unsupported(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<()> {
    let fields = [
        (
            "forward_client_cert_matcher",
            value.forward_client_cert_matcher.is_some(),
            "not supported",
        ),
        (
            "path_normalization_options",
            value.path_normalization_options.is_some(),
            "not supported; give normalize_path and merge_slashes",
        ),
        (
            "proxy_status_config",
            value.proxy_status_config.is_some(),
            "the header proxy-status is not supported; leave it out",
        ),
        ("forward_proto_config", value.forward_proto_config.is_some(), "not supported"),
    ];
    refuse(path, &fields)
}

fn routes(value: &pb::HttpConnectionManager, path: &Path<'_>, around: &dyn Around) -> Got<Routes> {
    match must(&value.route_specifier, path)? {
        RouteSpecifier::RouteConfig(table) => {
            let path = path.field("route_config");
            Ok(Routes::Here(Arc::new(super::route::decode(table, &path, around, true)?)))
        }
        RouteSpecifier::Rds(rds) => {
            let path = path.field("rds");
            let at = path.field("config_source");
            if rds.route_config_name.is_empty() {
                return Err(Wrong::at(&path.field("route_config_name"), "empty"));
            }
            Ok(Routes::Discovered {
                name: rds.route_config_name.as_str().into(),
                source: source(must(&rds.config_source, &at)?, &at, around)?,
            })
        }
        RouteSpecifier::ScopedRoutes(_) => {
            let what = "scoped routes are not supported; give rds or route_config";
            Err(Wrong::at(&path.field("scoped_routes"), what))
        }
    }
}

fn upgrades(
    value: &pb::HttpConnectionManager,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Arc<[Upgrade]>> {
    let path = path.field("upgrade_configs");
    let mut seen = std::collections::HashSet::new();
    each(&value.upgrade_configs, &path, |value, path| {
        let kind = value.upgrade_type.to_ascii_lowercase();
        if !seen.insert(kind.clone()) {
            return Err(Wrong::at(&path.field("upgrade_type"), format!("{kind} is there twice")));
        }
        let filters = match value.filters.as_slice() {
            [] => None,
            filters => Some(chain(filters, &path.field("filters"), around)?),
        };
        Ok(Upgrade { kind: kind.into(), enabled: flag(&value.enabled, true), filters })
    })
}

fn limits(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<Limits> {
    let default = Limits::default();
    let of = |value: &Option<_>, default: Option<Duration>, name: &str| {
        limit(value, default, &path.field(name))
    };
    let drain = duration(&value.drain_timeout, &path.field("drain_timeout"))?;
    Ok(Limits {
        max_headers_kb: number(&value.max_request_headers_kb).unwrap_or(default.max_headers_kb),
        stream_idle_timeout: of(
            &value.stream_idle_timeout,
            default.stream_idle_timeout,
            "stream_idle_timeout",
        )?,
        stream_flush_timeout: of(&value.stream_flush_timeout, None, "stream_flush_timeout")?,
        request_timeout: of(&value.request_timeout, None, "request_timeout")?,
        headers_timeout: of(&value.request_headers_timeout, None, "request_headers_timeout")?,
        drain_timeout: drain.unwrap_or(default.drain_timeout),
        delayed_close_timeout: of(
            &value.delayed_close_timeout,
            default.delayed_close_timeout,
            "delayed_close_timeout",
        )?,
    })
}

fn server(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<ServerHeader> {
    let at = path.field("server_header_transformation");
    Ok(ServerHeader {
        name: some(&value.server_name).unwrap_or_else(|| ServerHeader::default().name),
        mode: match known(value.server_header_transformation, &at)? {
            ServerHeaderTransformation::Overwrite => ServerMode::Overwrite,
            ServerHeaderTransformation::AppendIfAbsent => ServerMode::AppendIfAbsent,
            ServerHeaderTransformation::PassThrough => ServerMode::PassThrough,
        },
    })
}

fn certificate(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<ClientCertificate> {
    let at = path.field("forward_client_cert_details");
    let forward = match known(value.forward_client_cert_details, &at)? {
        ForwardClientCertDetails::Sanitize => ForwardCertificate::Sanitize,
        ForwardClientCertDetails::ForwardOnly => ForwardCertificate::ForwardOnly,
        ForwardClientCertDetails::AppendForward => ForwardCertificate::AppendForward,
        ForwardClientCertDetails::SanitizeSet => ForwardCertificate::SanitizeSet,
        ForwardClientCertDetails::AlwaysForwardOnly => ForwardCertificate::AlwaysForwardOnly,
    };
    let Some(set) = &value.set_current_client_cert_details else {
        return Ok(ClientCertificate { forward, ..ClientCertificate::default() });
    };
    if set.format != i32::from(hcm::ForwardClientCertFormat::Text) {
        let path = path.field("set_current_client_cert_details");
        return Err(Wrong::at(&path.field("format"), "only TEXT is supported"));
    }
    Ok(ClientCertificate {
        forward,
        subject: flag(&set.subject, false),
        cert: set.cert,
        chain: set.chain,
        dns: set.dns,
        uri: set.uri,
        issuer: set.issuer,
    })
}

fn paths(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<PathOptions> {
    let at = path.field("path_with_escaped_slashes_action");
    Ok(PathOptions {
        normalize: flag(&value.normalize_path, false),
        merge_slashes: value.merge_slashes,
        escaped_slashes: match known(value.path_with_escaped_slashes_action, &at)? {
            PathWithEscapedSlashesAction::ImplementationSpecificDefault
            | PathWithEscapedSlashesAction::KeepUnchanged => EscapedSlashes::Keep,
            PathWithEscapedSlashesAction::RejectRequest => EscapedSlashes::Reject,
            PathWithEscapedSlashesAction::UnescapeAndRedirect => {
                EscapedSlashes::UnescapeAndRedirect
            }
            PathWithEscapedSlashesAction::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
        },
    })
}

fn request_id(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<RequestId> {
    let mut id = RequestId {
        generate: flag(&value.generate_request_id, true),
        preserve_external: value.preserve_external_request_id,
        always_in_response: value.always_set_request_id_in_response,
        ..RequestId::default()
    };
    let extension = value.request_id_extension.as_ref().and_then(|of| of.typed_config.as_ref());
    if let Some(any) = extension {
        let path = path.field("request_id_extension");
        let path = path.field("typed_config");
        let (kind, bytes) = open(any, &path)?;
        if !kind.ends_with("request_id.uuid.v3.UuidRequestIdConfig") {
            return Err(Wrong::at(&path, format!("no request id {kind} is known")));
        }
        let value: UuidRequestIdConfig = inner(&bytes, &path)?;
        id.pack_trace_reason = flag(&value.pack_trace_reason, true);
        id.use_for_sampling = flag(&value.use_request_id_for_trace_sampling, true);
    }
    Ok(id)
}

fn scheme(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<Scheme> {
    let Some(of) = &value.scheme_header_transformation else { return Ok(Scheme::Kept) };
    let path = path.field("scheme_header_transformation");
    match &of.transformation {
        _ if of.match_upstream => Ok(Scheme::MatchUpstream),
        None => Ok(Scheme::Kept),
        Some(Transformation::SchemeToOverwrite(scheme)) => match &**scheme {
            "http" => Ok(Scheme::Http),
            "https" => Ok(Scheme::Https),
            other => {
                let what = format!("{other:?} is none of http, https");
                Err(Wrong::at(&path.field("scheme_to_overwrite"), what))
            }
        },
    }
}

fn log_options(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<LogOptions> {
    let deprecated =
        duration(&value.access_log_flush_interval, &path.field("access_log_flush_interval"))?;
    let Some(options) = &value.access_log_options else {
        return Ok(LogOptions {
            interval: unless_zero(deprecated),
            on_request: value.flush_access_log_on_new_request,
            on_tunnel: false,
        });
    };
    let path = path.field("access_log_options");
    let at = path.field("access_log_flush_interval");
    Ok(LogOptions {
        interval: unless_zero(duration(&options.access_log_flush_interval, &at)?.or(deprecated)),
        on_request: options.flush_access_log_on_new_request,
        on_tunnel: options.flush_log_on_tunnel_successfully_established,
    })
}

fn early(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<HeaderMutations> {
    let path = path.field("early_header_mutation_extensions");
    let mut all = Vec::new();
    for (i, extension) in value.early_header_mutation_extensions.iter().enumerate() {
        let path = path.index(i);
        let path = path.field("typed_config");
        let (kind, bytes) = open(must(&extension.typed_config, &path)?, &path)?;
        if !kind.ends_with("early_header_mutation.header_mutation.v3.HeaderMutation") {
            return Err(Wrong::at(&path, format!("no early mutation {kind} is known")));
        }
        let value: HeaderMutation = inner(&bytes, &path)?;
        all.extend(steps(&value.mutations, &path.field("mutations"))?.0);
    }
    Ok(HeaderMutations(all.into()))
}
