//! Filter chains at work: how their connections begin, and what takes them.
//!
//! A chain stays as long as its configuration is the same, whatever else of its listener changes;
//! one that goes lets its connections end within the time to drain. Secrets change under it: what
//! has connected stays connected.
//!
//! Reading order: [`Chain`]; [`transport`] (TLS), `secured` (what a handshake told).
mod transport;

use crate::{
    io::Io,
    network::{Course, Filters, Making},
    stats::{Counter, Late, Raised, Scope as Counted},
};
use culvert_model::http::{listener::FilterChain, snapshot::Snapshot};
use culvert_runtime::drain::{Scope, Worker};
use parking_lot::Mutex;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time;
use transport::{Refusal, Transport};

/// One of a listener's.
pub(crate) struct Chain {
    pub(crate) config: Arc<FilterChain>,
    transport: Transport,
    filters: Filters,
    worker: Worker,
    /// Ends the chain's connections; taken by whoever drains it.
    scope: Mutex<Option<Scope>>,
    timeouts: Late<Counter>,
}

impl Chain {
    /// A new one; its connections are counted in `stats`, which is the listener's.
    ///
    /// # Errors
    ///
    /// When it asks for what there is not: a sentence for people.
    pub(crate) fn try_new(
        config: &Arc<FilterChain>,
        stats: &Counted,
        making: &Making<'_>,
    ) -> Result<Self, String> {
        let filters = Filters::try_new(config, making)
            .map_err(|why| format!("filter chain {:?}: {why}", config.name))?;
        let scope = making.worker.scope();
        Ok(Self {
            config: Arc::clone(config),
            transport: Transport::new(&config.transport, stats, making.shared),
            filters,
            worker: scope.worker(),
            scope: Mutex::new(Some(scope)),
            timeouts: stats.late("downstream_cx_transport_socket_connect_timeout"),
        })
    }

    /// Its connections' tasks end with it.
    pub(crate) const fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Takes up secrets that have changed.
    pub(crate) fn follow(&self, snapshot: &Snapshot) {
        self.transport.follow(snapshot);
    }

    /// Why it takes no connections: a secret cannot be used.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.transport.trouble()
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve(&self, course: &mut Course<'_>, io: Io) {
        io.carries(self.filters.carries());
        let secured = self.transport.begin(course.change(), io);
        let begun = match self.config.transport_timeout {
            None => secured.await,
            Some(most) => time::timeout(most, secured).await.unwrap_or(Err(Refusal::Timeout)),
        };
        match begun {
            Ok(io) => self.filters.serve(course, io).await,
            Err(refusal) => {
                if matches!(refusal, Refusal::Timeout) {
                    self.timeouts.inc();
                }
                self.filters.denied(course, refusal.record());
            }
        }
    }

    /// Lets its connections end, within so long; `worker` waits for it.
    pub(crate) fn drain(&self, within: Duration, worker: &Worker, counted: Raised) {
        let scope = self.scope.lock().take();
        if let Some(scope) = scope {
            worker.spawn(async move {
                scope.end(within).await;
                drop(counted);
            });
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("name", &self.config.name).finish_non_exhaustive()
    }
}
