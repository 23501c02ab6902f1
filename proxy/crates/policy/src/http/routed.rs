//! Where a request was found to go, and what is said there of everything on the way.
use std::sync::Arc;

use culvert_model::http::{
    filter::{Override, OverrideConfig, PerFilter},
    route::{Action, ClusterChoice, Forward, Route, RouteTable, VirtualHost, WeightedCluster},
    value::{Fields, Metadata, Value},
};

use super::{
    facts::Asking,
    hash::{self, Hashed},
    route::{Table, Target, cluster},
};

/// What the table said.
#[derive(Clone, Debug, Default)]
pub struct Routed {
    pub host: Option<Arc<VirtualHost>>,
    pub route: Option<Arc<Route>>,
    /// The host wants TLS, and the request came without.
    pub to_tls: bool,
    weighted: Option<usize>,
    /// `None`: none is named.
    pub cluster: Option<Arc<str>>,
    pub hashed: Hashed,
}

impl Routed {
    /// Asks a table; without one, nothing is for the request.
    #[must_use]
    pub fn find(table: Option<&Table>, asking: &Asking<'_>) -> Self {
        let Some(found) = table.and_then(|table| table.find(asking)) else {
            return Self::default();
        };
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
    #[must_use]
    pub fn forward(&self) -> Option<&Forward> {
        match &self.route.as_ref()?.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::Direct(_) | Action::NonForwarding => None,
        }
    }

    /// The cluster that was chosen among several.
    #[must_use]
    pub fn weighted(&self) -> Option<&WeightedCluster> {
        several(self.forward()?)?.get(self.weighted?)
    }

    /// Virtual host and route, where there is a route.
    #[must_use]
    pub fn both(&self) -> Option<(&Arc<VirtualHost>, &Arc<Route>)> {
        self.host.as_ref().zip(self.route.as_ref())
    }

    /// What is said about filters, the most specific first; nothing without a route.
    pub fn per_filter<'a>(
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

    /// What endpoints must carry: the route's, with what the weighted cluster adds.
    #[must_use]
    pub fn subset(&self) -> Option<Arc<Fields>> {
        subset(&self.forward()?.metadata_match, self.weighted().map(|one| &one.metadata_match))
    }
}

/// What endpoints must carry, by what a route says and what one of several clusters adds.
#[must_use]
pub fn subset(route: &Metadata, weighted: Option<&Metadata>) -> Option<Arc<Fields>> {
    let fields = |value: Option<&Value>| match value {
        Some(Value::Struct(fields)) => Some(Arc::clone(fields)),
        Some(_) | None => None,
    };
    let route = fields(route.filter("envoy.lb"));
    let weighted = fields(weighted.and_then(|metadata| metadata.filter("envoy.lb")));
    match (route, weighted) {
        (Some(route), Some(weighted)) => {
            let mut both = Fields::clone(&route);
            both.extend(weighted.iter().map(|(key, value)| (Arc::clone(key), value.clone())));
            Some(Arc::new(both))
        }
        (route, weighted) => weighted.or(route),
    }
}

/// What the levels of a request say about one filter, the most specific first.
pub fn overrides<'a>(
    levels: impl Iterator<Item = &'a PerFilter>,
    filter: &str,
) -> impl Iterator<Item = &'a Override> {
    levels.filter_map(move |level| level.get(filter))
}

/// The configuration that counts instead of the chain's.
pub fn config<'a>(
    levels: impl Iterator<Item = &'a PerFilter>,
    filter: &str,
) -> Option<&'a OverrideConfig> {
    overrides(levels, filter).find_map(|one| one.config.as_ref())
}

/// Whether a filter does anything for a request; `disabled` is what its chain says.
pub fn is_on<'a>(
    levels: impl Iterator<Item = &'a PerFilter>,
    filter: &str,
    disabled: bool,
) -> bool {
    let said = overrides(levels, filter).find_map(|one| {
        // A configuration of its own turns it on.
        one.disabled.or(one.config.is_some().then_some(false))
    });
    !said.unwrap_or(disabled)
}

/// The clusters that one is chosen from by weight.
pub(super) fn several(forward: &Forward) -> Option<&[WeightedCluster]> {
    match &forward.cluster {
        ClusterChoice::Weighted(weighted) => Some(&weighted.clusters),
        ClusterChoice::Named(_) | ClusterChoice::Header(_) => None,
    }
}

fn place(forward: &Forward, one: &WeightedCluster) -> Option<usize> {
    several(forward)?.iter().position(|other| std::ptr::eq(one, other))
}
