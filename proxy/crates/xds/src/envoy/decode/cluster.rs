//! Clusters.
use super::{
    Around, Got, Path, Wrong, balance,
    basic::{
        duration, each, must, number, refuse, socket_address, socket_options, some, unless_zero,
    },
    health, tls,
    value::{fields, metadata},
};
use culvert_model::http::{
    address::{Address, SocketOption, SourceAddress},
    cluster::{Cluster, Preconnect, TcpKeepalive, TransportMatch},
};
use culvert_proto::api::{envoy::config::cluster::v3 as pb, google::protobuf as well_known};
use std::{sync::Arc, time::Duration};

mod discovery;

mod limits;

mod options;

pub(super) fn decode(value: &pb::Cluster, path: &Path<'_>, around: &dyn Around) -> Got<Cluster> {
    unsupported(value, path)?;
    let discovery = discovery::decode(value, path, around)?;
    let connect = unless_zero(duration(&value.connect_timeout, &path.field("connect_timeout"))?);
    let matches = &path.field("transport_socket_matches");
    let common = value.common_lb_config.as_ref();
    let track = value.track_cluster_stats.as_ref();
    if value.health_checks.len() > 1 {
        return Err(Wrong::at(&path.field("health_checks"), "more than one is not supported"));
    }
    Ok(Cluster {
        name: value.name.as_str().into(),
        stat_name: some(&value.alt_stat_name).unwrap_or_else(|| value.name.as_str().into()),
        connect_timeout: connect.unwrap_or(Cluster::CONNECT_TIMEOUT),
        buffer_limit: number(&value.per_connection_buffer_limit_bytes)
            .unwrap_or(Cluster::BUFFER_LIMIT),
        balance: balance::decode(value, path)?,
        health_checks: each(&value.health_checks, &path.field("health_checks"), health::decode)?,
        outlier: match &value.outlier_detection {
            Some(value) => {
                Some(Arc::new(limits::outlier(value, &path.field("outlier_detection"))?))
            }
            None => None,
        },
        breakers: limits::breakers(value, path)?,
        http: options::decode(value, path)?,
        transport: tls::upstream(&value.transport_socket, path, around)?,
        transport_matches: each(&value.transport_socket_matches, matches, |value, path| {
            Ok(TransportMatch {
                name: value.name.as_str().into(),
                wanted: fields(&value.r#match).into(),
                transport: tls::upstream(&value.transport_socket, path, around)?,
            })
        })?,
        keepalive: keepalive(value),
        source: sources(value, path)?,
        socket_options: options_of_sockets(value, path)?,
        metadata: metadata(&value.metadata),
        close_on_unhealthy: value.close_connections_on_host_health_failure,
        ignore_health_on_removal: value.ignore_health_on_host_removal,
        close_pools_on_change: common.is_some_and(|of| of.close_connections_on_host_set_change),
        track_budgets: value.track_timeout_budgets || track.is_some_and(|of| of.timeout_budgets),
        preconnect: preconnect(value),
        cleanup_interval: unless_zero(duration(
            &value.cleanup_interval,
            &path.field("cleanup_interval"),
        )?)
        .unwrap_or(Cluster::CLEANUP_INTERVAL),
        discovery,
    })
}

fn unsupported(value: &pb::Cluster, path: &Path<'_>) -> Got<()> {
    let informs = |filter: &pb::Filter| {
        let kind = filter.typed_config.as_ref().map_or("", |any| &any.type_url);
        ["peer_metadata", "MetadataExchange"].iter().any(|known| kind.contains(known))
    };
    let fields = [
        (
            "transport_socket_matcher",
            value.transport_socket_matcher.is_some(),
            "not supported; give transport_socket_matches",
        ),
        (
            "dns_resolvers",
            !value.dns_resolvers.is_empty() || value.dns_resolution_config.is_some(),
            "resolvers of one's own are not supported; those of the system are asked",
        ),
        (
            "preconnect_policy.predictive_preconnect_ratio",
            1.0 < preconnect(value).predictive,
            "connecting to endpoints that were not chosen yet comes later; give per_upstream_preconnect_ratio",
        ),
        (
            "connection_pool_per_downstream_connection",
            value.connection_pool_per_downstream_connection,
            "requests of all clients share connections; leave it out",
        ),
        ("upstream_config", value.upstream_config.is_some(), "is not supported"),
        ("filters", !value.filters.iter().all(informs), "filters of clusters are not supported"),
    ];
    refuse(path, &fields)
}

fn sources(value: &pb::Cluster, path: &Path<'_>) -> Got<Arc<[SourceAddress]>> {
    let Some(bind) = &value.upstream_bind_config else { return Ok(Arc::default()) };
    let path = path.field("upstream_bind_config");
    let of = |address: &_, path: &Path<'_>| match socket_address(address, path)? {
        Address::Socket(addr) => Ok(SourceAddress { ip: addr.ip(), port: addr.port() }),
        Address::Name { .. } | Address::Pipe(_) => {
            Err(Wrong::at(&path.field("address"), "is not an IP address"))
        }
    };
    let mut all = Vec::new();
    if let Some(first) = &bind.source_address {
        all.push(of(first, &path.field("source_address"))?);
    }
    let at = path.field("extra_source_addresses");
    for (i, more) in bind.extra_source_addresses.iter().enumerate() {
        let path = at.index(i);
        let path = path.field("address");
        all.push(of(must(&more.address, &path)?, &path)?);
    }
    let at = path.field("additional_source_addresses");
    for (i, more) in bind.additional_source_addresses.iter().enumerate() {
        all.push(of(more, &at.index(i))?);
    }
    // Nothing chosen is left to the system.
    all.retain(|source| !source.ip.is_unspecified() || source.port != 0);
    Ok(all.into())
}

fn options_of_sockets(value: &pb::Cluster, path: &Path<'_>) -> Got<Arc<[SocketOption]>> {
    let Some(bind) = &value.upstream_bind_config else { return Ok(Arc::default()) };
    let path = path.field("upstream_bind_config");
    socket_options(&bind.socket_options, &path.field("socket_options"))
}

fn keepalive(value: &pb::Cluster) -> Option<TcpKeepalive> {
    let of = value.upstream_connection_options.as_ref()?.tcp_keepalive.as_ref()?;
    let seconds = |value| number(value).map(|value| Duration::from_secs(value.into()));
    Some(TcpKeepalive {
        probes: number(&of.keepalive_probes),
        time: seconds(&of.keepalive_time),
        interval: seconds(&of.keepalive_interval),
    })
}

fn preconnect(value: &pb::Cluster) -> Preconnect {
    let default = Preconnect::default();
    let ratio = |value: &Option<well_known::DoubleValue>, default: f64| {
        value.as_ref().map_or(default, |value| value.value)
    };
    value.preconnect_policy.as_ref().map_or(default, |of| Preconnect {
        per_upstream: ratio(&of.per_upstream_preconnect_ratio, default.per_upstream),
        predictive: ratio(&of.predictive_preconnect_ratio, default.predictive),
    })
}
