//! What the proxy says of itself: the process log, one access line per connection and request,
//! metrics.
//!
//! Knows what a connection was, not how it came about: no sockets, no tasks, no kernel calls.
//! What only informs fails quiet and is counted: no connection ever waits for its line or number.
//!
//! Reading order: [`conn`] (one connection's account, from accept to close), [`request`] (the same
//! of a request, once it is over), [`access`] (their lines), [`lines`] (how lines reach a file),
//! [`metrics`] (their numbers), [`path`] (the way a connection took), [`denial`] (what policy said
//! against it), [`log`] (everything else), [`chain`].

pub mod conn;

pub mod request;

pub mod access;

pub mod lines;

pub mod metrics;

pub mod path;

pub mod denial;

mod failure;

pub mod log;

pub mod chain;

#[cfg(test)]
mod sample;

use crate::{access::AccessLog, conn::ConnRecord, metrics::Metrics};
use culvert_model::facts::ConnFacts;
use std::{sync::Arc, time::Instant};

/// Where connections are accounted for; cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    pub metrics: Arc<Metrics>,
    pub access: AccessLog,
}

impl Telemetry {
    pub fn new(metrics: Arc<Metrics>, access: AccessLog) -> Self {
        Self { metrics, access }
    }

    /// Begins the account of an accepted connection, whatever becomes of it.
    pub fn open(&self, facts: ConnFacts) -> ConnRecord {
        self.open_since(facts, Instant::now())
    }

    /// The same for one of which is only now heard.
    pub fn open_since(&self, facts: ConnFacts, since: Instant) -> ConnRecord {
        ConnRecord::open(self.clone(), facts, since)
    }
}
