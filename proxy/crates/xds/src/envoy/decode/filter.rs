//! HTTP filters, in chains and in routes.
use super::{
    Around, Got, Path, Wrong,
    access_log::logs,
    basic::{duration, each, flag, inner, must, number, open, texts, unless_zero},
    header::header,
    mutation::{query, steps},
    source::source,
    text::{header_template, template},
};
use culvert_model::http::{
    filter::{
        Discovered, Filter, FilterConfig, GrpcMethods, GrpcService, GrpcStats,
        HeaderMutationFilter, HealthCheckFilter, HttpFilter, Override, OverrideConfig, PerFilter,
        Router,
    },
    listener::{FilterStateValue, SharedWith},
};
use culvert_proto::{
    api::{
        envoy::{
            config::{
                core::v3::{ExtensionConfigSource, substitution_format_string::Format},
                route::v3::{CorsPolicy as RouteCors, FilterConfig as RouteFilterConfig},
            },
            extensions::filters::{
                common::set_filter_state::v3 as state_pb,
                http::{
                    buffer::v3 as buffer_pb, cors::v3 as cors_pb, grpc_stats::v3 as grpc_stats_pb,
                    header_mutation::v3 as mutation_pb, health_check::v3 as health_pb,
                    local_ratelimit::v3 as limit_pb, rbac::v3 as rbac_pb, router::v3 as router_pb,
                    set_filter_state::v3 as set_state_pb,
                },
                network::http_connection_manager::v3::{HttpFilter as FilterPb, http_filter},
            },
        },
        google::protobuf::Any,
    },
    descriptors,
};
use std::{collections::HashMap, sync::Arc};

mod cors;

mod fault;

pub(super) use cors::of_route as route_cors;

/// Where most filters' messages are.
const HTTP: &str = "envoy.extensions.filters.http.";

/// Filters whose time comes, and what people call them.
const LATER: &[(&str, &str)] = &[
    ("jwt_authn.", "jwt_authn"),
    ("ext_authz.", "ext_authz"),
    ("ext_proc.", "ext_proc"),
    ("ratelimit.", "the rate limit service (ratelimit)"),
    ("compressor.", "compressor"),
    ("decompressor.", "decompressor"),
    ("csrf.", "csrf"),
    ("basic_auth.", "basic_auth"),
    ("api_key_auth.", "api_key_auth"),
    ("credential_injector.", "credential_injector"),
    ("stateful_session.", "stateful_session"),
    ("wasm.", "Wasm"),
    ("lua.", "Lua"),
    ("oauth2.", "oauth2"),
];

/// Filters of Istio that only inform.
const PASSED_BY: &[&str] = &[
    "io.istio.http.peer_metadata.Config",
    "stats.PluginConfig",
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
];

