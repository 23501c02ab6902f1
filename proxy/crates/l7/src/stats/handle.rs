//! A counter and a gauge, as those hold them who count.
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// Grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(pub(super) Arc<Cell>);

/// Goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(pub(super) Arc<Cell>);

/// One more in a gauge, until it is dropped.
#[derive(Debug)]
#[must_use = "the gauge is lowered when this is dropped"]
pub struct Raised(Gauge);

#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) value: AtomicU64,
    /// The value when it was last looked at whether it changes.
    seen: AtomicU64,
    used: AtomicBool,
}

impl Counter {
    pub fn inc(&self) {
        self.add(1);
    }

    pub fn add(&self, more: u64) {
        self.0.value.fetch_add(more, Relaxed);
    }

    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.value.load(Relaxed)
    }
}

impl Gauge {
    /// One more for as long as what this returns lives.
    pub fn raise(&self) -> Raised {
        self.add(1);
        Raised(self.clone())
    }

    pub fn set(&self, value: u64) {
        self.0.value.store(value, Relaxed);
        self.0.is_in_use();
    }

    pub fn add(&self, more: u64) {
        self.0.value.fetch_add(more, Relaxed);
        self.0.is_in_use();
    }

    pub fn sub(&self, less: u64) {
        self.0.value.fetch_sub(less, Relaxed);
    }

    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.value.load(Relaxed)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}

impl Cell {
    /// Whether it ever had another value than that it was made with.
    pub(super) fn is_used(&self) -> bool {
        self.used.load(Relaxed) || self.value.load(Relaxed) != 0
    }

    /// Whether it is another than when this was last asked.
    pub(super) fn has_changed(&self) -> bool {
        let value = self.value.load(Relaxed);
        self.seen.swap(value, Relaxed) != value
    }

    fn is_in_use(&self) {
        // Written once: a line of memory that is only read is shared by all threads.
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
    }
}
