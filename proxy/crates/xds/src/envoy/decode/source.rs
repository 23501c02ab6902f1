//! Where resources come from that others name.
use super::{
    Around, Got, Path, Wrong,
    basic::{duration, known, must, some, unless_zero},
};
use culvert_model::http::source::{
    ConfigSource, From, Grpc, GrpcServer, GrpcTarget, Rest, WatchedFile,
};
use culvert_proto::api::envoy::config::core::v3::{
    self as core, api_config_source::ApiType, config_source::ConfigSourceSpecifier as Specifier,
    grpc_service::TargetSpecifier,
};
use std::{sync::Arc, time::Duration};

/// How long resources are waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Envoy's, for a source that says nothing.
const REST_TIMEOUT: Duration = Duration::from_secs(1);

/// What is said where the aggregated stream is meant and there is none.
pub const NO_ADS: &str =
    "the bootstrap has no dynamic_resources.ads_config; give it, or another source here";

/// Decodes where a resource comes from.
///
/// # Errors
///
/// On sources that are not understood.
pub fn source(
    value: &core::ConfigSource,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<ConfigSource> {
    let patience = duration(&value.initial_fetch_timeout, &path.field("initial_fetch_timeout"))?;
    let from = match must(&value.config_source_specifier, path)? {
        Specifier::Ads(_) if !around.has_ads() => {
            return Err(Wrong::at(&path.field("ads"), NO_ADS));
        }
        Specifier::Ads(_) => From::Ads,
        Specifier::Self_(_) => From::SameSource,
        Specifier::Path(file) => {
            From::File(WatchedFile { path: file.as_str().into(), directory: None })
        }
        Specifier::PathConfigSource(file) => From::File(WatchedFile {
            path: file.path.as_str().into(),
            directory: file.watched_directory.as_ref().and_then(|dir| some(&dir.path)),
        }),
        Specifier::ApiConfigSource(api) => api_source(api, &path.field("api_config_source"))?,
    };
    Ok(ConfigSource { from, patience: unless_zero(Some(patience.unwrap_or(PATIENCE))) })
}

/// Decodes a server of discovery, also the one of `ads_config`.
pub(crate) fn api_source(value: &core::ApiConfigSource, path: &Path<'_>) -> Got<From> {
    let at = path.field("api_type");
    let is_delta = |kind| matches!(kind, ApiType::DeltaGrpc | ApiType::AggregatedDeltaGrpc);
    match known::<ApiType>(value.api_type, &at)? {
        ApiType::Rest => {
            let refresh = duration(&value.refresh_delay, &path.field("refresh_delay"))?;
            let refresh = unless_zero(refresh)
                .ok_or_else(|| Wrong::at(&path.field("refresh_delay"), "not set; REST needs it"))?;
            if value.cluster_names.is_empty() {
                return Err(Wrong::at(&path.field("cluster_names"), "empty; REST needs one"));
            }
            let timeout = duration(&value.request_timeout, &path.field("request_timeout"))?;
            let clusters = value.cluster_names.iter().map(|name| name.as_str().into());
            Ok(From::Rest(Rest {
                clusters: clusters.collect(),
                refresh,
                timeout: timeout.unwrap_or(REST_TIMEOUT),
            }))
        }
        ApiType::DeprecatedAndUnavailableDoNotUse => {
            Err(Wrong::at(&at, "not set; give GRPC, DELTA_GRPC or REST"))
        }
        kind @ (ApiType::Grpc
        | ApiType::DeltaGrpc
        | ApiType::AggregatedGrpc
        | ApiType::AggregatedDeltaGrpc) => {
            if !value.cluster_names.is_empty() {
                let what = "only for REST; give grpc_services";
                return Err(Wrong::at(&path.field("cluster_names"), what));
            }
            if value.grpc_services.is_empty() {
                return Err(Wrong::at(&path.field("grpc_services"), "empty; gRPC needs one"));
            }
            let at = path.field("grpc_services");
            let servers: Arc<[GrpcServer]> =
                super::basic::each(&value.grpc_services, &at, grpc_server)?;
            Ok(From::Grpc(Grpc {
                servers,
                delta: is_delta(kind),
                node_on_first_only: value.set_node_on_first_message_only,
            }))
        }
    }
}

fn grpc_server(value: &core::GrpcService, path: &Path<'_>) -> Got<GrpcServer> {
    let headers = value.initial_metadata.iter();
    let headers =
        headers.map(|header| (header.key.as_str().into(), header.value.as_str().into())).collect();
    let timeout = unless_zero(duration(&value.timeout, &path.field("timeout"))?);
    let (to, authority) = match must(&value.target_specifier, path)? {
        TargetSpecifier::EnvoyGrpc(envoy) => {
            (GrpcTarget::Cluster(envoy.cluster_name.as_str().into()), some(&envoy.authority))
        }
        TargetSpecifier::GoogleGrpc(google) => {
            let path = path.field("google_grpc");
            if google.channel_credentials.is_some() || !google.call_credentials.is_empty() {
                let what = "credentials are not supported; give envoy_grpc and a cluster with TLS";
                return Err(Wrong::at(&path.field("channel_credentials"), what));
            }
            (GrpcTarget::Uri(google.target_uri.as_str().into()), None)
        }
    };
    Ok(GrpcServer { to, authority, timeout, headers })
}
