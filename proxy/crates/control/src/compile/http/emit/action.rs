//! What becomes of a request: actions of the plan as Envoy has them.
use super::{
    super::plan::{
        At,
        forward::{Backend, Forward, Mirror, Retry, Share, Weighted},
        matching::PathMatch,
        rule::{Direct, PathRewrite, Redirect, RedirectPort},
    },
    names::NOWHERE,
    rewrite::{Rewritten, additions, removals, rewritten},
    words::{duration, is_value, number, runtime_fraction, some_time},
};
use culvert_proto::api::envoy::{
    config::{
        core::v3::{DataSource, data_source::Specifier},
        route::v3::{
            DirectResponseAction, RedirectAction, RetryPolicy, RouteAction, WeightedCluster,
            redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
            retry_policy::{RetryBackOff, RetryHostPredicate, retry_host_predicate},
            route::Action,
            route_action::{
                ClusterNotFoundResponseCode, ClusterSpecifier, HashPolicy, HostRewriteSpecifier,
                RequestMirrorPolicy,
            },
            weighted_cluster::ClusterWeight,
        },
    },
    extensions::retry::{
        host::previous_hosts::v3::PreviousHostsPredicate,
        priority::previous_priorities::v3::PreviousPrioritiesConfig,
    },
};
use std::time::Duration;

/// How often another endpoint is looked for that was not tried yet (Istio's).
const SELECTIONS: i64 = 5;

/// Who knows services.
pub(super) trait Clusters {
    /// The name of the cluster that `backend` is.
    fn cluster(&self, backend: &Backend) -> String;

    /// What requests to it have in common that go to one endpoint.
    fn hash(&self, backend: &Backend) -> Vec<HashPolicy>;
}

/// Envoy's limit of a body that it answers with by itself.
pub(in crate::compile::http) const LARGEST_BODY: usize = 1 << 20;

pub(super) fn forward(of: &Forward, path: &PathMatch, clusters: &dyn Clusters) -> Action {
    let Forward { to, timeout, retry, path: rewrite, host, mirrors } = of;
    let mut action = RouteAction {
        timeout: Some(duration(timeout.unwrap_or(Duration::ZERO))),
        retry_policy: retry.as_ref().and_then(self::retry),
        request_mirror_policies: mirrors.iter().map(|one| mirror(one, clusters)).collect(),
        cluster_not_found_response_code: ClusterNotFoundResponseCode::ServiceUnavailable.into(),
        ..RouteAction::default()
    };
    action.cluster_specifier = Some(specifier(to, &mut action, clusters));
    if let Some(host) = host.as_ref().filter(|host| !host.is_empty() && is_value(host)) {
        let host = HostRewriteSpecifier::HostRewriteLiteral(host.to_string());
        action.host_rewrite_specifier = Some(host);
    }
    if let Some(rewrite) = rewrite {
        match rewritten(rewrite, path) {
            Some(Rewritten::Prefix(prefix)) => action.prefix_rewrite = prefix,
            Some(Rewritten::Regex(regex)) => action.regex_rewrite = Some(regex),
            None => {}
        }
    }
    Action::Route(action)
}

fn specifier(
    to: &[Weighted],
    action: &mut RouteAction,
    clusters: &dyn Clusters,
) -> ClusterSpecifier {
    let name = |share: &Share| match share {
        Share::To(backend) => clusters.cluster(backend),
        Share::Nowhere => NOWHERE.to_owned(),
    };
    let backends = to.iter().filter_map(|one| one.to.backend());
    let hash = backends.clone().map(|backend| clusters.hash(backend)).find(|one| !one.is_empty());
    action.hash_policy = hash.unwrap_or_default();
    if to.len() != backends.count() || to.is_empty() {
        action.cluster_not_found_response_code =
            ClusterNotFoundResponseCode::InternalServerError.into();
    }
    let plain = |one: &Weighted| one.request.is_empty() && one.response.is_empty();
    match to {
        [] => return ClusterSpecifier::Cluster(NOWHERE.to_owned()),
        [one] if plain(one) => return ClusterSpecifier::Cluster(name(&one.to)),
        _ => {}
    }
    let weights = weights(to.iter().map(|one| one.weight));
    let clusters = to.iter().zip(weights).map(|(one, weight)| ClusterWeight {
        name: name(&one.to),
        weight: Some(number(weight)),
        request_headers_to_add: additions(&one.request),
        request_headers_to_remove: removals(&one.request),
        response_headers_to_add: additions(&one.response),
        response_headers_to_remove: removals(&one.response),
        ..ClusterWeight::default()
    });
    ClusterSpecifier::WeightedClusters(WeightedCluster {
        clusters: clusters.collect(),
        ..WeightedCluster::default()
    })
}

