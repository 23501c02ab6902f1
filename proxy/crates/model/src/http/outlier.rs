//! `OutlierDetection`: endpoints that are left out for a while because of how they answer.
use std::time::Duration;

/// When an endpoint is left out, and for how long.
///
/// Each `enforcing_…` is how often, in per cent, what was found has a consequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Answers of 500 and above in a row (and failures of this side, unless they are split off).
    pub consecutive_5xx: u32,
    pub enforcing_consecutive_5xx: u32,
    /// 502, 503, 504 in a row.
    pub consecutive_gateway: u32,
    pub enforcing_consecutive_gateway: u32,
    /// `split_external_local_origin_errors`: connections that fail are counted by themselves.
    pub split_local: bool,
    pub consecutive_local: u32,
    pub enforcing_consecutive_local: u32,
    /// How often all endpoints are looked over.
    pub interval: Duration,
    /// Left out for so long, times how often it was before.
    pub base_ejection: Duration,
    /// But not longer than this (or the base, if that is longer).
    pub max_ejection: Duration,
    /// Up to so much more, by chance.
    pub max_jitter: Duration,
    /// No more than so many per cent of the endpoints (at least one of them).
    pub max_percent: u32,
    /// `always_eject_one_host`.
    pub always_one: bool,
    pub success_rate: SuccessRate,
    pub failure_percentage: FailurePercentage,
    /// `successful_active_health_check_uneject_host`.
    pub healthy_returns: bool,
}

/// Left out for a success rate far below the others'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuccessRate {
    pub enforcing: u32,
    pub enforcing_local: u32,
    /// At least so many endpoints with enough requests.
    pub minimum_hosts: u32,
    /// Enough requests.
    pub request_volume: u32,
    /// Standard deviations below the mean, in thousandths.
    pub stdev_factor: u32,
}

/// Left out for failing too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailurePercentage {
    pub enforcing: u32,
    pub enforcing_local: u32,
    pub minimum_hosts: u32,
    pub request_volume: u32,
    /// Per cent of the requests.
    pub threshold: u32,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            enforcing_consecutive_5xx: 100,
            consecutive_gateway: 5,
            enforcing_consecutive_gateway: 0,
            split_local: false,
            consecutive_local: 5,
            enforcing_consecutive_local: 100,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_jitter: Duration::ZERO,
            max_percent: 10,
            always_one: false,
            success_rate: SuccessRate::default(),
            failure_percentage: FailurePercentage::default(),
            healthy_returns: true,
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self {
            enforcing: 100,
            enforcing_local: 100,
            minimum_hosts: 5,
            request_volume: 100,
            stdev_factor: 1900,
        }
    }
}

impl Default for FailurePercentage {
    fn default() -> Self {
        Self {
            enforcing: 0,
            enforcing_local: 0,
            minimum_hosts: 5,
            request_volume: 50,
            threshold: 85,
        }
    }
}
