//! Answers to health checks: the filter `health_check`.
use culvert_model::http::filter::HealthCheckFilter;
use http::StatusCode;

use super::{facts::Head, field};

/// How many endpoints a cluster has, and how many of them are fit for requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Members {
    pub fit: u64,
    pub all: u64,
}

/// Whether a request is a health check.
#[must_use]
pub fn is_check(filter: &HealthCheckFilter, head: &Head<'_>) -> bool {
    field::all_match(&filter.headers, head)
}

/// What a check is answered: 503 while we fail on purpose, or while a cluster has too few endpoints
/// that are fit. `members` is asked for clusters by name; `None`: there is no such cluster.
#[must_use]
pub fn answer(
    filter: &HealthCheckFilter,
    failing: bool,
    members: impl Fn(&str) -> Option<Members>,
) -> StatusCode {
    #[expect(clippy::cast_precision_loss, reason = "counts of endpoints")]
    let enough = |(cluster, percent): &(std::sync::Arc<str>, f64)| match members(cluster) {
        None => false,
        Some(Members { all: 0, .. }) => *percent <= 0.0,
        Some(Members { fit, all }) => 100.0 * fit as f64 >= all as f64 * percent,
    };
    if failing || !filter.clusters.iter().all(enough) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

#[cfg(test)]
mod tests {
    use culvert_model::http::filter::HealthCheckFilter;
    use http::StatusCode;

    use super::{Members, answer};

    #[test]
    fn clusters_must_be_fit_enough() {
        let filter = |percent| HealthCheckFilter {
            pass_through: false,
            cache: None,
            headers: [].into(),
            clusters: [("c".into(), percent)].into(),
        };
        let of = |percent, fit, all| {
            answer(&filter(percent), false, |_| Some(Members { fit, all })) == StatusCode::OK
        };
        assert!(of(50.0, 1, 2));
        assert!(!of(50.1, 1, 2));
        assert!(of(0.0, 0, 0));
        assert!(!of(1.0, 0, 0));
        assert_ne!(answer(&filter(0.0), false, |_| None), StatusCode::OK);
        assert_ne!(answer(&filter(0.0), true, |_| Some(Members::default())), StatusCode::OK);
    }
}
