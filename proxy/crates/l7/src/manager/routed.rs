//! Where a request was found to go.
use crate::manager::now::Now;
use culvert_model::http::{
    filter::{Override, OverrideConfig, PerFilter},
    route::{Action, Forward, Route, RouteTable, VirtualHost, WeightedCluster},
};
use culvert_policy::http::{
    facts::Asking,
    hash::{self, Hashed},
    route::{Target, cluster},
};
use std::sync::Arc;

/// What the table said.
#[derive(Debug, Default)]
pub(crate) struct Routed {
    pub(crate) host: Option<Arc<VirtualHost>>,
    pub(crate) route: Option<Arc<Route>>,
    /// The host wants TLS, and the request came without.
    pub(crate) to_tls: bool,
    weighted: Option<usize>,
    /// `None`: none is named.
    pub(crate) cluster: Option<Arc<str>>,
    pub(crate) hashed: Hashed,
}

impl Routed {
    /// Asks the table of the moment.
    pub(crate) fn find(now: &Now, asking: &Asking<'_>) -> Self {
        let found = now.table.as_ref().and_then(|table| table.find(asking));
        let Some(found) = found else { return Self::default() };
        let mut routed = Self { host: Some(Arc::clone(found.host)), ..Self::default() };
        match found.to {
            Target::Nowhere => {}
            Target::Tls => routed.to_tls = true,
            Target::Route(route) => {
                routed.route = Some(Arc::clone(route));
                if let Action::Forward(forward) = &route.action {
                    routed.forwarded(forward, asking);
                }
            }
        }
        routed
    }

    fn forwarded(&mut self, forward: &Forward, asking: &Asking<'_>) {
        if !forward.hash.is_empty() {
            self.hashed = hash::of(&forward.hash, &asking.head, asking.connection, asking.state);
        }
        let Some(named) = cluster(forward, asking, self.hashed.hash) else { return };
        self.weighted = named.weighted.and_then(|one| place(forward, one));
        self.cluster = Some(named.cluster);
    }

    /// What is said of forwarding, if that is what the route does.
    pub(crate) fn forward(&self) -> Option<&Forward> {
        match &self.route.as_ref()?.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::Direct(_) | Action::NonForwarding => None,
        }
    }

    /// The cluster that was chosen among several.
    pub(crate) fn weighted(&self) -> Option<&WeightedCluster> {
        weighted(self.forward()?)?.get(self.weighted?)
    }

    /// Virtual host and route, where there is a route.
    pub(crate) fn both(&self) -> Option<(&Arc<VirtualHost>, &Arc<Route>)> {
        self.host.as_ref().zip(self.route.as_ref())
    }

    /// What is said about filters, the most specific first; nothing without a route.
    pub(crate) fn per_filter<'a>(
        &'a self,
        table: Option<&'a RouteTable>,
    ) -> impl Iterator<Item = &'a PerFilter> {
        let both = self.both();
        let weighted = self.weighted().map(|one| &one.per_filter);
        let route = both.map(|(_, route)| &route.per_filter);
        let host = both.map(|(host, _)| &host.per_filter);
        let table = both.and(table).map(|table| &table.per_filter);
        [weighted, route, host, table].into_iter().flatten().filter(|level| !level.is_empty())
    }
}

/// What the levels of a request say about one filter, the most specific first.
pub(crate) fn overrides<'a>(
    levels: impl Iterator<Item = &'a PerFilter>,
    filter: &str,
) -> impl Iterator<Item = &'a Override> {
    levels.filter_map(move |level| level.get(filter))
}

/// The configuration that counts instead of the chain's.
pub(crate) fn config<'a>(
    levels: impl Iterator<Item = &'a PerFilter>,
    filter: &str,
) -> Option<&'a OverrideConfig> {
    overrides(levels, filter).find_map(|one| one.config.as_ref())
}

fn weighted(forward: &Forward) -> Option<&[WeightedCluster]> {
    use culvert_model::http::route::ClusterChoice;

    match &forward.cluster {
        ClusterChoice::Weighted(weighted) => Some(&weighted.clusters),
        ClusterChoice::Named(_) | ClusterChoice::Header(_) => None,
    }
}

fn place(forward: &Forward, one: &WeightedCluster) -> Option<usize> {
    weighted(forward)?.iter().position(|other| std::ptr::eq(one, other))
}
