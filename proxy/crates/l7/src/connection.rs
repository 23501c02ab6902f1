//! One connection downstream, and what is known of it.
//!
//! Made by a listener, changed by its filters and those of its chain, and whole when the last filter
//! takes the connection: from then on nothing of it changes.
use crate::stats::Scope;
use culvert_model::http::{
    listener::{FilterChain, Listener},
    value::{Metadata, Value},
};
use culvert_policy::http::facts::{self, FilterState};
use culvert_runtime::drain::Worker;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// A connection, as requests and logs see it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Unlike that of any other connection of this process.
    pub id: u64,
    /// Addresses, names, certificates.
    pub facts: facts::Connection,
    pub listener: Arc<Listener>,
    pub chain: Arc<FilterChain>,
    /// What is counted per listener.
    pub stats: Scope,
    /// When it was accepted.
    pub began: Instant,
    /// The same by the calendar.
    pub started: SystemTime,
    /// How long the handshake of TLS took.
    pub handshake: Option<Duration>,
    /// What filters of the listener and of the chain said of it.
    pub metadata: Metadata,
    /// What filters left for others.
    pub state: FilterState,
    /// Of the filter chain: the right to start tasks that end with it, and the notice that its
    /// connections are to end ([`Worker::finishing`]).
    pub worker: Worker,
}

impl Connection {
    /// Whether it is to end as soon as nothing is under way.
    pub fn is_draining(&self) -> bool {
        self.worker.is_finishing()
    }

    /// Says something of it, where filters, rules and logs find it.
    pub fn note(&mut self, namespace: &str, key: &str, value: Value) {
        let all = self.metadata.iter().map(|(name, value)| (Arc::clone(name), value.clone()));
        let mut all: BTreeMap<_, _> = all.collect();
        let mut fields = match all.get(namespace) {
            Some(Value::Struct(fields)) => BTreeMap::clone(fields),
            _ => BTreeMap::new(),
        };
        fields.insert(key.into(), value);
        all.insert(namespace.into(), Value::Struct(Arc::new(fields)));
        self.metadata = Metadata::new(all);
    }
}