/// Decodes a chain; its last filter must answer.
pub(super) fn chain(
    values: &[FilterPb],
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Arc<[Filter]>> {
    let filters: Vec<Filter> = each(values, path, |value, path| filter(value, path, around))?;
    let is_router = |filter: &Filter| match &filter.config {
        FilterConfig::Here(HttpFilter::Router(_)) | FilterConfig::Discovered(_) => true,
        FilterConfig::Here(_) => false,
    };
    let (last, before) = match filters.split_last() {
        None => return Err(Wrong::at(path, "empty; the last filter must be a router")),
        Some(split) => split,
    };
    if !is_router(last) || last.disabled {
        let what = "the last filter must be envoy.filters.http.router";
        return Err(Wrong::at(&path.index(before.len()), what));
    }
    let router =
        |filter: &Filter| matches!(filter.config, FilterConfig::Here(HttpFilter::Router(_)));
    if let Some(i) = before.iter().position(router) {
        return Err(Wrong::at(&path.index(i), "a router must be the last filter"));
    }
    Ok(filters.into())
}

fn filter(value: &FilterPb, path: &Path<'_>, around: &dyn Around) -> Got<Filter> {
    use http_filter::ConfigType;
    let config = match &value.config_type {
        Some(ConfigType::TypedConfig(any)) => {
            let at = path.field("typed_config");
            FilterConfig::Here(match http(any, &at, around) {
                // Unknown, and it may be.
                Err(_) if value.is_optional && !is_known(any) => HttpFilter::Ignored,
                decoded => decoded?,
            })
        }
        Some(ConfigType::ConfigDiscovery(value)) => {
            let path = path.field("config_discovery");
            FilterConfig::Discovered(Arc::new(discovered(value, &path, around)?))
        }
        // As Envoy has it: a router needs no configuration, by its name.
        None if value.name == "envoy.filters.http.router" => {
            FilterConfig::Here(HttpFilter::Router(Arc::new(Router::default())))
        }
        None if value.is_optional => FilterConfig::Here(HttpFilter::Ignored),
        None => return Err(Wrong::at(&path.field("typed_config"), "not set")),
    };
    Ok(Filter { name: value.name.as_str().into(), config, disabled: value.disabled })
}

fn discovered(
    value: &ExtensionConfigSource,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Discovered> {
    let at = path.field("config_source");
    let types = value.type_urls.iter().map(|url| descriptors::full_name(url).into());
    let default = match &value.default_config {
        Some(any) => Some(http(any, &path.field("default_config"), around)?),
        None => None,
    };
    Ok(Discovered {
        source: source(must(&value.config_source, &at)?, &at)?,
        default,
        types: types.collect(),
        apply_default_without_warming: value.apply_default_config_without_warming,
    })
}

/// Whether we have such a filter.
fn is_known(any: &Any) -> bool {
    let name = descriptors::full_name(&any.type_url);
    let kinds = [
        "router.",
        "rbac.",
        "fault.",
        "local_ratelimit.",
        "cors.",
        "header_mutation.",
        "set_filter_state.",
        "health_check.",
        "buffer.",
        "grpc_stats.",
        "grpc_web.",
    ];
    let ours = name.strip_prefix(HTTP);
    ours.is_some_and(|name| kinds.iter().any(|kind| name.starts_with(kind)))
        || name.ends_with("TypedStruct")
}

/// Decodes one filter.
pub(super) fn http(any: &Any, path: &Path<'_>, around: &dyn Around) -> Got<HttpFilter> {
    let (kind, bytes) = open(any, path)?;
    let ours = kind.strip_prefix(HTTP).unwrap_or_default();
    Ok(match ours {
        "router.v3.Router" => {
            HttpFilter::Router(Arc::new(router(&inner(&bytes, path)?, path, around)?))
        }
        "rbac.v3.RBAC" => {
            let value: rbac_pb::Rbac = inner(&bytes, path)?;
            HttpFilter::Rbac(Arc::new(super::rbac::http(&value, path)?))
        }
        "fault.v3.HTTPFault" => {
            HttpFilter::Fault(Arc::new(fault::decode(&inner(&bytes, path)?, path)?))
        }
        "local_ratelimit.v3.LocalRateLimit" => {
            let value: limit_pb::LocalRateLimit = inner(&bytes, path)?;
            HttpFilter::LocalRateLimit(Arc::new(super::ratelimit::http(&value, path)?))
        }
        "cors.v3.Cors" => HttpFilter::Cors,
        "header_mutation.v3.HeaderMutation" => {
            let value: mutation_pb::HeaderMutation = inner(&bytes, path)?;
            let most_specific_wins = value.most_specific_header_mutations_wins;
            let decoded = mutations(&value.mutations, &path.field("mutations"))?;
            let decoded = HeaderMutationFilter { most_specific_wins, ..decoded };
            HttpFilter::HeaderMutation(Arc::new(decoded))
        }
        "set_filter_state.v3.Config" => {
            let value: set_state_pb::Config = inner(&bytes, path)?;
            let path = path.field("on_request_headers");
            HttpFilter::SetFilterState(each(&value.on_request_headers, &path, state)?)
        }
        "health_check.v3.HealthCheck" => {
            HttpFilter::HealthCheck(Arc::new(health_check(&inner(&bytes, path)?, path)?))
        }
        "buffer.v3.Buffer" => HttpFilter::Buffer { max: buffer(&inner(&bytes, path)?, path)? },
        "grpc_stats.v3.FilterConfig" => {
            HttpFilter::GrpcStats(Arc::new(grpc_stats(&inner(&bytes, path)?)))
        }
        "grpc_web.v3.GrpcWeb" => HttpFilter::GrpcWeb,
        _ if PASSED_BY.contains(&&*kind) => HttpFilter::Ignored,
        _ => return Err(unknown(&kind, path)),
    })
}

fn unknown(kind: &str, path: &Path<'_>) -> Wrong {
    let ours = kind.strip_prefix(HTTP).unwrap_or_default();
    let later = LATER.iter().find(|(prefix, _)| ours.starts_with(prefix));
    Wrong::at(
        path,
        match later {
            Some((_, name)) => format!("{name} comes later; this version has no such filter"),
            None => format!("no HTTP filter {kind} is known; say is_optional to go on without it"),
        },
    )
}

fn router(value: &router_pb::Router, path: &Path<'_>, around: &dyn Around) -> Got<Router> {
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

fn mutations(value: &Option<mutation_pb::Mutations>, path: &Path<'_>) -> Got<HeaderMutationFilter> {
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
pub(super) fn state(value: &state_pb::FilterStateValue, path: &Path<'_>) -> Got<FilterStateValue> {
    use state_pb::filter_state_value::{Key, SharedWithUpstream, Value};
    let Key::ObjectKey(key) = must(&value.key, &path.field("object_key"))?;
    let at = path.field("format_string");
    let Value::FormatString(format) = must(&value.value, &at)?;
    let text = match must(&format.format, &at)? {
        Format::TextFormat(text) => template(text, &at.field("text_format"))?,
        Format::TextFormatSource(source) => {
            use culvert_proto::api::envoy::config::core::v3::data_source::Specifier;
            match &source.specifier {
                Some(Specifier::InlineString(text)) => {
                    header_template(text, &at.field("text_format_source"))?
                }
                _ => {
                    let what = "only inline_string is supported";
                    return Err(Wrong::at(&at.field("text_format_source"), what));
                }
            }
        }
        Format::JsonFormat(_) => {
            return Err(Wrong::at(&at.field("json_format"), "only text is supported"));
        }
    };
    let shared =
        super::basic::known(value.shared_with_upstream, &path.field("shared_with_upstream"))?;
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

fn health_check(value: &health_pb::HealthCheck, path: &Path<'_>) -> Got<HealthCheckFilter> {
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

fn buffer(value: &buffer_pb::Buffer, path: &Path<'_>) -> Got<u32> {
    let path = path.field("max_request_bytes");
    number(&value.max_request_bytes)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| Wrong::at(&path, "must be more than 0"))
}

fn grpc_stats(value: &grpc_stats_pb::FilterConfig) -> GrpcStats {
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

/// What routes and others say about filters, by their names.
pub(super) fn overrides(
    values: &HashMap<String, Any>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<PerFilter> {
    let path = path.field("typed_per_filter_config");
    let all = values.iter().filter_map(|(name, any)| {
        let path = path.key(name);
        match override_of(any, &path, around) {
            Ok(decoded) => decoded.map(|decoded| Ok((name.as_str().into(), decoded))),
            Err(wrong) => Some(Err(wrong)),
        }
    });
    Ok(PerFilter::new(all.collect::<Got<_>>()?))
}

fn override_of(any: &Any, path: &Path<'_>, around: &dyn Around) -> Got<Option<Override>> {
    let (kind, bytes) = open(any, path)?;
    if kind != "envoy.config.route.v3.FilterConfig" {
        let config = override_config(any, path, around)?;
        return Ok(Some(Override { disabled: None, config: Some(config) }));
    }
    let value: RouteFilterConfig = inner(&bytes, path)?;
    let is_empty = value.config.as_ref().is_none_or(|config| config.type_url.is_empty());
    let config = match &value.config {
        Some(config) if !is_empty => match override_config(config, &path.field("config"), around) {
            Err(_) if value.is_optional && !is_known(config) => return Ok(None),
            decoded => Some(decoded?),
        },
        _ => None,
    };
    Ok(Some(Override { disabled: Some(value.disabled), config }))
}

fn override_config(any: &Any, path: &Path<'_>, around: &dyn Around) -> Got<OverrideConfig> {
    let (kind, bytes) = open(any, path)?;
    let ours = kind.strip_prefix(HTTP).unwrap_or_default();
    Ok(match ours {
        "rbac.v3.RBACPerRoute" => {
            let value: rbac_pb::RbacPerRoute = inner(&bytes, path)?;
            OverrideConfig::Rbac(match &value.rbac {
                Some(value) => Some(Arc::new(super::rbac::http(value, &path.field("rbac"))?)),
                None => None,
            })
        }
        "cors.v3.CorsPolicy" => {
            let value: cors_pb::CorsPolicy = inner(&bytes, path)?;
            OverrideConfig::Cors(Arc::new(cors::decode(&value, path)?))
        }
        "header_mutation.v3.HeaderMutationPerRoute" => {
            let value: mutation_pb::HeaderMutationPerRoute = inner(&bytes, path)?;
            let decoded = mutations(&value.mutations, &path.field("mutations"))?;
            OverrideConfig::HeaderMutation(Arc::new(decoded))
        }
        "buffer.v3.BufferPerRoute" => {
            use buffer_pb::buffer_per_route::Override as Per;
            let value: buffer_pb::BufferPerRoute = inner(&bytes, path)?;
            OverrideConfig::Buffer(match must(&value.r#override, path)? {
                Per::Disabled(_) => None,
                Per::Buffer(value) => Some(buffer(value, &path.field("buffer"))?),
            })
        }
        _ if kind == "envoy.config.route.v3.CorsPolicy" => {
            let value: RouteCors = inner(&bytes, path)?;
            OverrideConfig::Cors(Arc::new(cors::of_route(&value, path)?))
        }
        // The same message, in chains and in routes.
        _ => match http(any, path, around)? {
            HttpFilter::Fault(fault) => OverrideConfig::Fault(fault),
            HttpFilter::LocalRateLimit(limit) => OverrideConfig::LocalRateLimit(limit),
            HttpFilter::SetFilterState(values) => OverrideConfig::SetFilterState(values),
            HttpFilter::Ignored => OverrideConfig::Ignored,
            HttpFilter::Router(_)
            | HttpFilter::Rbac(_)
            | HttpFilter::Cors
            | HttpFilter::HeaderMutation(_)
            | HttpFilter::HealthCheck(_)
            | HttpFilter::Buffer { .. }
            | HttpFilter::GrpcStats(_)
            | HttpFilter::GrpcWeb => {
                return Err(Wrong::at(path, format!("{kind} cannot be given for a route")));
            }
        },
    })
}
