//! What the traffic of a cluster counts, under Envoy's names; made with its first request.
use crate::{
    pool::Numbers,
    stats::{Counter, Gauge, Histogram, Late, Scope, codes::Codes},
};
use std::{fmt, sync::Arc, time::Duration};

/// Each exists from its first use on.
///
/// What is not about one connection is counted by whoever routes requests.
pub struct Traffic {
    pub connections: Arc<Numbers>,
    /// `upstream_rq_200`, `upstream_rq_2xx`, `upstream_rq_completed`.
    codes: Codes,
    internal: Codes,
    external: Codes,
    /// `retry.upstream_rq_…`: answers that were tried again.
    retried: Codes,
    time: Late<Histogram>,
    internal_time: Late<Histogram>,
    external_time: Late<Histogram>,
    /// Tries under way.
    pub active: Late<Gauge>,
    pub timeout: Late<Counter>,
    pub per_try_timeout: Late<Counter>,
    pub per_try_idle_timeout: Late<Counter>,
    pub max_duration: Late<Counter>,
    pub cancelled: Late<Counter>,
    pub rx_reset: Late<Counter>,
    pub tx_reset: Late<Counter>,
    pub retry: Late<Counter>,
    pub retry_success: Late<Counter>,
    pub retry_overflow: Late<Counter>,
    pub retry_limit_exceeded: Late<Counter>,
    pub retry_backoff_exponential: Late<Counter>,
    pub retry_backoff_ratelimited: Late<Counter>,
    pub shadow: Late<Counter>,
    pub dropped: Late<Counter>,
    pub none_healthy: Late<Counter>,
    /// Connections of no HTTP that were tried as often as they may be.
    pub connects_exceeded: Late<Counter>,
    pub panic: Late<Counter>,
}

impl Traffic {
    pub(super) fn new(scope: &Scope) -> Self {
        let codes = |scope: Scope| Codes::new(scope, "upstream_rq");
        let (internal, external) = (scope.scope("internal"), scope.scope("external"));
        Self {
            connections: Arc::new(Numbers::new(scope)),
            codes: codes(scope.clone()),
            internal: codes(internal.clone()),
            external: codes(external.clone()),
            retried: codes(scope.scope("retry")),
            time: scope.late("upstream_rq_time"),
            internal_time: internal.late("upstream_rq_time"),
            external_time: external.late("upstream_rq_time"),
            active: scope.late("upstream_rq_active"),
            timeout: scope.late("upstream_rq_timeout"),
            per_try_timeout: scope.late("upstream_rq_per_try_timeout"),
            per_try_idle_timeout: scope.late("upstream_rq_per_try_idle_timeout"),
            max_duration: scope.late("upstream_rq_max_duration_reached"),
            cancelled: scope.late("upstream_rq_cancelled"),
            rx_reset: scope.late("upstream_rq_rx_reset"),
            tx_reset: scope.late("upstream_rq_tx_reset"),
            retry: scope.late("upstream_rq_retry"),
            retry_success: scope.late("upstream_rq_retry_success"),
            retry_overflow: scope.late("upstream_rq_retry_overflow"),
            retry_limit_exceeded: scope.late("upstream_rq_retry_limit_exceeded"),
            retry_backoff_exponential: scope.late("upstream_rq_retry_backoff_exponential"),
            retry_backoff_ratelimited: scope.late("upstream_rq_retry_backoff_ratelimited"),
            shadow: scope.late("upstream_rq_shadow_total"),
            dropped: scope.late("upstream_rq_drop_overload"),
            none_healthy: scope.late("upstream_cx_none_healthy"),
            connects_exceeded: scope.late("upstream_cx_connect_attempts_exceeded"),
            panic: scope.late("lb_healthy_panic"),
        }
    }

    /// A request was answered; `internal`: it came from inside (`x-envoy-internal`). Unless it is
    /// `told`, its status is not in the cluster's own numbers.
    pub fn completed(&self, status: u16, internal: bool, told: bool) {
        self.codes.answered(told.then_some(status));
        let side = if internal { &self.internal } else { &self.external };
        side.count(status);
    }

    /// How long the whole of a request took that an endpoint answered.
    pub fn took(&self, time: Duration, internal: bool) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.time.record(millis);
        let side = if internal { &self.internal_time } else { &self.external_time };
        side.record(millis);
    }

    /// An answer was not taken, and the request tried again.
    pub fn retried(&self, status: Option<u16>) {
        self.retried.answered(status);
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traffic").finish_non_exhaustive()
    }
}
