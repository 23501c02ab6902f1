//! HTTP filters, in chains and in routes.
use super::{
    Around, Got, Path, Wrong,
    basic::{each, inner, must, open},
    source::source,
};
use culvert_model::http::filter::{
    Discovered, Filter, FilterConfig, HeaderMutationFilter, HttpFilter, Router, SetFilterState,
};
use culvert_proto::{
    api::{
        envoy::{
            config::core::v3::ExtensionConfigSource,
            extensions::filters::{
                http::{
                    header_mutation::v3 as mutation_pb, local_ratelimit::v3 as limit_pb,
                    rbac::v3 as rbac_pb, set_filter_state::v3 as set_state_pb,
                },
                network::http_connection_manager::v3::{HttpFilter as FilterPb, http_filter},
            },
        },
        google::protobuf::Any,
    },
    descriptors,
};
use std::sync::Arc;

mod agree;

mod cors;

mod fault;

mod kinds;

mod overrides;

pub(super) use agree::agree;
pub(super) use cors::of_route as route_cors;
pub(super) use kinds::state;
use kinds::{buffer, grpc_stats, health_check, mutations, router};
pub(super) use overrides::overrides;

/// Where most filters' messages are.
const HTTP: &str = "envoy.extensions.filters.http.";

/// Filters whose time comes, and what people call them.
pub(super) const LATER: &[(&str, &str)] = &[
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
    let Some((last, before)) = filters.split_last() else {
        return Err(Wrong::at(path, "empty; the last filter must be a router"));
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
        source: source(must(&value.config_source, &at)?, &at, around)?,
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
            HttpFilter::SetFilterState(Arc::new(SetFilterState {
                values: each(&value.on_request_headers, &path, state)?,
                clear_route: value.clear_route_cache,
            }))
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
