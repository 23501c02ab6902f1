//! `local_ratelimit` of listeners: so many connections in a time.
use super::Stopped;
use crate::{
    shared::Shared,
    stats::{Counter, Late, Stats, tag},
};
use culvert_model::http::{matcher::RuntimeFlag, ratelimit::Bucket};
use culvert_policy::http::{bucket::Tokens, chance};
use parking_lot::Mutex;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Rate {
    bucket: Bucket,
    enabled: RuntimeFlag,
    tokens: Mutex<Option<Tokens>>,
    limited: Late<Counter>,
}

impl Rate {
    pub(super) fn new(prefix: &str, bucket: &Bucket, enabled: &RuntimeFlag, stats: &Stats) -> Self {
        let part = "listener_local_ratelimit";
        let scope = stats.root().tagged(part, tag::LOCAL_LISTENER_RATELIMIT, prefix);
        Self {
            bucket: *bucket,
            enabled: enabled.clone(),
            tokens: Mutex::default(),
            limited: scope.late("rate_limited"),
        }
    }

    pub(super) fn look(&self, shared: &Shared) -> Result<(), Stopped> {
        let runtime = shared.runtime();
        if !chance::flag(&self.enabled, &runtime) || self.take(shared.now()) {
            return Ok(());
        }
        self.limited.inc();
        Err(Stopped::Refused("more connections than the rate limit allows"))
    }

    fn take(&self, now: Duration) -> bool {
        let mut tokens = self.tokens.lock();
        tokens.get_or_insert_with(|| Tokens::full(&self.bucket, now)).take(&self.bucket, now, 1)
    }
}
