//! Filters of connections.
use super::{
    Around, Got, Path, Wrong,
    access_log::logs,
    basic::{
        data, duration, each, inner, known, limit, must, number, open, refuse, runtime_flag,
        unless_zero,
    },
    filter::state,
    manager, ratelimit, rbac,
    text::header_template,
    value::metadata,
};
use culvert_model::http::{
    listener::{
        ConnectionLimit, NetworkFilter, NetworkFilterKind, NetworkRbac, TcpClusters, TcpProxy,
        Tunnel, WeightedCluster,
    },
    mutation::{HeaderMutations, Mutation},
};
use culvert_proto::api::{
    envoy::{
        config::listener::v3::{self as listener_pb, filter::ConfigType},
        extensions::filters::network::{
            connection_limit::v3 as limit_pb, direct_response::v3 as direct_pb,
            http_connection_manager::v3::HttpConnectionManager, local_ratelimit::v3 as rate_pb,
            rbac::v3 as rbac_pb, set_filter_state::v3 as state_pb, tcp_proxy::v3 as tcp_pb,
        },
        r#type::v3::hash_policy::PolicySpecifier,
    },
    google::protobuf::Any,
};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// Where most of their messages are.
const NETWORK: &str = "envoy.extensions.filters.network.";

/// Filters that only inform.
const PASSED_BY: &[&str] = &[
    "envoy.extensions.network_filters.peer_metadata.Config",
    "envoy.extensions.network_filters.peer_metadata.UpstreamConfig",
    "envoy.tcp.metadataexchange.config.MetadataExchange",
    "stats.PluginConfig",
    "istio.envoy.config.filter.network.metadata_exchange.MetadataExchange",
];

