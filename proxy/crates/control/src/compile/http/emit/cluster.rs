//! Clusters: whom connections may go to, and how they are spread.
use super::{
    super::plan::traffic::{Balancer, HashKey, HashTable, LocalityPolicy, TrafficPolicy, Warmup},
    assignment,
    names::{BLACK_HOLE, PASSTHROUGH},
    pool, tls,
    words::{ads, duration, is_name, is_value, large},
};
use culvert_model::service::AppProtocol;
use culvert_proto::api::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{
                    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, DnsLookupFamily,
                    EdsClusterConfig, LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig,
                    RingHashLbConfig, RoundRobinLbConfig, SlowStartConfig,
                    common_lb_config::{LocalityConfigSpecifier, LocalityWeightedLbConfig},
                },
            },
            core::v3::{Metadata, RuntimeDouble},
            endpoint::v3::ClusterLoadAssignment,
            route::v3::route_action::{
                HashPolicy,
                hash_policy::{
                    ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier,
                    QueryParameter,
                },
            },
        },
        r#type::v3::Percent,
    },
    google::protobuf::{ListValue, Struct, Value, value::Kind},
};
use std::{sync::Arc, time::Duration};

/// Istio's, where nothing is said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Istio's.
const DNS_REFRESH: Duration = Duration::from_mins(1);

/// Envoy's limits.
const LARGEST_RING: u64 = 8 * 1024 * 1024;
const LARGEST_TABLE: u64 = 5_000_011;

/// What a cluster is made of.
pub(super) struct Wanted<'a> {
    pub(super) name: String,
    /// What the service is called.
    pub(super) host: &'a str,
    pub(super) namespace: &'a str,
    pub(super) short_name: &'a str,
    pub(super) protocol: AppProtocol,
    pub(super) policy: &'a TrafficPolicy,
    pub(super) finding: Finding,
    pub(super) metadata: Option<Metadata>,
}

/// How endpoints are found.
pub(super) enum Finding {
    /// They come by themselves.
    Endpoints,
    Names(ClusterLoadAssignment),
    OneName(ClusterLoadAssignment),
    Original,
}

#[expect(deprecated, reason = "for DNS, every Envoy knows the old fields")]
pub(super) fn cluster(wanted: Wanted<'_>) -> Cluster {
    let Wanted { name, host, namespace, short_name, protocol, policy, finding, metadata } = wanted;
    let balancer = policy.balancer.clone().unwrap_or(Balancer::LeastRequest(None));
    let finding = if balancer == Balancer::Passthrough { Finding::Original } else { finding };
    let (lb_policy, lb_config) = match finding {
        Finding::Original => (LbPolicy::ClusterProvided, None),
        Finding::Endpoints | Finding::Names(_) | Finding::OneName(_) => spread(&balancer),
    };
    let is_dns = matches!(finding, Finding::Names(_) | Finding::OneName(_));
    let (kind, assignment, eds) = match finding {
        Finding::Endpoints => {
            let eds = EdsClusterConfig { eds_config: Some(ads()), service_name: name.clone() };
            (DiscoveryType::Eds, None, Some(eds))
        }
        Finding::Names(assignment) => (DiscoveryType::StrictDns, Some(assignment), None),
        Finding::OneName(assignment) => {
            let one = assignment::first(assignment);
            let is_there = !one.endpoints.is_empty();
            let kind = if is_there { DiscoveryType::LogicalDns } else { DiscoveryType::StrictDns };
            (kind, Some(one), None)
        }
        Finding::Original => (DiscoveryType::OriginalDst, None, None),
    };
    let mut metadata = metadata.unwrap_or_default();
    metadata.filter_metadata.insert("istio".into(), istio(host, namespace, short_name));
    Cluster {
        alt_stat_name: String::new(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(kind.into())),
        eds_cluster_config: eds,
        load_assignment: assignment,
        connect_timeout: Some(super::words::some_time(
            policy.pool.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        )),
        lb_policy: lb_policy.into(),
        lb_config,
        common_lb_config: common(policy),
        circuit_breakers: Some(pool::breakers(policy)),
        outlier_detection: policy.outlier.as_ref().map(pool::outlier),
        upstream_connection_options: policy.pool.keepalive.map(pool::keepalive),
        typed_extension_protocol_options: pool::options(policy, protocol),
        transport_socket: tls::upstream(policy, protocol, host),
        dns_refresh_rate: is_dns.then(|| duration(DNS_REFRESH)),
        respect_dns_ttl: is_dns,
        dns_lookup_family: match is_dns {
            true => DnsLookupFamily::V4Preferred.into(),
            false => DnsLookupFamily::Auto.into(),
        },
        metadata: Some(metadata),
        name,
        ..Cluster::default()
    }
}

/// What Istio says of a cluster, for those who count.
fn istio(host: &str, namespace: &str, name: &str) -> Struct {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let fields = [("host", host), ("name", name), ("namespace", namespace)];
    let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), text(value)));
    let service = Kind::StructValue(Struct { fields: fields.collect() });
    let services = ListValue { values: vec![Value { kind: Some(service) }] };
    let services = Value { kind: Some(Kind::ListValue(services)) };
    Struct { fields: [("services".to_owned(), services)].into() }
}

