//! The numbers of one cluster, under Envoy's names; each is made when it is first needed.
//!
//! Most clusters of many have no traffic: what only traffic counts is not even prepared before.
use super::{
    host::{Fault, Place},
    limits::Limits,
    traffic::Traffic,
};
use crate::{
    handshakes::Handshakes,
    stats::{Counter, Gauge, Late, Scope, Stats, Tag, tag},
};
use culvert_model::http::cluster::Breakers;
use culvert_policy::http::{balance::Health, outlier::Cause};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// What a cluster counts; stays when its configuration changes.
pub(super) struct Tally {
    scope: Scope,
    /// Made with the first request.
    traffic: OnceLock<Box<Traffic>>,
    breakers: OnceLock<Box<[Open; 2]>>,
    members: Members,
    checks: OnceLock<Box<Checks>>,
    outliers: OnceLock<Box<Outliers>>,
    updates: OnceLock<Box<Updates>>,
    handshakes: OnceLock<Box<Handshakes>>,
}

#[derive(Debug)]
struct Members {
    total: Late<Gauge>,
    healthy: Late<Gauge>,
    degraded: Late<Gauge>,
    excluded: Late<Gauge>,
    change: Late<Counter>,
}

#[derive(Debug)]
struct Checks {
    attempt: Late<Counter>,
    success: Late<Counter>,
    failure: Late<Counter>,
    passive: Late<Counter>,
    network: Late<Counter>,
    healthy: Late<Gauge>,
    degraded: Late<Gauge>,
}

#[derive(Debug)]
struct Outliers {
    scope: Scope,
    active: Late<Gauge>,
    overflow: Late<Counter>,
    enforced: Late<Counter>,
}

/// Of names that are resolved.
#[derive(Debug)]
struct Updates {
    attempt: Late<Counter>,
    success: Late<Counter>,
    empty: Late<Counter>,
    failure: Late<Counter>,
    same: Late<Counter>,
}

/// Of circuit breakers.
#[derive(Debug)]
struct Open {
    /// Connections, requests that wait, requests, retries: whether there may be no more.
    open: [Late<Gauge>; 4],
    /// How many more there may be.
    remaining: [Late<Gauge>; 4],
}

/// What asking for a name came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    Empty,
    Same,
    Changed,
    Failed,
}

impl Tally {
    pub(super) fn new(stats: &Stats, name: &str) -> Self {
        let scope = stats.scope("cluster", Tag::new(tag::CLUSTER, name));
        let members = Members {
            total: scope.late("membership_total"),
            healthy: scope.late("membership_healthy"),
            degraded: scope.late("membership_degraded"),
            excluded: scope.late("membership_excluded"),
            change: scope.late("membership_change"),
        };
        Self {
            scope,
            traffic: OnceLock::new(),
            breakers: OnceLock::new(),
            members,
            checks: OnceLock::new(),
            outliers: OnceLock::new(),
            updates: OnceLock::new(),
            handshakes: OnceLock::new(),
        }
    }

    /// Whether there ever was traffic.
    pub(super) fn is_used(&self) -> bool {
        self.traffic.get().is_some()
    }

    pub(super) fn traffic(&self) -> &Traffic {
        self.traffic.get_or_init(|| Box::new(Traffic::new(&self.scope)))
    }

    pub(super) fn handshakes(&self) -> &Handshakes {
        self.handshakes.get_or_init(|| Box::new(Handshakes::new(&self.scope)))
    }

    /// Shows how far the circuit breakers are, of those who have had traffic.
    pub(super) fn measure(&self, limits: &[Limits; 2], breakers: &Breakers) {
        if !self.is_used() {
            return;
        }
        let open = self.breakers.get_or_init(|| {
            let scope = self.scope.scope("circuit_breakers");
            Box::new(["default", "high"].map(|name| Open::new(&scope.scope(name))))
        });
        let [default, high] = limits;
        let [of_default, of_high] = &**open;
        of_default.measure(default, breakers.default.track_remaining);
        of_high.measure(high, breakers.high.track_remaining);
    }

