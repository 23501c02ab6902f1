//! Filters of connections: the HTTP manager, bytes to a cluster, filter chains.
use super::{
    super::plan::traffic::Tunnel,
    route::{CORS, FAULT},
    words::{ads, any, duration, flag, number},
};
use crate::compile::mesh::Certificates;
use culvert_proto::{
    Message, Name,
    api::envoy::{
        config::{
            listener::v3::{
                Filter, FilterChain, FilterChainMatch, ListenerFilter, filter::ConfigType,
                listener_filter,
            },
            route::v3::RouteConfiguration,
        },
        extensions::filters::{
            http::{cors::v3::Cors, fault::v3::HttpFault, router::v3::Router},
            listener::{http_inspector::v3::HttpInspector, tls_inspector::v3::TlsInspector},
            network::{
                http_connection_manager::v3::{
                    HttpConnectionManager, HttpFilter, Rds,
                    http_connection_manager::{
                        CodecType, ForwardClientCertDetails, RouteSpecifier,
                        ServerHeaderTransformation, SetCurrentClientCertDetails, UpgradeConfig,
                    },
                    http_filter,
                },
                tcp_proxy::v3::{
                    TcpProxy,
                    tcp_proxy::{
                        ClusterSpecifier, TunnelingConfig, WeightedCluster,
                        weighted_cluster::ClusterWeight,
                    },
                },
            },
        },
    },
};
use std::time::Duration;

/// What plain text looks like to the listener filters.
pub(super) const PLAIN: &str = "raw_buffer";

/// What TLS looks like to them.
pub(super) const TLS: &str = "tls";

/// What HTTP looks like to them.
pub(super) const HTTP: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];

/// On which side of connections requests are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A client's, in the mesh.
    Outbound,
    /// A server's, in the mesh.
    Inbound(Certificates),
    /// For strangers.
    Gateway,
}

/// Which routes a manager has.
pub(super) enum Routes {
    Named(String),
    Here(Box<RouteConfiguration>),
}

/// `filters` are asked before the others.
pub(super) fn http(prefix: &str, side: Side, routes: Routes, filters: Vec<HttpFilter>) -> Filter {
    let mut all = filters;
    if !matches!(side, Side::Inbound(_)) {
        all.push(http_filter(CORS, &Cors {}));
        all.push(http_filter(FAULT, &HttpFault::default()));
    }
    let router = Router { suppress_envoy_headers: true, ..Router::default() };
    all.push(http_filter("envoy.filters.http.router", &router));
    let (forward, tells) = match side {
        // Whom the tunnel proved is known; what a client says of certificates nobody knows.
        Side::Inbound(Certificates::Set) => (ForwardClientCertDetails::SanitizeSet, true),
        Side::Inbound(Certificates::Append) => (ForwardClientCertDetails::AppendForward, true),
        Side::Inbound(Certificates::Sanitize) | Side::Gateway => {
            (ForwardClientCertDetails::Sanitize, false)
        }
        Side::Outbound => (ForwardClientCertDetails::AlwaysForwardOnly, false),
    };
    filter(
        "envoy.filters.network.http_connection_manager",
        &HttpConnectionManager {
            stat_prefix: prefix.to_owned(),
            codec_type: CodecType::Auto.into(),
            http_filters: all,
            use_remote_address: Some(flag(side == Side::Gateway)),
            // The mesh is not seen by those who talk through it.
            skip_xff_append: side != Side::Gateway,
            generate_request_id: Some(flag(true)),
            preserve_external_request_id: side != Side::Gateway,
            server_header_transformation: ServerHeaderTransformation::PassThrough.into(),
            forward_client_cert_details: forward.into(),
            set_current_client_cert_details: tells.then(|| SetCurrentClientCertDetails {
                uri: true,
                ..SetCurrentClientCertDetails::default()
            }),
            stream_idle_timeout: Some(duration(Duration::ZERO)),
            // What policies and routes are compared with is one path, however it is written.
            normalize_path: Some(flag(true)),
            upgrade_configs: vec![UpgradeConfig {
                upgrade_type: "websocket".into(),
                ..UpgradeConfig::default()
            }],
            route_specifier: Some(match routes {
                Routes::Named(name) => {
                    RouteSpecifier::Rds(Rds { config_source: Some(ads()), route_config_name: name })
                }
                Routes::Here(table) => RouteSpecifier::RouteConfig(*table),
            }),
            ..HttpConnectionManager::default()
        },
    )
}

pub(super) fn http_filter<M: Message + Name>(name: &str, config: &M) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(config))),
        ..HttpFilter::default()
    }
}

pub(super) fn tcp(prefix: &str, stream: Stream) -> Filter {
    let Stream { mut to, tunnel, idle, most } = stream;
    let clusters = match to.len() {
        0 | 1 => ClusterSpecifier::Cluster(
            to.pop().map_or_else(|| super::names::BLACK_HOLE.to_owned(), |(name, _)| name),
        ),
        _ => ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: (to.into_iter())
                .map(|(name, weight)| ClusterWeight { name, weight, ..ClusterWeight::default() })
                .collect(),
        }),
    };
    filter(
        "envoy.filters.network.tcp_proxy",
        &TcpProxy {
            stat_prefix: prefix.to_owned(),
            idle_timeout: idle.map(duration),
            max_downstream_connection_duration: most.map(super::words::some_time),
            cluster_specifier: Some(clusters),
            tunneling_config: tunnel.map(|tunnel| TunnelingConfig {
                // It is a format, of which this is no operator.
                hostname: tunnel.to.replace('%', "%%"),
                use_post: tunnel.is_post,
                ..TunnelingConfig::default()
            }),
            ..TcpProxy::default()
        },
    )
}

/// Where bytes go.
#[derive(Clone, Default)]
pub(super) struct Stream {
    /// Clusters and their weights; none: the connection is closed.
    pub(super) to: Vec<(String, u32)>,
    pub(super) tunnel: Option<Tunnel>,
    pub(super) idle: Option<Duration>,
    /// How long a connection may take.
    pub(super) most: Option<Duration>,
}

pub(super) fn filter<M: Message + Name>(name: &str, config: &M) -> Filter {
    Filter { name: name.to_owned(), config_type: Some(ConfigType::TypedConfig(any(config))) }
}

pub(super) fn chain(name: &str, when: FilterChainMatch, filters: Vec<Filter>) -> FilterChain {
    FilterChain {
        name: name.to_owned(),
        filter_chain_match: (when != FilterChainMatch::default()).then_some(when),
        filters,
        ..FilterChain::default()
    }
}

/// What looks at the first bytes.
pub(super) fn inspectors(tls: bool, http: bool) -> Vec<ListenerFilter> {
    let tls = tls.then(|| inspector("tls_inspector", &TlsInspector::default()));
    let http = http.then(|| inspector("http_inspector", &HttpInspector::default()));
    tls.into_iter().chain(http).collect()
}

fn inspector<M: Message + Name>(name: &str, config: &M) -> ListenerFilter {
    ListenerFilter {
        name: format!("envoy.filters.listener.{name}"),
        config_type: Some(listener_filter::ConfigType::TypedConfig(any(config))),
        ..ListenerFilter::default()
    }
}

/// With a port of the destination.
pub(super) fn at_port(port: u16, when: FilterChainMatch) -> FilterChainMatch {
    FilterChainMatch { destination_port: Some(number(port.into())), ..when }
}
