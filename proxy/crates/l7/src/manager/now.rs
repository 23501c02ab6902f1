//! The configuration of a moment: what does not change during a request.
use crate::{filter::Filters, manager::beside::Beside, shared::Shared};
use culvert_model::http::{
    format::Operator,
    manager::{Manager, Routes},
    mutation::HeaderMutations,
    route::RouteTable,
    runtime::RuntimeValues,
    snapshot::Snapshot,
};
use culvert_policy::http::{mutate, route::Table};
use culvert_runtime::publish::{Generation, Published};
use std::sync::Arc;

/// What requests go by.
#[derive(Debug)]
pub(crate) struct Now {
    generation: Generation,
    /// What the control plane calls it.
    pub(crate) version: Arc<str>,
    /// `None`: it has not come yet.
    pub(crate) table: Option<Arc<Table>>,
    /// What of its requests is counted beside their clusters.
    pub(crate) beside: Option<Arc<Beside>>,
    /// It prints of connections to endpoints, into headers of responses.
    pub(crate) asks_for_link: bool,
    pub(crate) runtime: Arc<RuntimeValues>,
    filters: Arc<Filters>,
    /// By the kind of upgrade.
    upgrades: Box<[(Arc<str>, Arc<Filters>)]>,
}

impl Now {
    /// That of `published`; what did not change since `before` stays.
    pub(super) fn new(
        config: &Manager,
        shared: &Arc<Shared>,
        published: &Published<Snapshot>,
        before: Option<&Self>,
    ) -> Self {
        let Published { generation, value: snapshot } = published;
        let table = match &config.routes {
            Routes::Here(table) => Some(table),
            Routes::Discovered { name, .. } => snapshot.routes().value(name),
        };
        let prefix = &config.stat_prefix;
        let upgrades = config.upgrades.iter().filter_map(|upgrade| {
            let filters = upgrade.filters.as_ref()?;
            let old = before.and_then(|before| before.of_upgrade(&upgrade.kind));
            let new = Filters::new(filters, prefix, shared, snapshot, old);
            Some((Arc::clone(&upgrade.kind), new))
        });
        let old = before.map(|before| &before.filters);
        let table = table.map(|table| Self::table(table, shared, before));
        let same = before.filter(|before| {
            let tables = table.as_ref().zip(before.table.as_ref());
            tables.is_some_and(|(now, before)| Arc::ptr_eq(now, before))
        });
        let (beside, asks_for_link) = match (same, &table) {
            (Some(before), _) => (before.beside.clone(), before.asks_for_link),
            (None, Some(table)) => {
                let asks = |level: &HeaderMutations| level.any(Operator::is_of_upstream_connection);
                let beside = Beside::new(table.table(), &shared.stats).map(Arc::new);
                (beside, mutate::any_response_level(table.table(), asks))
            }
            (None, None) => (None, false),
        };
        Self {
            generation: *generation,
            version: Arc::clone(&snapshot.version),
            table,
            beside,
            asks_for_link,
            runtime: Arc::clone(snapshot.runtime()),
            filters: Filters::new(&config.filters, prefix, shared, snapshot, old),
            upgrades: upgrades.collect(),
        }
    }

    fn table(table: &Arc<RouteTable>, shared: &Shared, before: Option<&Self>) -> Arc<Table> {
        let old = before.and_then(|before| before.table.as_ref());
        match old.filter(|old| Arc::ptr_eq(old.table(), table)) {
            Some(old) => Arc::clone(old),
            None => shared.table(table, old.map(|old| &**old)),
        }
    }

    pub(super) fn is_of(&self, published: &Published<Snapshot>) -> bool {
        self.generation == published.generation
    }

    pub(super) fn is_newer_than(&self, published: &Published<Snapshot>) -> bool {
        published.generation <= self.generation
    }

    /// The filters of requests that ask for an upgrade, or for none.
    pub(crate) fn filters(&self, upgrade: Option<&str>) -> &Arc<Filters> {
        upgrade.and_then(|kind| self.of_upgrade(kind)).unwrap_or(&self.filters)
    }

    fn of_upgrade(&self, kind: &str) -> Option<&Arc<Filters>> {
        self.upgrades.iter().find(|(name, _)| **name == *kind).map(|(_, filters)| filters)
    }
}