    /// These are the endpoints now; `changed`: others than before.
    pub(super) fn members(&self, list: &[Arc<Place>], changed: bool) {
        let count = |health: Health| list.iter().filter(|one| one.health() == health).count();
        let Members { total, healthy, degraded, excluded, change } = &self.members;
        show(total, list.len());
        show(healthy, count(Health::Healthy));
        show(degraded, count(Health::Degraded));
        show(excluded, count(Health::Excluded));
        if changed {
            change.inc();
        }
        if let Some(checks) = self.checks.get() {
            let passing = |one: &&Arc<Place>| !one.host.has(Fault::FailedCheck);
            show(&checks.healthy, list.iter().filter(passing).count());
            let degraded = |one: &&Arc<Place>| one.host.has(Fault::DegradedCheck);
            show(&checks.degraded, list.iter().filter(degraded).count());
        }
        if let Some(outliers) = self.outliers.get() {
            show(&outliers.active, list.iter().filter(|one| one.host.is_ejected()).count());
        }
    }

    /// An endpoint was checked; `passive`: by an answer to somebody else.
    pub(super) fn checked(&self, good: bool, network: bool, passive: bool) {
        let checks = self.checks.get_or_init(|| {
            let scope = self.scope.scope("health_check");
            Box::new(Checks {
                attempt: scope.late("attempt"),
                success: scope.late("success"),
                failure: scope.late("failure"),
                passive: scope.late("passive_failure"),
                network: scope.late("network_failure"),
                healthy: scope.late("healthy"),
                degraded: scope.late("degraded"),
            })
        });
        if !passive {
            checks.attempt.inc();
        }
        let result = if good { &checks.success } else { &checks.failure };
        result.inc();
        if passive {
            checks.passive.inc();
        }
        if network {
            checks.network.inc();
        }
    }

    /// An endpoint would be left out.
    pub(super) fn detected(&self, cause: Cause) {
        self.outliers().scope.counter(&format!("ejections_detected_{}", name(cause))).inc();
    }

    /// An endpoint is left out.
    pub(super) fn ejected(&self, cause: Cause) {
        let outliers = self.outliers();
        outliers.enforced.inc();
        outliers.scope.counter(&format!("ejections_enforced_{}", name(cause))).inc();
    }

    /// An endpoint would be left out, but too many are.
    pub(super) fn overflowed(&self) {
        self.outliers().overflow.inc();
    }

    fn outliers(&self) -> &Outliers {
        self.outliers.get_or_init(|| {
            let scope = self.scope.scope("outlier_detection");
            Box::new(Outliers {
                active: scope.late("ejections_active"),
                overflow: scope.late("ejections_overflow"),
                enforced: scope.late("ejections_enforced_total"),
                scope,
            })
        })
    }

    /// A name was asked for.
    pub(super) fn updated(&self, update: Update) {
        let updates = self.updates.get_or_init(|| {
            Box::new(Updates {
                attempt: self.scope.late("update_attempt"),
                success: self.scope.late("update_success"),
                empty: self.scope.late("update_empty"),
                failure: self.scope.late("update_failure"),
                same: self.scope.late("update_no_rebuild"),
            })
        });
        updates.attempt.inc();
        match update {
            Update::Failed => return updates.failure.inc(),
            Update::Empty => updates.empty.inc(),
            Update::Same => updates.same.inc(),
            Update::Changed => {}
        }
        updates.success.inc();
    }
}

impl Open {
    fn new(scope: &Scope) -> Self {
        let late = |name| scope.late(name);
        Self {
            open: ["cx_open", "rq_pending_open", "rq_open", "rq_retry_open"].map(late),
            remaining: ["remaining_cx", "remaining_pending", "remaining_rq", "remaining_retries"]
                .map(late),
        }
    }

    fn measure(&self, limits: &Limits, remaining: bool) {
        let all = [&limits.connections, &limits.pending, &limits.requests, &limits.retries];
        limits.settle_retries();
        for (at, bound) in all.into_iter().enumerate() {
            if let Some(gauge) = self.open.get(at) {
                show(gauge, usize::from(bound.is_exhausted()));
            }
            if let Some(gauge) = self.remaining.get(at).filter(|_| remaining) {
                gauge.set(bound.limit().saturating_sub(bound.used()));
            }
        }
    }
}

/// What is nothing is not shown before it was something.
fn show(gauge: &Late<Gauge>, count: usize) {
    if count != 0 || gauge.value() != 0 {
        gauge.set(count as u64);
    }
}

const fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::Consecutive5xx => "consecutive_5xx",
        Cause::ConsecutiveGateway => "consecutive_gateway_failure",
        Cause::ConsecutiveLocal => "consecutive_local_origin_failure",
        Cause::SuccessRate => "success_rate",
        Cause::SuccessRateLocal => "local_origin_success_rate",
        Cause::FailurePercentage => "failure_percentage",
        Cause::FailurePercentageLocal => "local_origin_failure_percentage",
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tally").field(&self.scope).finish()
    }
}
