//! Circuit breakers of a cluster, for one priority.
use crate::{
    pool::{Breakers, Numbers},
    share::{Bound, Share},
};
use culvert_model::http::cluster::{RetryLimit, Thresholds};
use parking_lot::Mutex;
use std::sync::Arc;

/// How much of a cluster is in use, and how much may be.
#[derive(Debug)]
pub struct Limits {
    pub connections: Arc<Bound>,
    pub pending: Arc<Bound>,
    pub requests: Arc<Bound>,
    pub retries: Arc<Bound>,
    rule: Mutex<RetryLimit>,
}

impl Limits {
    pub(super) fn new(thresholds: &Thresholds) -> Self {
        let bound = |limit: u32| Arc::new(Bound::new(limit.into()));
        Self {
            connections: bound(thresholds.max_connections),
            pending: bound(thresholds.max_pending),
            requests: bound(thresholds.max_requests),
            retries: bound(0),
            rule: Mutex::new(thresholds.retries),
        }
    }

    /// What is in use stays counted.
    pub(super) fn change(&self, thresholds: &Thresholds) {
        self.connections.set_limit(thresholds.max_connections.into());
        self.pending.set_limit(thresholds.max_pending.into());
        self.requests.set_limit(thresholds.max_requests.into());
        *self.rule.lock() = thresholds.retries;
    }

    /// One more retry, if so many may be.
    pub fn retry(&self) -> Option<Share> {
        self.settle_retries();
        self.retries.take()
    }

    /// A budget depends on what is under way.
    pub(super) fn settle_retries(&self) {
        let rule = *self.rule.lock();
        let limit = match rule {
            RetryLimit::Count(most) => most.into(),
            RetryLimit::Budget { percent, min } => {
                let under_way = self.requests.used() + self.pending.used();
                share_of(under_way, percent).max(min.into())
            }
        };
        self.retries.set_limit(limit);
    }

    pub(super) fn breakers(&self, numbers: Arc<Numbers>) -> Breakers {
        Breakers {
            numbers: Some(numbers),
            connections: Arc::clone(&self.connections),
            pending: Arc::clone(&self.pending),
            requests: Arc::clone(&self.requests),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of requests, and some per cent of it"
)]
fn share_of(count: u64, percent: f64) -> u64 {
    (count as f64 * percent.clamp(0.0, 100.0) / 100.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_share_of_what_is_under_way() {
        let retries = RetryLimit::Budget { percent: 20.0, min: 1 };
        let limits = Limits::new(&Thresholds { retries, ..Thresholds::default() });
        let first = limits.retry();
        assert!(first.is_some() && limits.retry().is_none());
        let _busy: Vec<_> = (0..10).map(|_| limits.requests.take()).collect();
        assert!(limits.retry().is_some());
        limits.change(&Thresholds { retries: RetryLimit::Count(0), ..Thresholds::default() });
        assert!(limits.retry().is_none());
    }
}
