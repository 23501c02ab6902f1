//! Answers counted by their status: `…_rq_200`, `…_rq_2xx`, `…_rq_completed`.
use super::{Counter, Scope};
use std::sync::OnceLock;

/// How many different codes are counted without a look into a table.
const NEAR: usize = 6;

/// The counters of one place; each is made when it is first needed.
#[derive(Debug)]
pub struct Codes {
    scope: Scope,
    /// `upstream_rq`.
    name: &'static str,
    completed: OnceLock<Counter>,
    classes: [OnceLock<Counter>; 5],
    near: [OnceLock<(u16, Counter)>; NEAR],
}

impl Codes {
    #[must_use]
    pub fn new(scope: Scope, name: &'static str) -> Self {
        Self {
            scope,
            name,
            completed: OnceLock::new(),
            classes: Default::default(),
            near: Default::default(),
        }
    }

    /// An answer: by its code, its class, and all in all.
    pub fn count(&self, status: u16) {
        self.count_class(status);
        for place in &self.near {
            let make = || (status, self.scope.counter(&format!("{}_{status}", self.name)));
            let (code, counter) = place.get_or_init(make);
            if *code == status {
                return counter.inc();
            }
        }
        self.scope.counter(&format!("{}_{status}", self.name)).inc();
    }

    /// An answer by its class, and all in all: connection managers do not count by code.
    pub fn count_class(&self, status: u16) {
        let counter = |end: &str| self.scope.counter(&format!("{}_{end}", self.name));
        self.completed.get_or_init(|| counter("completed")).inc();
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(place) = self.classes.get(class) {
            place.get_or_init(|| counter(&format!("{}xx", class + 1))).inc();
        }
    }
}
