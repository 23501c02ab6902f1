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

    /// An answer: as [`Self::count`] does; one that nobody is to know the status of, all in all.
    pub fn answered(&self, status: Option<u16>) {
        match status {
            Some(status) => self.count(status),
            None => self.completed().inc(),
        }
    }

    /// An answer: by its code, its class, and all in all.
    pub fn count(&self, status: u16) {
        self.count_class(status);
        for place in &self.near {
            let make = || (status, self.counter(&status.to_string()));
            let (code, counter) = place.get_or_init(make);
            if *code == status {
                return counter.inc();
            }
        }
        self.counter(&status.to_string()).inc();
    }

    /// An answer by its class, and all in all: connection managers do not count by code.
    pub fn count_class(&self, status: u16) {
        self.completed().inc();
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(place) = self.classes.get(class) {
            place.get_or_init(|| self.counter(&format!("{}xx", class + 1))).inc();
        }
    }

    fn completed(&self) -> &Counter {
        self.completed.get_or_init(|| self.counter("completed"))
    }

    fn counter(&self, end: &str) -> Counter {
        self.scope.counter(&format!("{}_{end}", self.name))
    }
}
