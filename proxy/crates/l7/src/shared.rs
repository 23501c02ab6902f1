//! What all parts of one engine share.
use crate::{
    ledger::Ledger,
    log::Sinks,
    share::Bound,
    stats::{Counter, Late, Stats},
    upstream::Upstreams,
};
use culvert_identity::clock::Clock;
use culvert_model::http::{route::RouteTable, runtime::RuntimeValues, snapshot::Snapshot};
use culvert_policy::http::route::Table;
use culvert_runtime::{drain::Worker, publish::View};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    ops::Deref,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// One engine's; passed everywhere.
pub struct Shared {
    parts: Parts,
    /// What is counted from.
    pub began: Instant,
    /// Requests and connections that ended in a panic.
    panics: Late<Counter>,
    /// Health checks fail on purpose.
    failing: AtomicBool,
    tables: Mutex<HashMap<usize, Weak<Table>>>,
    ledger: Option<Arc<dyn Ledger>>,
}

/// What an engine is made of.
#[derive(Clone)]
pub struct Parts {
    /// What there is to be served.
    pub snapshot: View<Snapshot>,
    pub upstreams: Arc<Upstreams>,
    pub stats: Stats,
    /// Where access logs go.
    pub sinks: Sinks,
    /// For tasks that belong to no connection.
    pub worker: Worker,
    /// Certificates are judged by it.
    pub clock: Arc<dyn Clock>,
    pub node: Node,
    pub budgets: Budgets,
}

/// Who we are, as logs and headers say it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub id: Arc<str>,
    pub cluster: Arc<str>,
    pub zone: Arc<str>,
}

/// How much one engine may have at once.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Connections from clients.
    pub connections: Arc<Bound>,
    /// Requests under way.
    pub streams: Arc<Bound>,
}

impl Default for Budgets {
    /// Without limits.
    fn default() -> Self {
        let endless = || Arc::new(Bound::new(u64::MAX));
        Self { connections: endless(), streams: endless() }
    }
}

impl Shared {
    pub fn new(parts: Parts) -> Self {
        let panics = parts.stats.root().scope("server").late("panics");
        Self {
            parts,
            began: Instant::now(),
            panics,
            failing: AtomicBool::new(false),
            tables: Mutex::default(),
            ledger: None,
        }
    }

    /// Has somebody told of each request that is over.
    #[must_use]
    pub fn with_ledger(self, ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger: Some(ledger), ..self }
    }

    pub(crate) fn ledger(&self) -> Option<&dyn Ledger> {
        self.ledger.as_deref()
    }

    /// Since the engine began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// What the runtime says now.
    pub fn runtime(&self) -> Arc<RuntimeValues> {
        self.snapshot.look(|published| Arc::clone(published.value.runtime()))
    }

    /// A route table, ready to be asked: one for all who ask for the same; `before` is what they
    /// had before.
    pub fn table(&self, table: &Arc<RouteTable>, before: Option<&Table>) -> Arc<Table> {
        // The address is this table's as long as the entry lives, which holds it.
        let key = Arc::as_ptr(table).addr();
        let mut tables = self.tables.lock();
        if let Some(found) = tables.get(&key).and_then(Weak::upgrade) {
            return found;
        }
        tables.retain(|_, table| 0 < table.strong_count());
        let table = Arc::clone(table);
        let made = Arc::new(match before {
            Some(before) => before.after(table),
            None => Table::new(table),
        });
        tables.insert(key, Arc::downgrade(&made));
        made
    }

    /// One more request or connection that ended in a panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Whether health checks are to fail.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// `/healthcheck/fail`, `/healthcheck/ok`.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("node", &self.node).finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Deps;
    use culvert_identity::clock::SystemClock;
    use culvert_runtime::{drain::Drain, publish};

    #[tokio::test]
    async fn a_table_is_made_once_while_somebody_has_it() {
        let (_publisher, view) = publish::channel(Snapshot::default());
        let drain = Drain::default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stats = Stats::default();
        let deps = Deps::new(drain.worker(), Arc::clone(&clock));
        let shared = Shared::new(Parts {
            snapshot: view,
            upstreams: Arc::new(Upstreams::new(deps)),
            sinks: Sinks::new(&stats),
            stats,
            worker: drain.worker(),
            clock,
            node: Node::default(),
            budgets: Budgets::default(),
        });
        let of = |name: &str| Arc::new(RouteTable { name: name.into(), ..RouteTable::default() });
        let (a, b) = (of("a"), of("b"));
        let first = shared.table(&a, None);
        assert!(Arc::ptr_eq(&first, &shared.table(&a, None)));
        assert!(!Arc::ptr_eq(&first, &shared.table(&b, None)));
        drop(first);
        assert_eq!(shared.table(&a, None).table().name, "a".into());
        assert!(shared.tables.lock().len() < 3);
    }
}
