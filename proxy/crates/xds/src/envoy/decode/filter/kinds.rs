//! What each of them says.
use super::super::{
    Around, Got, Path, Wrong,
    access_log::logs,
    basic::{duration, each, flag, known, must, number, refuse, texts, unless_zero},
    header::header,
    mutation::{query, steps},
    text::{header_template, template},
};
use culvert_model::http::{
    filter::{
        GrpcMethods, GrpcService, GrpcStats, HeaderMutationFilter, HealthCheckFilter, Router,
    },
    listener::{FilterStateValue, SharedWith},
};
use culvert_proto::api::envoy::{
    config::core::v3::{data_source::Specifier, substitution_format_string::Format},
    extensions::filters::{
        common::set_filter_state::v3 as state_pb,
        http::{
            buffer::v3 as buffer_pb, grpc_stats::v3 as grpc_stats_pb,
            header_mutation::v3 as mutation_pb, health_check::v3 as health_pb,
            router::v3 as router_pb,
        },
        network::http_connection_manager::v3::{HttpFilter as FilterPb, http_filter},
    },
};
use std::sync::Arc;

pub(super) fn router(
    value: &router_pb::Router,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Router> {
    let is_codec = |filter: &FilterPb| match &filter.config_type {
        Some(http_filter::ConfigType::TypedConfig(any)) => {
            any.type_url.ends_with(".upstream_codec.v3.UpstreamCodec")
        }
        Some(http_filter::ConfigType::ConfigDiscovery(_)) | None => false,
    };
    if value.upstream_http_filters.iter().any(|filter| !is_codec(filter)) {
        let what = "filters of the upstream side come later";
        return Err(Wrong::at(&path.field("upstream_http_filters"), what));
    }
    if let Some(options) = &value.upstream_log_options {
        let what = "a try has a line when it is over; leave it out";
        let fields = [
            (
                "flush_upstream_log_on_upstream_stream",
                options.flush_upstream_log_on_upstream_stream,
                what,
            ),
            ("upstream_log_flush_interval", options.upstream_log_flush_interval.is_some(), what),
        ];
        refuse(&path.field("upstream_log_options"), &fields)?;
    }
    Ok(Router {
        dynamic_stats: flag(&value.dynamic_stats, true),
        start_child_span: value.start_child_span,
        upstream_logs: logs(&value.upstream_log, &path.field("upstream_log"), around)?,
        suppress_envoy_headers: value.suppress_envoy_headers,
        strict_headers: texts(&value.strict_check_headers),
        respect_expected_timeout: value.respect_expected_rq_timeout,
        suppress_grpc_failure_codes: value.suppress_grpc_request_failure_code_stats,
    })
}

pub(super) fn mutations(
    value: &Option<mutation_pb::Mutations>,
    path: &Path<'_>,
) -> Got<HeaderMutationFilter> {
    let Some(value) = value else { return Ok(HeaderMutationFilter::default()) };
    let at = path.field("query_parameter_mutations");
    Ok(HeaderMutationFilter {
        request: steps(&value.request_mutations, &path.field("request_mutations"))?,
        query: each(&value.query_parameter_mutations, &at, query)?,
        response: steps(&value.response_mutations, &path.field("response_mutations"))?,
        request_trailers: steps(
            &value.request_trailers_mutations,
            &path.field("request_trailers_mutations"),
        )?,
        response_trailers: steps(
            &value.response_trailers_mutations,
            &path.field("response_trailers_mutations"),
        )?,
        most_specific_wins: false,
    })
}

/// A value of the filter state, of a request or of a connection.
pub(in super::super) fn state(
    value: &state_pb::FilterStateValue,
    path: &Path<'_>,
) -> Got<FilterStateValue> {
    use state_pb::filter_state_value::{Key, SharedWithUpstream, Value};
    let Key::ObjectKey(key) = must(&value.key, &path.field("object_key"))?;
    let at = path.field("format_string");
    let Value::FormatString(format) = must(&value.value, &at)?;
    let text = match must(&format.format, &at)? {
        Format::TextFormat(text) => template(text, &at.field("text_format"))?,
        Format::TextFormatSource(source) => match &source.specifier {
            Some(Specifier::InlineString(text)) => {
                header_template(text, &at.field("text_format_source"))?
            }
            _ => {
                let what = "only inline_string is supported";
                return Err(Wrong::at(&at.field("text_format_source"), what));
            }
        },
        Format::JsonFormat(_) => {
            return Err(Wrong::at(&at.field("json_format"), "only text is supported"));
        }
    };
    let shared = known(value.shared_with_upstream, &path.field("shared_with_upstream"))?;
    let factory = if value.factory_key.is_empty() { key } else { &value.factory_key };
    Ok(FilterStateValue {
        key: key.as_str().into(),
        factory: factory.as_str().into(),
        value: text,
        read_only: value.read_only,
        shared: match shared {
            SharedWithUpstream::None => SharedWith::Nobody,
            SharedWithUpstream::Once => SharedWith::Once,
            SharedWithUpstream::Transitive => SharedWith::Transitive,
        },
        skip_if_empty: value.skip_if_empty,
    })
}

pub(super) fn health_check(
    value: &health_pb::HealthCheck,
    path: &Path<'_>,
) -> Got<HealthCheckFilter> {
    let pass_through = must(&value.pass_through_mode, &path.field("pass_through_mode"))?.value;
    let cache = unless_zero(duration(&value.cache_time, &path.field("cache_time"))?);
    if cache.is_some() && !pass_through {
        let what = "only in pass_through_mode";
        return Err(Wrong::at(&path.field("cache_time"), what));
    }
    let clusters = value.cluster_min_healthy_percentages.iter();
    let mut clusters: Vec<_> =
        clusters.map(|(name, percent)| (Arc::from(name.as_str()), percent.value)).collect();
    clusters.sort_by(|(a, _): &(Arc<str>, f64), (b, _)| a.cmp(b));
    if !clusters.is_empty() && pass_through {
        let what = "not in pass_through_mode";
        return Err(Wrong::at(&path.field("cluster_min_healthy_percentages"), what));
    }
    Ok(HealthCheckFilter {
        pass_through,
        cache,
        headers: each(&value.headers, &path.field("headers"), header)?,
        clusters: clusters.into(),
    })
}

pub(super) fn buffer(value: &buffer_pb::Buffer, path: &Path<'_>) -> Got<u32> {
    let path = path.field("max_request_bytes");
    number(&value.max_request_bytes)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| Wrong::at(&path, "must be more than 0"))
}

pub(super) fn grpc_stats(value: &grpc_stats_pb::FilterConfig) -> GrpcStats {
    use grpc_stats_pb::filter_config::PerMethodStatSpecifier as Methods;
    let methods = match &value.per_method_stat_specifier {
        None => GrpcMethods::None,
        Some(Methods::StatsForAllMethods(all)) if all.value => GrpcMethods::All,
        Some(Methods::StatsForAllMethods(_)) => GrpcMethods::None,
        Some(Methods::IndividualMethodStatsAllowlist(list)) => {
            let services = list.services.iter();
            GrpcMethods::Only(
                services
                    .map(|service| GrpcService {
                        name: service.name.as_str().into(),
                        methods: texts(&service.method_names),
                    })
                    .collect(),
            )
        }
    };
    GrpcStats {
        emit_filter_state: value.emit_filter_state,
        upstream: value.enable_upstream_stats,
        methods,
    }
}
