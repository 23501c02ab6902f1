//! Things that may be had only so many times at once: connections, requests, retries.
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How many are in use, and how many may be.
#[derive(Debug)]
pub struct Bound {
    used: AtomicU64,
    limit: AtomicU64,
}

/// One of them; given back when dropped.
#[derive(Debug)]
pub struct Share(Arc<Bound>);

impl Bound {
    pub const fn new(limit: u64) -> Self {
        Self { used: AtomicU64::new(0), limit: AtomicU64::new(limit) }
    }

    /// One more; `None` when all are in use.
    pub fn take(self: &Arc<Self>) -> Option<Share> {
        let limit = self.limit();
        let more = |used| (used < limit).then_some(used + 1);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Share(Arc::clone(self)))
    }

    /// One more, even beyond the limit.
    pub fn take_anyway(self: &Arc<Self>) -> Share {
        self.used.fetch_add(1, Ordering::AcqRel);
        Share(Arc::clone(self))
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Acquire)
    }

    /// Holds for whoever comes from now on.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Release);
    }

    pub fn is_exhausted(&self) -> bool {
        self.limit() <= self.used()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_and_again_when_one_is_given_back() {
        let bound = Arc::new(Bound::new(2));
        let first = bound.take().unwrap();
        let _second = bound.take().unwrap();
        assert!(bound.take().is_none() && bound.is_exhausted());
        drop(first);
        assert_eq!(bound.used(), 1);
        assert!(bound.take().is_some());
        bound.set_limit(0);
        assert!(bound.take().is_none());
        let _beyond = bound.take_anyway();
        assert_eq!(bound.used(), 2);
    }
}