fn spread(balancer: &Balancer) -> (LbPolicy, Option<LbConfig>) {
    match balancer {
        Balancer::RoundRobin(warmup) => {
            let config = warmup
                .as_ref()
                .map(|warmup| RoundRobinLbConfig { slow_start_config: Some(slow_start(warmup)) });
            (LbPolicy::RoundRobin, config.map(LbConfig::RoundRobinLbConfig))
        }
        Balancer::LeastRequest(warmup) => {
            let config = warmup.as_ref().map(|warmup| LeastRequestLbConfig {
                slow_start_config: Some(slow_start(warmup)),
                ..LeastRequestLbConfig::default()
            });
            (LbPolicy::LeastRequest, config.map(LbConfig::LeastRequestLbConfig))
        }
        Balancer::Random => (LbPolicy::Random, None),
        Balancer::Passthrough => (LbPolicy::ClusterProvided, None),
        Balancer::Hash { keys: _, table: HashTable::Ring { minimum } } => {
            let config = minimum.map(|minimum| {
                LbConfig::RingHashLbConfig(RingHashLbConfig {
                    minimum_ring_size: Some(large(minimum.clamp(1, LARGEST_RING))),
                    ..RingHashLbConfig::default()
                })
            });
            (LbPolicy::RingHash, config)
        }
        Balancer::Hash { keys: _, table: HashTable::Maglev { size } } => {
            let size = size.filter(|size| *size <= LARGEST_TABLE && is_prime(*size));
            let config = size.map(|size| {
                LbConfig::MaglevLbConfig(MaglevLbConfig { table_size: Some(large(size)) })
            });
            (LbPolicy::Maglev, config)
        }
    }
}

fn is_prime(number: u64) -> bool {
    number > 1 && (2..).take_while(|of| of * of <= number).all(|of| !number.is_multiple_of(of))
}

fn slow_start(Warmup { duration, minimum_percent, aggression }: &Warmup) -> SlowStartConfig {
    SlowStartConfig {
        slow_start_window: Some(super::words::some_time(*duration)),
        aggression: aggression.filter(|of| *of > 0).map(|thousandths| RuntimeDouble {
            default_value: f64::from(thousandths) / 1000.0,
            runtime_key: "culvert.slow_start.aggression".into(),
        }),
        min_weight_percent: minimum_percent
            .map(|percent| Percent { value: f64::from(percent.min(100)) }),
    }
}

fn common(policy: &TrafficPolicy) -> Option<CommonLbConfig> {
    let weighted = matches!(policy.locality, LocalityPolicy::Distribute(_));
    let outlier = policy.outlier.as_ref();
    let panic = outlier.map(|outlier| outlier.min_health_percent.unwrap_or(0).min(100));
    (weighted || panic.is_some()).then(|| CommonLbConfig {
        healthy_panic_threshold: panic.map(|percent| Percent { value: f64::from(percent) }),
        locality_config_specifier: weighted.then_some(
            LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {}),
        ),
        ..CommonLbConfig::default()
    })
}

/// What requests have in common that go to one endpoint.
pub(super) fn hash(policy: &TrafficPolicy) -> Vec<HashPolicy> {
    let Some(Balancer::Hash { keys, table: _ }) = &policy.balancer else { return Vec::new() };
    let specifier = |key: &HashKey| {
        Some(match key {
            HashKey::Header(name) if is_name(name) => PolicySpecifier::Header(Header {
                header_name: name.to_string(),
                ..Header::default()
            }),
            HashKey::Cookie { name, path, ttl, attributes } if is_cookie(name) => {
                let path = path.as_ref().filter(|path| is_value(path) && !path.contains(';'));
                PolicySpecifier::Cookie(Cookie {
                    name: name.to_string(),
                    ttl: ttl.map(duration),
                    path: path.map(ToString::to_string).unwrap_or_default(),
                    attributes: attributes.iter().filter_map(attribute).collect(),
                })
            }
            HashKey::SourceIp => {
                PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true })
            }
            HashKey::Query(name) if !name.is_empty() => {
                PolicySpecifier::QueryParameter(QueryParameter { name: name.to_string() })
            }
            HashKey::Header(_) | HashKey::Cookie { .. } | HashKey::Query(_) => return None,
        })
    };
    let specifiers = keys.iter().filter_map(specifier);
    specifiers
        .map(|specifier| HashPolicy { policy_specifier: Some(specifier), ..HashPolicy::default() })
        .collect()
}

/// `None`: it would end the cookie, or the header.
fn attribute((name, value): &(Arc<str>, Arc<str>)) -> Option<CookieAttribute> {
    let is_fine = is_name(name) && is_value(value) && !value.contains(';');
    is_fine.then(|| CookieAttribute { name: name.to_string(), value: value.to_string() })
}

fn is_cookie(name: &str) -> bool {
    is_name(name) && !name.starts_with(':')
}

/// Wherever connections were meant to go.
pub(super) fn passthrough() -> Cluster {
    original(PASSTHROUGH.to_owned())
}

/// Nowhere.
pub(super) fn black_hole() -> Cluster {
    Cluster {
        name: BLACK_HOLE.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: BLACK_HOLE.to_owned(),
            ..ClusterLoadAssignment::default()
        }),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        ..Cluster::default()
    }
}

/// The pod that a connection was meant for, whatever is spoken.
pub(super) fn original(name: String) -> Cluster {
    let policy = TrafficPolicy::default();
    Cluster {
        name,
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        lb_policy: LbPolicy::ClusterProvided.into(),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        circuit_breakers: Some(pool::breakers(&policy)),
        typed_extension_protocol_options: pool::options(&policy, AppProtocol::Unknown),
        ..Cluster::default()
    }
}
