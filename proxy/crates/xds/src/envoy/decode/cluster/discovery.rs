//! How endpoints are found.
use super::super::{
    Around, Got, Path, Wrong,
    basic::{duration, inner, known, must, number, open, port, some, texts},
    endpoint::{self, Names},
    header,
    source::source,
    value::key,
};
use culvert_model::http::{
    cluster::{Discovery, Dns, DnsFamily, MetadataPath, OriginalDst},
    endpoint::Assignment,
};
use culvert_proto::api::{
    envoy::{
        config::cluster::v3::{
            self as pb,
            cluster::{
                ClusterDiscoveryType, CustomClusterType, DiscoveryType, DnsLookupFamily, LbConfig,
                LbPolicy, RefreshRate,
            },
        },
        extensions::clusters::{
            aggregate::v3::ClusterConfig, common::dns::v3::DnsLookupFamily as DnsFamilyPb,
            dns::v3::DnsCluster,
        },
    },
    google::protobuf as well_known,
};
use std::{sync::Arc, time::Duration};

pub(super) fn decode(value: &pb::Cluster, path: &Path<'_>, around: &dyn Around) -> Got<Discovery> {
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
        DiscoveryType::Static => Discovery::Static(assignment(value, path, Names::Refused)?),
        DiscoveryType::StrictDns => Discovery::StrictDns {
            assignment: assignment(value, path, Names::Allowed)?,
            dns: dns(value, path)?,
        },
        DiscoveryType::LogicalDns => {
            let assignment = one_name(assignment(value, path, Names::Allowed)?, path)?;
            Discovery::LogicalDns { assignment, dns: dns(value, path)? }
        }
        DiscoveryType::Eds => {
            let path = path.field("eds_cluster_config");
            let of = must(&value.eds_cluster_config, &path)?;
            let at = path.field("eds_config");
            Discovery::Eds {
                service: some(&of.service_name).unwrap_or_else(|| value.name.as_str().into()),
                source: source(must(&of.eds_config, &at)?, &at, around)?,
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
            let assignment = assignment(value, path, Names::Allowed)?;
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

fn assignment(value: &pb::Cluster, path: &Path<'_>, names: Names) -> Got<Arc<Assignment>> {
    let path = path.field("load_assignment");
    let of = value
        .load_assignment
        .as_ref()
        .ok_or_else(|| Wrong::at(&path, "not set; this type of cluster needs its endpoints"))?;
    endpoint::decode(of, &path, names).map(Arc::new)
}

/// A cluster of one name.
fn one_name(assignment: Arc<Assignment>, path: &Path<'_>) -> Got<Arc<Assignment>> {
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
