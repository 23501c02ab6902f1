//! `local_ratelimit` of connections: so many in a time.
use super::Denied;
use crate::{
    shared::Shared,
    stats::{Counter, Late, Stats, tag},
};
use culvert_model::http::ratelimit::{Bucket, ConnectionRateLimit};
use culvert_policy::http::{bucket::Tokens, chance, flags::Flag};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

#[derive(Debug)]
pub(super) struct Rate {
    config: Arc<ConnectionRateLimit>,
    limiter: Arc<Limiter>,
    limited: Late<Counter>,
}

/// A bucket that may belong to several filters.
#[derive(Debug)]
struct Limiter {
    bucket: Bucket,
    tokens: Mutex<Option<Tokens>>,
}

/// Those of an engine that are shared, by their keys.
#[derive(Debug, Default)]
pub(crate) struct Buckets(Mutex<HashMap<Arc<str>, Weak<Limiter>>>);

impl Rate {
    pub(super) fn new(config: &Arc<ConnectionRateLimit>, stats: &Stats, shared: &Buckets) -> Self {
        let root = stats.root();
        let prefix = &config.stat_prefix;
        let scope = root.tagged("local_rate_limit", tag::LOCAL_NETWORK_RATELIMIT, prefix);
        Self {
            config: Arc::clone(config),
            limiter: shared.limiter(config),
            limited: scope.late("rate_limited"),
        }
    }

    pub(super) fn ask(&self, shared: &Shared) -> Result<(), Denied> {
        let enabled = chance::flag(&self.config.enabled, &shared.runtime());
        if !enabled || self.limiter.take(shared.now()) {
            return Ok(());
        }
        self.limited.inc();
        let mut denied = Denied::closed("local_ratelimit_close_over_limit");
        // So Envoy has it.
        denied.record.flags.set(Flag::UpstreamRetryLimitExceeded);
        Err(denied)
    }
}

impl Limiter {
    fn take(&self, now: Duration) -> bool {
        let mut tokens = self.tokens.lock();
        tokens.get_or_insert_with(|| Tokens::full(&self.bucket, now)).take(&self.bucket, now, 1)
    }
}

impl Buckets {
    fn limiter(&self, config: &ConnectionRateLimit) -> Arc<Limiter> {
        let new = || Arc::new(Limiter { bucket: config.bucket, tokens: Mutex::default() });
        let Some(key) = &config.share_key else { return new() };
        let mut all = self.0.lock();
        let found = all.get(key).and_then(Weak::upgrade);
        if let Some(found) = found.filter(|found| found.bucket == config.bucket) {
            return found;
        }
        all.retain(|_, one| 0 < one.strong_count());
        let made = new();
        all.insert(Arc::clone(key), Arc::downgrade(&made));
        made
    }
}
