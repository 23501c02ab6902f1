//! Clusters.
use super::{
    Around, Got, Path, Wrong, balance,
    basic::{
        duration, each, flag, inner, known, must, number, open, port, socket_address,
        socket_options, some, texts, unless_zero,
    },
    endpoint, header, health, protocol,
    source::source,
    tls,
    value::{fields, key, metadata},
};
use culvert_model::http::{
    address::{Address, SourceAddress},
    cluster::{
        Breakers, Cluster, Discovery, Dns, DnsFamily, HttpOptions, MetadataPath, OriginalDst,
        Preconnect, RetryLimit, TcpKeepalive, Thresholds, TransportMatch, UpstreamVersion,
    },
    outlier::{FailurePercentage, Outlier, SuccessRate},
};
use culvert_proto::api::{
    envoy::{
        config::{
            cluster::v3::{
                self as pb, OutlierDetection, circuit_breakers,
                cluster::{
                    ClusterDiscoveryType, ClusterProtocolSelection, CustomClusterType,
                    DiscoveryType, DnsLookupFamily, LbConfig, LbPolicy, RefreshRate,
                },
            },
            core::v3::RoutingPriority,
        },
        extensions::{
            clusters::{
                aggregate::v3::ClusterConfig, common::dns::v3::DnsLookupFamily as DnsFamilyPb,
                dns::v3::DnsCluster,
            },
            upstreams::http::v3::{
                HttpProtocolOptions,
                http_protocol_options::{
                    UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
                },
            },
        },
    },
    google::protobuf as well_known,
};
use std::{sync::Arc, time::Duration};

/// Envoy's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CLEANUP: Duration = Duration::from_secs(5);
const BUFFER: u32 = 1 << 20;

/// Under which name options of HTTP are given.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

