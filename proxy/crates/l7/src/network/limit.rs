//! `connection_limit`: so many connections at once.
use super::Denied;
use crate::{
    share::{Bound, Share},
    shared::Shared,
    stats::{Counter, Gauge, Late, Raised, Stats, tag},
};
use culvert_model::http::listener::ConnectionLimit;
use culvert_policy::http::chance;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Limit {
    config: Arc<ConnectionLimit>,
    bound: Arc<Bound>,
    limited: Late<Counter>,
    active: Late<Gauge>,
}

/// A place among the connections; given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    _share: Share,
    _active: Raised,
}

impl Limit {
    pub(super) fn new(config: &Arc<ConnectionLimit>, stats: &Stats) -> Self {
        let root = stats.root();
        let scope = root.tagged("connection_limit", tag::CONNECTION_LIMIT, &config.stat_prefix);
        Self {
            config: Arc::clone(config),
            bound: Arc::new(Bound::new(config.max)),
            limited: scope.late("limited_connections"),
            active: scope.late("active_connections"),
        }
    }

    pub(super) fn ask(&self, shared: &Shared) -> Result<Option<Held>, Denied> {
        if !chance::flag(&self.config.enabled, &shared.runtime()) {
            return Ok(None);
        }
        let Some(share) = self.bound.take() else {
            self.limited.inc();
            return Err(Denied {
                delay: self.config.delay,
                ..Denied::closed("over_connection_limit")
            });
        };
        Ok(Some(Held { _share: share, _active: self.active.raise() }))
    }
}
