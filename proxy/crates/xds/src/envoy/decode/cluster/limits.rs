//! How much a cluster is used at once, and which endpoints are left out.
use super::super::{
    Got, Path, Wrong,
    basic::{duration, flag, known, number, refuse},
};
use culvert_model::http::{
    cluster::{Breakers, RetryLimit, Thresholds},
    outlier::{FailurePercentage, Outlier, SuccessRate},
};
use culvert_proto::api::envoy::config::{
    cluster::v3::{self as pb, OutlierDetection, circuit_breakers},
    core::v3::RoutingPriority,
};
use std::time::Duration;

pub(super) fn breakers(value: &pb::Cluster, path: &Path<'_>) -> Got<Breakers> {
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

#[expect(clippy::too_many_lines, reason = "one field after the other")]
pub(super) fn outlier(value: &OutlierDetection, path: &Path<'_>) -> Got<Outlier> {
    let no = "is not supported";
    let degraded = value.detect_degraded_hosts.is_some_and(|value| value.value);
    let fields =
        [("monitors", !value.monitors.is_empty(), no), ("detect_degraded_hosts", degraded, no)];
    refuse(path, &fields)?;
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