pub(super) fn decode(value: &pb::Cluster, path: &Path<'_>, around: &dyn Around) -> Got<Cluster> {
    unsupported(value, path)?;
    let discovery = discovery(value, path)?;
    let connect = unless_zero(duration(&value.connect_timeout, &path.field("connect_timeout"))?);
    let matches = &path.field("transport_socket_matches");
    let bind = value.upstream_bind_config.as_ref();
    let common = value.common_lb_config.as_ref();
    let track = value.track_cluster_stats.as_ref();
    let keepalive = value.upstream_connection_options.as_ref();
    Ok(Cluster {
        name: value.name.as_str().into(),
        stat_name: some(&value.alt_stat_name).unwrap_or_else(|| value.name.as_str().into()),
        connect_timeout: connect.unwrap_or(CONNECT_TIMEOUT),
        buffer_limit: number(&value.per_connection_buffer_limit_bytes).unwrap_or(BUFFER),
        balance: balance::decode(value, path)?,
        health_checks: each(&value.health_checks, &path.field("health_checks"), health::decode)?,
        outlier: match &value.outlier_detection {
            Some(value) => Some(Arc::new(outlier(value, &path.field("outlier_detection"))?)),
            None => None,
        },
        breakers: breakers(value, path)?,
        http: http_options(value, path)?,
        transport: tls::upstream(&value.transport_socket, path, around)?,
        transport_matches: each(&value.transport_socket_matches, matches, |value, path| {
            Ok(TransportMatch {
                name: value.name.as_str().into(),
                wanted: fields(&value.r#match).into(),
                transport: tls::upstream(&value.transport_socket, path, around)?,
            })
        })?,
        keepalive: keepalive.and_then(|options| options.tcp_keepalive.as_ref()).map(|of| {
            let seconds = |value| number(value).map(|value| Duration::from_secs(value.into()));
            TcpKeepalive {
                probes: number(&of.keepalive_probes),
                time: seconds(&of.keepalive_time),
                interval: seconds(&of.keepalive_interval),
            }
        }),
        source: sources(value, path)?,
        socket_options: match bind {
            Some(bind) => {
                let path = path.field("upstream_bind_config");
                socket_options(&bind.socket_options, &path.field("socket_options"))?
            }
            None => Arc::default(),
        },
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
        .unwrap_or(CLEANUP),
        discovery,
    })
}

fn unsupported(value: &pb::Cluster, path: &Path<'_>) -> Got<()> {
    let not = |is_set: bool, name: &str, what: &str| {
        if is_set { Err(Wrong::at(&path.field(name), what)) } else { Ok(()) }
    };
    not(
        value.transport_socket_matcher.is_some(),
        "transport_socket_matcher",
        "not supported; give transport_socket_matches",
    )?;
    not(
        !value.dns_resolvers.is_empty() || value.dns_resolution_config.is_some(),
        "dns_resolvers",
        "resolvers of one's own are not supported; those of the system are asked",
    )?;
    not(value.upstream_config.is_some(), "upstream_config", "is not supported")?;
    let passed = |filter: &pb::Filter| {
        filter.typed_config.as_ref().is_some_and(|any| any.type_url.contains("peer_metadata"))
            || filter
                .typed_config
                .as_ref()
                .is_some_and(|any| any.type_url.contains("MetadataExchange"))
    };
    not(!value.filters.iter().all(passed), "filters", "filters of clusters are not supported")
}

fn discovery(value: &pb::Cluster, path: &Path<'_>) -> Got<Discovery> {
    let kind = match &value.cluster_discovery_type {
        Some(ClusterDiscoveryType::ClusterType(custom)) => {
            return custom_discovery(value, custom, path);
        }
        Some(ClusterDiscoveryType::Type(kind)) => known(*kind, &path.field("type"))?,
        None => DiscoveryType::Static,
    };
    if kind != DiscoveryType::Eds && value.eds_cluster_config.is_some() {
        return Err(Wrong::at(&path.field("eds_cluster_config"), "needs type EDS"));
    }
    let provided = value.load_balancing_policy.is_none()
        && value.lb_policy == i32::from(LbPolicy::ClusterProvided);
    let provided =
        provided || (value.load_balancing_policy.is_some() && kind == DiscoveryType::OriginalDst);
    if provided != (kind == DiscoveryType::OriginalDst) {
        let what = "CLUSTER_PROVIDED goes with type ORIGINAL_DST, and with nothing else";
        return Err(Wrong::at(&path.field("lb_policy"), what));
    }
    Ok(match kind {
        DiscoveryType::Static => {
            Discovery::Static(assignment(value, path, endpoint::Names::Refused)?)
        }
        DiscoveryType::StrictDns => Discovery::StrictDns {
            assignment: assignment(value, path, endpoint::Names::Allowed)?,
            dns: dns(value, path)?,
        },
        DiscoveryType::LogicalDns => {
            let assignment = one_name(assignment(value, path, endpoint::Names::Allowed)?, path)?;
            Discovery::LogicalDns { assignment, dns: dns(value, path)? }
        }
        DiscoveryType::Eds => {
            let path = path.field("eds_cluster_config");
            let of = must(&value.eds_cluster_config, &path)?;
            let at = path.field("eds_config");
            Discovery::Eds {
                service: some(&of.service_name).unwrap_or_else(|| value.name.as_str().into()),
                source: source(must(&of.eds_config, &at)?, &at)?,
            }
        }
        DiscoveryType::OriginalDst => {
            if value.load_assignment.is_some() {
                let what = "an ORIGINAL_DST cluster has no endpoints of its own";
                return Err(Wrong::at(&path.field("load_assignment"), what));
            }
            Discovery::OriginalDst(original_dst(value, path)?)
        }
    })
}

fn custom_discovery(
    value: &pb::Cluster,
    custom: &CustomClusterType,
    path: &Path<'_>,
) -> Got<Discovery> {
    let at = path.field("cluster_type");
    let at = at.field("typed_config");
    let (kind, bytes) = open(must(&custom.typed_config, &at)?, &at)?;
    match &*kind {
        "envoy.extensions.clusters.dns.v3.DnsCluster" => {
            let of: DnsCluster = inner(&bytes, &at)?;
            let assignment = assignment(value, path, endpoint::Names::Allowed)?;
            let dns = Dns {
                refresh: duration(&of.dns_refresh_rate, &at.field("dns_refresh_rate"))?
                    .unwrap_or(Dns::default().refresh),
                failure_refresh: match &of.dns_failure_refresh_rate {
                    Some(rate) => {
                        let path = at.field("dns_failure_refresh_rate");
                        Some(refresh(&rate.base_interval, &rate.max_interval, &path)?)
                    }
                    None => None,
                },
                respect_ttl: of.respect_dns_ttl,
                family: match known(of.dns_lookup_family, &at.field("dns_lookup_family"))? {
                    DnsFamilyPb::Unspecified | DnsFamilyPb::Auto => DnsFamily::Auto,
                    DnsFamilyPb::V4Only => DnsFamily::V4Only,
                    DnsFamilyPb::V6Only => DnsFamily::V6Only,
                    DnsFamilyPb::V4Preferred => DnsFamily::V4Preferred,
                    DnsFamilyPb::All => DnsFamily::All,
                },
                jitter: duration(&of.dns_jitter, &at.field("dns_jitter"))?.unwrap_or_default(),
            };
            Ok(if of.all_addresses_in_single_endpoint {
                Discovery::LogicalDns { assignment: one_name(assignment, path)?, dns }
            } else {
                Discovery::StrictDns { assignment, dns }
            })
        }
        "envoy.extensions.clusters.aggregate.v3.ClusterConfig" => {
            let of: ClusterConfig = inner(&bytes, &at)?;
            Ok(Discovery::Aggregate(texts(&of.clusters)))
        }
        kind => {
            let later = match kind {
                kind if kind.contains(".dynamic_forward_proxy.") => {
                    "the dynamic forward proxy comes later".to_owned()
                }
                kind => format!("no cluster {kind} is known"),
            };
            Err(Wrong::at(&at, later))
        }
    }
}

fn assignment(
    value: &pb::Cluster,
    path: &Path<'_>,
    names: endpoint::Names,
) -> Got<Arc<culvert_model::http::endpoint::Assignment>> {
    let path = path.field("load_assignment");
    let of = value
        .load_assignment
        .as_ref()
        .ok_or_else(|| Wrong::at(&path, "not set; this type of cluster needs its endpoints"))?;
    endpoint::decode(of, &path, names).map(Arc::new)
}

/// A cluster of one name.
fn one_name(
    assignment: Arc<culvert_model::http::endpoint::Assignment>,
    path: &Path<'_>,
) -> Got<Arc<culvert_model::http::endpoint::Assignment>> {
    if assignment.endpoints().count() == 1 {
        return Ok(assignment);
    }
    let path = path.field("load_assignment");
    let what = "a LOGICAL_DNS cluster must have one locality with one endpoint";
    Err(Wrong::at(&path.field("endpoints"), what))
}

fn dns(value: &pb::Cluster, path: &Path<'_>) -> Got<Dns> {
    let refresh_rate = duration(&value.dns_refresh_rate, &path.field("dns_refresh_rate"))?;
    Ok(Dns {
        refresh: refresh_rate.unwrap_or(Dns::default().refresh),
        failure_refresh: match &value.dns_failure_refresh_rate {
            Some(RefreshRate { base_interval, max_interval }) => {
                let path = path.field("dns_failure_refresh_rate");
                Some(refresh(base_interval, max_interval, &path)?)
            }
            None => None,
        },
        respect_ttl: value.respect_dns_ttl,
        family: match known(value.dns_lookup_family, &path.field("dns_lookup_family"))? {
            DnsLookupFamily::Auto => DnsFamily::Auto,
            DnsLookupFamily::V4Only => DnsFamily::V4Only,
            DnsLookupFamily::V6Only => DnsFamily::V6Only,
            DnsLookupFamily::V4Preferred => DnsFamily::V4Preferred,
            DnsLookupFamily::All => DnsFamily::All,
        },
        jitter: duration(&value.dns_jitter, &path.field("dns_jitter"))?.unwrap_or_default(),
    })
}

fn refresh(
    base: &Option<well_known::Duration>,
    max: &Option<well_known::Duration>,
    path: &Path<'_>,
) -> Got<(Duration, Duration)> {
    let at = path.field("base_interval");
    let base = duration(base, &at)?.ok_or_else(|| Wrong::at(&at, "not set"))?;
    let at = path.field("max_interval");
    let max = duration(max, &at)?.unwrap_or(base * 10);
    if max < base {
        return Err(Wrong::at(&at, "must not be less than base_interval"));
    }
    Ok((base, max))
}

fn original_dst(value: &pb::Cluster, path: &Path<'_>) -> Got<OriginalDst> {
    let Some(LbConfig::OriginalDstLbConfig(of)) = &value.lb_config else {
        return Ok(OriginalDst::default());
    };
    let path = path.field("original_dst_lb_config");
    let header = match (of.use_http_header, &*of.http_header_name) {
        (false, _) => None,
        (true, "") => Some(http::HeaderName::from_static("x-envoy-original-dst-host")),
        (true, given) => Some(header::name(given, &path.field("http_header_name"))?),
    };
    Ok(OriginalDst {
        header,
        metadata: match &of.metadata_key {
            Some(of) => {
                let (filter, keys) = key(of, &path.field("metadata_key"))?;
                Some(MetadataPath { namespace: filter, path: keys.into() })
            }
            None => None,
        },
        port: match number(&of.upstream_port_override) {
            Some(value) => Some(port(value, &path.field("upstream_port_override"))?),
            None => None,
        },
    })
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

fn breakers(value: &pb::Cluster, path: &Path<'_>) -> Got<Breakers> {
    let mut breakers = Breakers::default();
    let Some(of) = &value.circuit_breakers else { return Ok(breakers) };
    let path = path.field("circuit_breakers");
    let at = path.field("thresholds");
    let mut seen = Vec::new();
    for (i, value) in of.thresholds.iter().enumerate() {
        let path = at.index(i);
        let priority: RoutingPriority = known(value.priority, &path.field("priority"))?;
        // As Envoy has it, the first of a priority counts.
        if seen.contains(&priority) {
            continue;
        }
        seen.push(priority);
        let decoded = thresholds(value);
        match priority {
            RoutingPriority::Default => breakers.default = decoded,
            RoutingPriority::High => breakers.high = decoded,
        }
    }
    let per_host = of.per_host_thresholds.first();
    breakers.max_connections_per_host = per_host.and_then(|of| number(&of.max_connections));
    Ok(breakers)
}

fn thresholds(value: &circuit_breakers::Thresholds) -> Thresholds {
    let default = Thresholds::default();
    let retries = match (&value.retry_budget, number(&value.max_retries)) {
        (Some(budget), _) => RetryLimit::Budget {
            percent: budget.budget_percent.as_ref().map_or(20.0, |percent| percent.value),
            min: number(&budget.min_retry_concurrency).unwrap_or(3),
        },
        (None, Some(count)) => RetryLimit::Count(count),
        (None, None) => default.retries,
    };
    Thresholds {
        max_connections: number(&value.max_connections).unwrap_or(default.max_connections),
        max_pending: number(&value.max_pending_requests).unwrap_or(default.max_pending),
        max_requests: number(&value.max_requests).unwrap_or(default.max_requests),
        retries,
        max_pools: number(&value.max_connection_pools),
        track_remaining: value.track_remaining,
    }
}

fn http_options(value: &pb::Cluster, path: &Path<'_>) -> Got<HttpOptions> {
    let given = value.typed_extension_protocol_options.get(HTTP_OPTIONS);
    if let Some(any) = given {
        let path = path.field("typed_extension_protocol_options");
        let path = path.key(HTTP_OPTIONS);
        let (kind, bytes) = open(any, &path)?;
        if kind != HTTP_OPTIONS {
            return Err(Wrong::at(&path, format!("is of type {kind}")));
        }
        return given_options(&inner(&bytes, &path)?, &path);
    }
    // The deprecated places.
    let is_http2 = value.http2_protocol_options.is_some();
    let downstream =
        value.protocol_selection == i32::from(ClusterProtocolSelection::UseDownstreamProtocol);
    let mut common = protocol::common(
        &value.common_http_protocol_options,
        &path.field("common_http_protocol_options"),
    )?;
    if let Some(most) = number(&value.max_requests_per_connection) {
        common.max_requests_per_connection = std::num::NonZeroU32::new(most);
    }
    let sni = value.upstream_http_protocol_options.as_ref();
    Ok(HttpOptions {
        version: match (downstream, is_http2) {
            (true, _) => UpstreamVersion::AsDownstream,
            (false, true) => UpstreamVersion::Http2,
            (false, false) => UpstreamVersion::Http1,
        },
        http1: protocol::http1(&value.http_protocol_options, &path.field("http_protocol_options"))?,
        http2: protocol::http2(
            &value.http2_protocol_options,
            &path.field("http2_protocol_options"),
        )?,
        common,
        max_headers_kb: None,
        auto_sni: sni.is_some_and(|of| of.auto_sni),
        auto_san_validation: sni.is_some_and(|of| of.auto_san_validation),
        sni_header: None,
    })
}

fn given_options(value: &HttpProtocolOptions, path: &Path<'_>) -> Got<HttpOptions> {
    let is_codec = |filter: &culvert_proto::api::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter| {
        use culvert_proto::api::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
        matches!(&filter.config_type, Some(ConfigType::TypedConfig(any))
            if any.type_url.ends_with(".upstream_codec.v3.UpstreamCodec"))
    };
    if !value.http_filters.iter().all(is_codec) {
        let what = "filters of the upstream side come later";
        return Err(Wrong::at(&path.field("http_filters"), what));
    }
    if value.outlier_detection.is_some() {
        return Err(Wrong::at(&path.field("outlier_detection"), "is not supported"));
    }
    let quic =
        |path: &Path<'_>| Wrong::at(&path.field("http3_protocol_options"), "HTTP/3 comes later");
    let (version, http1, http2) = match must(&value.upstream_protocol_options, path)? {
        UpstreamProtocolOptions::ExplicitHttpConfig(of) => {
            let path = path.field("explicit_http_config");
            match must(&of.protocol_config, &path)? {
                ProtocolConfig::HttpProtocolOptions(of) => {
                    (UpstreamVersion::Http1, Some(of.clone()), None)
                }
                ProtocolConfig::Http2ProtocolOptions(of) => {
                    (UpstreamVersion::Http2, None, Some(of.clone()))
                }
                ProtocolConfig::Http3ProtocolOptions(_) => return Err(quic(&path)),
            }
        }
        UpstreamProtocolOptions::UseDownstreamProtocolConfig(of) => (
            UpstreamVersion::AsDownstream,
            of.http_protocol_options.clone(),
            of.http2_protocol_options.clone(),
        ),
        UpstreamProtocolOptions::AutoConfig(of) => {
            if of.http3_protocol_options.is_some() {
                return Err(quic(&path.field("auto_config")));
            }
            let (http1, http2) = (&of.http_protocol_options, &of.http2_protocol_options);
            (UpstreamVersion::Auto, http1.clone(), http2.clone())
        }
    };
    let common = value.common_http_protocol_options.as_ref();
    let sni = value.upstream_http_protocol_options.as_ref();
    let header = sni.and_then(|of| some(&of.override_auto_sni_header));
    Ok(HttpOptions {
        version,
        http1: protocol::http1(&http1, &path.field("http_protocol_options"))?,
        http2: protocol::http2(&http2, &path.field("http2_protocol_options"))?,
        common: protocol::common(
            &value.common_http_protocol_options,
            &path.field("common_http_protocol_options"),
        )?,
        max_headers_kb: common.and_then(|of| number(&of.max_response_headers_kb)),
        auto_sni: sni.is_some_and(|of| of.auto_sni),
        auto_san_validation: sni.is_some_and(|of| of.auto_san_validation),
        sni_header: match header {
            Some(name) => {
                let path = path.field("upstream_http_protocol_options");
                Some(header::name(&name, &path.field("override_auto_sni_header"))?)
            }
            None => None,
        },
    })
}

fn outlier(value: &OutlierDetection, path: &Path<'_>) -> Got<Outlier> {
    if !value.monitors.is_empty() {
        return Err(Wrong::at(&path.field("monitors"), "is not supported"));
    }
    let default = Outlier::default();
    let of = |value: &Option<_>, default: u32| number(value).unwrap_or(default);
    let time = |value: &Option<_>, default: Duration, name: &str| {
        Ok::<_, Wrong>(duration(value, &path.field(name))?.unwrap_or(default))
    };
    let base = time(&value.base_ejection_time, default.base_ejection, "base_ejection_time")?;
    let max = time(&value.max_ejection_time, default.max_ejection, "max_ejection_time")?;
    let rate = SuccessRate::default();
    let failure = FailurePercentage::default();
    Ok(Outlier {
        consecutive_5xx: of(&value.consecutive_5xx, default.consecutive_5xx),
        enforcing_consecutive_5xx: of(
            &value.enforcing_consecutive_5xx,
            default.enforcing_consecutive_5xx,
        ),
        consecutive_gateway: of(&value.consecutive_gateway_failure, default.consecutive_gateway),
        enforcing_consecutive_gateway: of(
            &value.enforcing_consecutive_gateway_failure,
            default.enforcing_consecutive_gateway,
        ),
        split_local: value.split_external_local_origin_errors,
        consecutive_local: of(&value.consecutive_local_origin_failure, default.consecutive_local),
        enforcing_consecutive_local: of(
            &value.enforcing_consecutive_local_origin_failure,
            default.enforcing_consecutive_local,
        ),
        interval: time(&value.interval, default.interval, "interval")?,
        base_ejection: base,
        max_ejection: max.max(base),
        max_jitter: time(
            &value.max_ejection_time_jitter,
            default.max_jitter,
            "max_ejection_time_jitter",
        )?,
        max_percent: of(&value.max_ejection_percent, default.max_percent),
        always_one: flag(&value.always_eject_one_host, default.always_one),
        success_rate: SuccessRate {
            enforcing: of(&value.enforcing_success_rate, rate.enforcing),
            enforcing_local: of(&value.enforcing_local_origin_success_rate, rate.enforcing_local),
            minimum_hosts: of(&value.success_rate_minimum_hosts, rate.minimum_hosts),
            request_volume: of(&value.success_rate_request_volume, rate.request_volume),
            stdev_factor: of(&value.success_rate_stdev_factor, rate.stdev_factor),
        },
        failure_percentage: FailurePercentage {
            enforcing: of(&value.enforcing_failure_percentage, failure.enforcing),
            enforcing_local: of(
                &value.enforcing_failure_percentage_local_origin,
                failure.enforcing_local,
            ),
            minimum_hosts: of(&value.failure_percentage_minimum_hosts, failure.minimum_hosts),
            request_volume: of(&value.failure_percentage_request_volume, failure.request_volume),
            threshold: of(&value.failure_percentage_threshold, failure.threshold),
        },
        healthy_returns: flag(
            &value.successful_active_health_check_uneject_host,
            default.healthy_returns,
        ),
    })
}
