//! Numbers that exist from their first use on.
use super::{Counter, Gauge, Histogram, Raised, Scope};
use std::sync::OnceLock;

/// One that nobody sees before it is used: of ten thousand clusters most never are.
#[derive(Debug)]
pub struct Late<T> {
    scope: Scope,
    name: &'static str,
    made: OnceLock<T>,
}

impl<T> Late<T> {
    pub(super) const fn new(scope: Scope, name: &'static str) -> Self {
        Self { scope, name, made: OnceLock::new() }
    }
}

impl Late<Counter> {
    /// The counter itself, made if it is not.
    pub fn get(&self) -> &Counter {
        self.made.get_or_init(|| self.scope.counter(self.name))
    }

    pub fn inc(&self) {
        self.get().inc();
    }

    /// Nothing more is no use.
    pub fn add(&self, more: u64) {
        if more != 0 {
            self.get().add(more);
        }
    }

    pub fn value(&self) -> u64 {
        self.made.get().map_or(0, Counter::value)
    }
}

impl Late<Gauge> {
    /// The gauge itself, made if it is not.
    pub fn get(&self) -> &Gauge {
        self.made.get_or_init(|| self.scope.gauge(self.name))
    }

    pub fn raise(&self) -> Raised {
        self.get().raise()
    }

    pub fn set(&self, value: u64) {
        self.get().set(value);
    }

    pub fn add(&self, more: u64) {
        self.get().add(more);
    }

    pub fn sub(&self, less: u64) {
        self.get().sub(less);
    }

    pub fn value(&self) -> u64 {
        self.made.get().map_or(0, Gauge::value)
    }
}

impl Late<Histogram> {
    /// The histogram itself, made if it is not.
    pub fn get(&self) -> &Histogram {
        self.made.get_or_init(|| self.scope.histogram(self.name))
    }

    pub fn record(&self, value: u64) {
        self.get().record(value);
    }
}