pub(super) fn filter(
    value: &listener_pb::Filter,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<NetworkFilter> {
    let kind = match &value.config_type {
        Some(ConfigType::TypedConfig(any)) => decode(any, &path.field("typed_config"), around)?,
        Some(ConfigType::ConfigDiscovery(_)) => {
            let what = "discovery of network filters is not supported; give typed_config";
            return Err(Wrong::at(&path.field("config_discovery"), what));
        }
        None => match &*value.name {
            "envoy.filters.network.echo" => NetworkFilterKind::Echo,
            "envoy.filters.network.sni_cluster" => NetworkFilterKind::SniCluster,
            _ => return Err(Wrong::at(&path.field("typed_config"), "not set")),
        },
    };
    Ok(NetworkFilter { name: value.name.as_str().into(), kind })
}

/// Whether a filter takes the connection: nothing comes after it.
pub(super) fn takes(filter: &NetworkFilter) -> bool {
    match filter.kind {
        NetworkFilterKind::HttpManager(_)
        | NetworkFilterKind::TcpProxy(_)
        | NetworkFilterKind::Echo
        | NetworkFilterKind::DirectResponse(_) => true,
        NetworkFilterKind::Rbac(_)
        | NetworkFilterKind::LocalRateLimit(_)
        | NetworkFilterKind::ConnectionLimit(_)
        | NetworkFilterKind::SetFilterState(_)
        | NetworkFilterKind::SniCluster
        | NetworkFilterKind::Ignored => false,
    }
}

fn decode(any: &Any, path: &Path<'_>, around: &dyn Around) -> Got<NetworkFilterKind> {
    let (kind, bytes) = open(any, path)?;
    let ours = kind.strip_prefix(NETWORK).unwrap_or_default();
    Ok(match ours {
        "http_connection_manager.v3.HttpConnectionManager" => {
            let value: HttpConnectionManager = inner(&bytes, path)?;
            NetworkFilterKind::HttpManager(Arc::new(manager::decode(&value, path, around)?))
        }
        "tcp_proxy.v3.TcpProxy" => {
            NetworkFilterKind::TcpProxy(Arc::new(tcp(&inner(&bytes, path)?, path, around)?))
        }
        "rbac.v3.RBAC" => NetworkFilterKind::Rbac(Arc::new(rbac_of(&inner(&bytes, path)?, path)?)),
        "local_ratelimit.v3.LocalRateLimit" => {
            let value: rate_pb::LocalRateLimit = inner(&bytes, path)?;
            NetworkFilterKind::LocalRateLimit(Arc::new(ratelimit::connections(&value, path)?))
        }
        "connection_limit.v3.ConnectionLimit" => {
            let value: limit_pb::ConnectionLimit = inner(&bytes, path)?;
            NetworkFilterKind::ConnectionLimit(Arc::new(connections(&value, path)?))
        }
        "set_filter_state.v3.Config" => {
            let value: state_pb::Config = inner(&bytes, path)?;
            if !value.on_downstream_tls_handshake.is_empty() || !value.on_downstream_data.is_empty()
            {
                return Err(Wrong::at(path, "only on_new_connection is supported"));
            }
            let path = path.field("on_new_connection");
            NetworkFilterKind::SetFilterState(each(&value.on_new_connection, &path, state)?)
        }
        "echo.v3.Echo" => NetworkFilterKind::Echo,
        "direct_response.v3.Config" => {
            let value: direct_pb::Config = inner(&bytes, path)?;
            NetworkFilterKind::DirectResponse(match &value.response {
                Some(source) => data(source, &path.field("response"), around)?.into(),
                None => Arc::default(),
            })
        }
        "sni_cluster.v3.SniCluster" => NetworkFilterKind::SniCluster,
        _ if PASSED_BY.contains(&&*kind) => NetworkFilterKind::Ignored,
        _ => return Err(unknown(&kind, ours, path)),
    })
}

fn unknown(kind: &str, ours: &str, path: &Path<'_>) -> Wrong {
    let later = [
        ("ext_authz.", "ext_authz"),
        ("ext_proc.", "ext_proc"),
        ("wasm.", "Wasm"),
        ("ratelimit.", "the rate limit service (ratelimit)"),
        ("sni_dynamic_forward_proxy.", "the dynamic forward proxy"),
    ];
    let later = later.into_iter().find(|(prefix, _)| ours.starts_with(prefix));
    Wrong::at(
        path,
        match later {
            Some((_, name)) => format!("{name} comes later; this version has no such filter"),
            None => format!("no network filter {kind} is known"),
        },
    )
}

fn rbac_of(value: &rbac_pb::Rbac, path: &Path<'_>) -> Got<NetworkRbac> {
    use rbac_pb::rbac::EnforcementType;
    Ok(NetworkRbac {
        stat_prefix: value.stat_prefix.as_str().into(),
        rbac: Arc::new(rbac::connections(value, path)?),
        continuous: match known(value.enforcement_type, &path.field("enforcement_type"))? {
            EnforcementType::OneTimeOnFirstByte => false,
            EnforcementType::Continuous => true,
        },
        delay: unless_zero(duration(&value.delay_deny, &path.field("delay_deny"))?),
    })
}

fn connections(value: &limit_pb::ConnectionLimit, path: &Path<'_>) -> Got<ConnectionLimit> {
    let max = must(&value.max_connections, &path.field("max_connections"))?.value;
    Ok(ConnectionLimit {
        stat_prefix: value.stat_prefix.as_str().into(),
        max,
        delay: unless_zero(duration(&value.delay, &path.field("delay"))?),
        enabled: runtime_flag(&value.runtime_enabled, true),
    })
}

#[expect(clippy::too_many_lines, reason = "one field after the other")]
fn tcp(value: &tcp_pb::TcpProxy, path: &Path<'_>, around: &dyn Around) -> Got<TcpProxy> {
    use tcp_pb::tcp_proxy::ClusterSpecifier;
    let options = value.access_log_options.as_ref();
    let fields = [
        ("on_demand", value.on_demand.is_some(), "clusters on demand are not supported"),
        (
            "upstream_connect_mode",
            value.upstream_connect_mode != 0,
            "the upstream is connected to at once; leave it out",
        ),
        ("proxy_protocol_tlvs", !value.proxy_protocol_tlvs.is_empty(), "TLVs are not supported"),
        (
            "backoff_options",
            value.backoff_options.is_some(),
            "another try follows at once; leave it out",
        ),
        (
            "access_log_options.flush_access_log_on_connected",
            options.is_some_and(|options| options.flush_access_log_on_connected),
            "a connection has a line when it is over; leave it out",
        ),
    ];
    refuse(path, &fields)?;
    let clusters = match must(&value.cluster_specifier, path)? {
        ClusterSpecifier::Cluster(name) => TcpClusters::One(name.as_str().into()),
        ClusterSpecifier::WeightedClusters(weighted) => {
            let path = path.field("weighted_clusters");
            let clusters = weighted.clusters.iter().map(|cluster| WeightedCluster {
                name: cluster.name.as_str().into(),
                weight: cluster.weight,
                metadata_match: metadata(&cluster.metadata_match),
            });
            let clusters: Arc<[_]> = clusters.collect();
            if clusters.iter().all(|cluster| cluster.weight == 0) {
                let what = "the sum of the weights must be more than 0";
                return Err(Wrong::at(&path.field("clusters"), what));
            }
            TcpClusters::Weighted(clusters)
        }
    };
    let by_ip = |policy: &culvert_proto::api::envoy::r#type::v3::HashPolicy| {
        matches!(policy.policy_specifier, Some(PolicySpecifier::SourceIp(_)))
    };
    let max = &path.field("max_downstream_connection_duration");
    let deprecated =
        duration(&value.access_log_flush_interval, &path.field("access_log_flush_interval"))?;
    let interval = match &value.access_log_options {
        Some(options) => {
            let path = path.field("access_log_options");
            let path = path.field("access_log_flush_interval");
            duration(&options.access_log_flush_interval, &path)?
        }
        None => deprecated,
    };
    Ok(TcpProxy {
        stat_prefix: value.stat_prefix.as_str().into(),
        clusters,
        idle_timeout: limit(
            &value.idle_timeout,
            Some(Duration::from_secs(3600)),
            &path.field("idle_timeout"),
        )?,
        max_connection_duration: unless_zero(duration(
            &value.max_downstream_connection_duration,
            max,
        )?),
        access_logs: logs(&value.access_log, &path.field("access_log"), around)?,
        max_connect_attempts: number(&value.max_connect_attempts)
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN),
        hash_source_ip: value.hash_policy.iter().any(by_ip),
        metadata_match: metadata(&value.metadata_match),
        tunnel: match &value.tunneling_config {
            Some(value) => Some(Arc::new(tunnel(value, &path.field("tunneling_config"))?)),
            None => None,
        },
        log_interval: unless_zero(interval),
    })
}

fn tunnel(value: &tcp_pb::tcp_proxy::TunnelingConfig, path: &Path<'_>) -> Got<Tunnel> {
    let headers = super::mutation::plain(&value.headers_to_add, &path.field("headers_to_add"))?;
    Ok(Tunnel {
        hostname: header_template(&value.hostname, &path.field("hostname"))?,
        use_post: value.use_post,
        post_path: value.post_path.as_str().into(),
        headers: HeaderMutations(headers.into_iter().map(Mutation::Set).collect()),
    })
}