/// Weights whose sum is neither zero nor too large.
pub(super) fn weights(weights: impl Iterator<Item = u32> + Clone) -> Vec<u32> {
    let sum: u64 = weights.clone().map(u64::from).sum();
    if sum == 0 {
        return weights.map(|_| 1).collect();
    }
    // Nothing is lost but what nobody could tell.
    let shift = (64 - sum.leading_zeros()).saturating_sub(31);
    weights.map(|weight| weight >> shift).collect()
}

fn mirror(Mirror { to, share }: &Mirror, clusters: &dyn Clusters) -> RequestMirrorPolicy {
    RequestMirrorPolicy {
        cluster: clusters.cluster(to),
        runtime_fraction: Some(runtime_fraction(*share)),
        ..RequestMirrorPolicy::default()
    }
}

/// `None`: never again.
pub(super) fn retry(of: &Retry) -> Option<RetryPolicy> {
    let Retry { attempts, per_try, on, statuses, back_off, avoid_previous, remote } = of;
    if *attempts == 0 {
        return None;
    }
    let mut on: Vec<&str> = on.iter().map(AsRef::as_ref).filter(|one| is_value(one)).collect();
    let statuses: Vec<u32> =
        statuses.iter().filter(|code| (100..600).contains(*code)).map(|c| u32::from(*c)).collect();
    if !statuses.is_empty() && !on.contains(&"retriable-status-codes") {
        on.push("retriable-status-codes");
    }
    let previous = RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".into(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(super::words::any(
            &PreviousHostsPredicate {},
        ))),
    };
    let priority = culvert_proto::api::envoy::config::route::v3::retry_policy::RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".into(),
        config_type: Some(
            culvert_proto::api::envoy::config::route::v3::retry_policy::retry_priority::ConfigType::TypedConfig(
                super::words::any(&PreviousPrioritiesConfig { update_frequency: 2 }),
            ),
        ),
    };
    Some(RetryPolicy {
        retry_on: on.join(","),
        num_retries: Some(number(*attempts)),
        per_try_timeout: per_try.map(some_time),
        retriable_status_codes: statuses,
        retry_back_off: back_off.map(|base| RetryBackOff {
            base_interval: Some(some_time(base)),
            max_interval: Some(some_time(base.saturating_mul(10))),
        }),
        retry_host_predicate: avoid_previous.then_some(previous).into_iter().collect(),
        host_selection_retry_max_attempts: if *avoid_previous { SELECTIONS } else { 0 },
        retry_priority: remote.then_some(priority),
        ..RetryPolicy::default()
    })
}

pub(super) fn redirect(of: &Redirect, path: &PathMatch) -> Action {
    let Redirect { scheme, host, port, path: rewrite, code } = of;
    let fine = |text: &&std::sync::Arc<str>| !text.is_empty() && is_value(text);
    let scheme = scheme.as_ref().filter(fine);
    let specifier = rewrite.as_ref().and_then(|rewrite| match rewrite {
        PathRewrite::Full(to) => {
            is_value(to).then(|| PathRewriteSpecifier::PathRedirect(to.to_string()))
        }
        PathRewrite::Prefix(_) | PathRewrite::Regex { .. } => {
            rewritten(rewrite, path).map(|rewritten| match rewritten {
                Rewritten::Prefix(prefix) => PathRewriteSpecifier::PrefixRewrite(prefix),
                Rewritten::Regex(regex) => PathRewriteSpecifier::RegexRewrite(regex),
            })
        }
    });
    Action::Redirect(RedirectAction {
        host_redirect: host.as_ref().filter(fine).map(ToString::to_string).unwrap_or_default(),
        port_redirect: match port {
            RedirectPort::Unchanged => 0,
            RedirectPort::Number(port) => port.get().into(),
        },
        response_code: match code {
            301 => RedirectResponseCode::MovedPermanently,
            303 => RedirectResponseCode::SeeOther,
            307 => RedirectResponseCode::TemporaryRedirect,
            308 => RedirectResponseCode::PermanentRedirect,
            _ => RedirectResponseCode::Found,
        }
        .into(),
        scheme_rewrite_specifier: scheme
            .map(|scheme| SchemeRewriteSpecifier::SchemeRedirect(scheme.to_string())),
        path_rewrite_specifier: specifier,
        ..RedirectAction::default()
    })
}

pub(super) fn direct(Direct { status, body }: &Direct) -> Action {
    let status = if (200..600).contains(status) { *status } else { 500 };
    let body = body.as_ref().filter(|body| !body.is_empty() && body.len() <= LARGEST_BODY);
    Action::DirectResponse(DirectResponseAction {
        status: status.into(),
        body: body.map(|body| DataSource {
            specifier: Some(Specifier::InlineBytes(body.to_vec())),
            ..DataSource::default()
        }),
        ..DirectResponseAction::default()
    })
}

/// What a rule is called by people.
pub(super) fn called(at: &At, name: Option<&str>) -> String {
    match (name, at.index) {
        (Some(name), _) => name.to_owned(),
        (None, Some(index)) => format!("{}[{index}]", at.object),
        (None, None) => at.object.to_string(),
    }
}
