//! To a cluster, and how.
use super::{
    super::{
        Around, Got, Path, Wrong,
        basic::{duration, each, flag, known, number, refuse, runtime_fraction, some, status},
        filter::{overrides, route_cors},
        header::field,
        mutation::{both_ways, steps},
        ratelimit::limits,
        text::substitution,
        value::metadata,
    },
    retry,
};
use culvert_model::http::{
    matcher::Fraction,
    route::{
        ClusterChoice, Forward, HostRewrite, InternalRedirect, Mirror, MirrorCluster, PathMatch,
        PathRewrite, Priority, RouteMatch, StreamLimit, Timeouts, Upgrade, Weighted,
        WeightedCluster, WeightedName,
    },
};
use culvert_proto::api::envoy::config::{
    core::v3::RoutingPriority,
    route::v3::{
        self as pb, WeightedCluster as WeightedPb,
        route_action::{
            self, ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier,
            InternalRedirectAction,
        },
        weighted_cluster::{
            ClusterWeight, RandomValueSpecifier, cluster_weight::HostRewriteSpecifier as Host,
        },
    },
};
use std::{sync::Arc, time::Duration};

mod hash;

pub(in super::super) use hash::decode as hash_policies;

/// Envoy's, where a route says nothing.
const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn decode(
    value: &pb::RouteAction,
    when: &RouteMatch,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Forward> {
    unsupported(value, path)?;
    let not_found = &path.field("cluster_not_found_response_code");
    let not_found = match known(value.cluster_not_found_response_code, not_found)? {
        ClusterNotFoundResponseCode::ServiceUnavailable => http::StatusCode::SERVICE_UNAVAILABLE,
        ClusterNotFoundResponseCode::NotFound => http::StatusCode::NOT_FOUND,
        ClusterNotFoundResponseCode::InternalServerError => http::StatusCode::INTERNAL_SERVER_ERROR,
    };
    Ok(Forward {
        cluster: choice(value, path, around)?,
        not_found,
        metadata_match: metadata(&value.metadata_match),
        path: rewrite(value, when, path)?,
        host: host(&value.host_rewrite_specifier, path)?,
        append_forwarded_host: value.append_x_forwarded_host,
        timeouts: timeouts(value, path)?,
        retry: retry::policy(&value.retry_policy, &path.field("retry_policy"))?,
        mirrors: mirrors(&value.request_mirror_policies, &path.field("request_mirror_policies"))?,
        hash: hash_policies(&value.hash_policy, &path.field("hash_policy"))?,
        upgrades: upgrades(value, path)?,
        priority: match known(value.priority, &path.field("priority"))? {
            RoutingPriority::Default => Priority::Default,
            RoutingPriority::High => Priority::High,
        },
        rate_limits: limits(&value.rate_limits, &path.field("rate_limits"))?,
        host_rate_limits: flag(&value.include_vh_rate_limits, false),
        internal_redirect: internal_redirect(value, path)?,
        cors: match &value.cors {
            Some(value) => Some(Arc::new(route_cors(value, &path.field("cors"))?)),
            None => None,
        },
    })
}

fn unsupported(value: &pb::RouteAction, path: &Path<'_>) -> Got<()> {
    let hedge = value.hedge_policy.as_ref();
    let fields = [
        (
            "path_rewrite_policy",
            value.path_rewrite_policy.is_some(),
            "URI templates are not supported; give prefix_rewrite or regex_rewrite",
        ),
        (
            "flush_timeout",
            value.flush_timeout.is_some(),
            "not supported; give the manager's stream_flush_timeout",
        ),
        ("path_rewrite", !value.path_rewrite.is_empty(), "is not supported"),
        (
            "retry_policy_typed_config",
            value.retry_policy_typed_config.is_some(),
            "not supported; give retry_policy",
        ),
        (
            "hedge_policy",
            hedge.is_some_and(|hedge| hedge.hedge_on_per_try_timeout),
            "hedging comes later; leave it out",
        ),
    ];
    refuse(path, &fields)
}

fn choice(value: &pb::RouteAction, path: &Path<'_>, around: &dyn Around) -> Got<ClusterChoice> {
    let what = "one of cluster, weighted_clusters, cluster_header must be set";
    let chosen = value.cluster_specifier.as_ref().ok_or_else(|| Wrong::at(path, what))?;
    Ok(match chosen {
        ClusterSpecifier::Cluster(name) => ClusterChoice::Named(name.as_str().into()),
        ClusterSpecifier::ClusterHeader(header) => {
            ClusterChoice::Header(field(header, &path.field("cluster_header"))?)
        }
        ClusterSpecifier::WeightedClusters(value) => {
            ClusterChoice::Weighted(weighted(value, &path.field("weighted_clusters"), around)?)
        }
        ClusterSpecifier::ClusterSpecifierPlugin(_)
        | ClusterSpecifier::InlineClusterSpecifierPlugin(_) => {
            let what = "cluster specifier plugins are not supported";
            return Err(Wrong::at(path, what));
        }
    })
}

fn weighted(value: &WeightedPb, path: &Path<'_>, around: &dyn Around) -> Got<Weighted> {
    let at = path.field("clusters");
    let clusters: Box<[WeightedCluster]> =
        each(&value.clusters, &at, |value, path| weighted_cluster(value, path, around))?;
    let total: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
    if total == 0 {
        return Err(Wrong::at(&at, "the sum of the weights must be more than 0"));
    }
    if u32::try_from(total).is_err() {
        return Err(Wrong::at(&at, format!("the sum of the weights is too large: {total}")));
    }
    let (dice_header, by_hash) = match &value.random_value_specifier {
        None => (None, false),
        Some(RandomValueSpecifier::HeaderName(name)) => {
            (Some(field(name, &path.field("header_name"))?), false)
        }
        Some(RandomValueSpecifier::UseHashPolicy(by_hash)) => (None, by_hash.value),
    };
    Ok(Weighted {
        clusters,
        total,
        dice_header,
        runtime_prefix: some(&value.runtime_key_prefix),
        by_hash,
    })
}

fn weighted_cluster(
    value: &ClusterWeight,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<WeightedCluster> {
    let cluster = match (value.name.is_empty(), value.cluster_header.is_empty()) {
        (false, true) => WeightedName::Named(value.name.as_str().into()),
        (true, false) => {
            WeightedName::Header(field(&value.cluster_header, &path.field("cluster_header"))?)
        }
        (true, true) | (false, false) => {
            return Err(Wrong::at(path, "one of name and cluster_header must be set"));
        }
    };
    let (request, response) = both_ways(value, path)?;
    Ok(WeightedCluster {
        cluster,
        weight: number(&value.weight).unwrap_or(0),
        metadata_match: metadata(&value.metadata_match),
        request,
        response,
        host: (value.host_rewrite_specifier.as_ref())
            .and_then(|Host::HostRewriteLiteral(host)| some(host)),
        per_filter: overrides(&value.typed_per_filter_config, path, around)?,
    })
}

fn rewrite(value: &pb::RouteAction, when: &RouteMatch, path: &Path<'_>) -> Got<PathRewrite> {
    match (&value.regex_rewrite, &*value.prefix_rewrite) {
        (None, "") => Ok(PathRewrite::Keep),
        (Some(of), "") => Ok(PathRewrite::Regex(substitution(of, &path.field("regex_rewrite"))?)),
        (Some(_), _) => {
            Err(Wrong::at(&path.field("prefix_rewrite"), "cannot be given beside regex_rewrite"))
        }
        (None, _) if matches!(when.path, PathMatch::Connect) => {
            Err(Wrong::at(&path.field("prefix_rewrite"), "CONNECT has no path to rewrite"))
        }
        (None, prefix) => Ok(PathRewrite::Prefix(prefix.into())),
    }
}

fn host(value: &Option<HostRewriteSpecifier>, path: &Path<'_>) -> Got<HostRewrite> {
    Ok(match value {
        None => HostRewrite::Keep,
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if host.is_empty() => {
            HostRewrite::Keep
        }
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
            HostRewrite::Literal(host.as_str().into())
        }
        Some(HostRewriteSpecifier::AutoHostRewrite(auto)) => {
            if auto.value {
                HostRewrite::Auto
            } else {
                HostRewrite::Keep
            }
        }
        Some(HostRewriteSpecifier::HostRewriteHeader(header)) => {
            HostRewrite::Header(field(header, &path.field("host_rewrite_header"))?)
        }
        Some(HostRewriteSpecifier::HostRewritePathRegex(of)) => {
            HostRewrite::PathRegex(substitution(of, &path.field("host_rewrite_path_regex"))?)
        }
        Some(HostRewriteSpecifier::HostRewrite(_)) => {
            return Err(Wrong::at(&path.field("host_rewrite"), "is not supported"));
        }
    })
}

fn timeouts(value: &pb::RouteAction, path: &Path<'_>) -> Got<Timeouts> {
    let of = |value: &Option<_>, name: &str| duration(value, &path.field(name));
    let stream = match &value.max_stream_duration {
        None => None,
        Some(limit) => {
            let path = path.field("max_stream_duration");
            let of = |value: &Option<_>, name: &str| duration(value, &path.field(name));
            Some(StreamLimit {
                limit: of(&limit.max_stream_duration, "max_stream_duration")?,
                grpc_max: of(&limit.grpc_timeout_header_max, "grpc_timeout_header_max")?,
                grpc_offset: of(&limit.grpc_timeout_header_offset, "grpc_timeout_header_offset")?,
            })
        }
    };
    let request = of(&value.timeout, "timeout")?.unwrap_or(TIMEOUT);
    Ok(Timeouts {
        request: Some(request).filter(|timeout| !timeout.is_zero()),
        idle: of(&value.idle_timeout, "idle_timeout")?,
        stream,
        max_grpc: of(&value.max_grpc_timeout, "max_grpc_timeout")?,
        grpc_offset: of(&value.grpc_timeout_offset, "grpc_timeout_offset")?,
    })
}

pub(in super::super) fn mirrors(
    values: &[route_action::RequestMirrorPolicy],
    path: &Path<'_>,
) -> Got<Box<[Mirror]>> {
    each(values, path, |value, path| {
        let cluster = match (value.cluster.is_empty(), value.cluster_header.is_empty()) {
            (false, true) => MirrorCluster::Named(value.cluster.as_str().into()),
            (true, false) => {
                let path = path.field("cluster_header");
                MirrorCluster::Header(field(&value.cluster_header, &path)?)
            }
            (true, true) | (false, false) => {
                return Err(Wrong::at(path, "one of cluster and cluster_header must be set"));
            }
        };
        let fraction = match &value.runtime_fraction {
            Some(value) => runtime_fraction(value, &path.field("runtime_fraction"))?,
            None => Fraction::ALWAYS.into(),
        };
        Ok(Mirror {
            cluster,
            fraction,
            shadow_host: !value.disable_shadow_host_suffix_append,
            trace: value.trace_sampled.as_ref().map(|value| value.value),
            request: steps(
                &value.request_headers_mutations,
                &path.field("request_headers_mutations"),
            )?,
            host: some(&value.host_rewrite_literal),
        })
    })
}

fn upgrades(value: &pb::RouteAction, path: &Path<'_>) -> Got<Box<[Upgrade]>> {
    let path = path.field("upgrade_configs");
    each(&value.upgrade_configs, &path, |value, path| {
        let kind = value.upgrade_type.to_ascii_lowercase();
        let connect = value.connect_config.as_ref();
        if connect.is_some() && kind != "connect" {
            let what = "only where upgrade_type is CONNECT";
            return Err(Wrong::at(&path.field("connect_config"), what));
        }
        if connect.is_some_and(|connect| connect.proxy_protocol_config.is_some()) {
            let path = path.field("connect_config");
            return Err(Wrong::at(&path.field("proxy_protocol_config"), "is not supported"));
        }
        Ok(Upgrade {
            kind: kind.into(),
            enabled: flag(&value.enabled, true),
            terminate_connect: connect.is_some(),
            allow_post: connect.is_some_and(|connect| connect.allow_post),
        })
    })
}

fn internal_redirect(
    value: &pb::RouteAction,
    path: &Path<'_>,
) -> Got<Option<Box<InternalRedirect>>> {
    let deprecated =
        value.internal_redirect_action == i32::from(InternalRedirectAction::HandleInternalRedirect);
    let Some(policy) = &value.internal_redirect_policy else {
        return Ok(deprecated.then(|| {
            Box::new(InternalRedirect {
                limit: number(&value.max_internal_redirects).unwrap_or(1),
                codes: [http::StatusCode::FOUND].into(),
                cross_scheme: false,
                copied: Box::default(),
            })
        }));
    };
    let path = path.field("internal_redirect_policy");
    if let Some(predicate) = policy.predicates.first() {
        let path = path.field("predicates");
        let kind = predicate.typed_config.as_ref().map_or("", |any| &any.type_url);
        let what = format!("no predicate {} is known", culvert_proto::descriptors::full_name(kind));
        return Err(Wrong::at(&path.index(0), what));
    }
    let at = path.field("redirect_response_codes");
    let codes: Vec<_> =
        each(&policy.redirect_response_codes, &at, |code, path| status(*code, path))?;
    let codes = if codes.is_empty() { vec![http::StatusCode::FOUND] } else { codes };
    Ok(Some(Box::new(InternalRedirect {
        limit: number(&policy.max_internal_redirects).unwrap_or(1),
        codes: codes.into(),
        cross_scheme: policy.allow_cross_scheme_redirect,
        copied: each(
            &policy.response_headers_to_copy,
            &path.field("response_headers_to_copy"),
            |name, path| field(name, path),
        )?,
    })))
}
