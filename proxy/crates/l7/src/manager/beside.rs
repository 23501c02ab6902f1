//! What is counted of requests beside their cluster: `vhost.HOST.vcluster.NAME.` and
//! `vhost.HOST.route.PREFIX.`.
use crate::stats::{Counter, Histogram, Late, Scope, Stats, Tag, codes::Codes, tag};
use culvert_model::http::route::{Route, RouteTable, VirtualHost};
use culvert_policy::http::{facts::Head, field};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

/// Those of a route table; there are none where it names none.
#[derive(Debug)]
pub(crate) struct Beside {
    /// By the address of the host, which the table holds.
    hosts: HashMap<usize, Host>,
}

#[derive(Debug, Default)]
struct Host {
    /// In the order of the host's clusters.
    clusters: Box<[Arc<Numbers>]>,
    /// Of requests that none of them is for.
    other: Option<Arc<Numbers>>,
    routes: HashMap<Arc<str>, Arc<Numbers>>,
}

/// Each exists from its first use on.
pub(crate) struct Numbers {
    codes: Codes,
    time: Late<Histogram>,
    pub(crate) total: Late<Counter>,
    pub(crate) timeout: Late<Counter>,
    pub(crate) retry: Late<Counter>,
    pub(crate) retry_success: Late<Counter>,
    pub(crate) retry_overflow: Late<Counter>,
    pub(crate) retry_limit_exceeded: Late<Counter>,
}

impl Beside {
    /// `None` where nothing is to be counted.
    pub(super) fn new(table: &RouteTable, stats: &Stats) -> Option<Self> {
        let hosts: HashMap<_, _> = table
            .hosts
            .iter()
            .filter_map(|host| Some((Arc::as_ptr(host).addr(), Host::new(host, stats)?)))
            .collect();
        (!hosts.is_empty()).then_some(Self { hosts })
    }

    /// Where a request is counted.
    pub(crate) fn of(
        &self,
        host: &Arc<VirtualHost>,
        route: &Route,
        head: &Head<'_>,
    ) -> Box<[Arc<Numbers>]> {
        let Some(all) = self.hosts.get(&Arc::as_ptr(host).addr()) else { return Box::default() };
        let at = host.clusters.iter().position(|one| field::all_match(&one.headers, head));
        let cluster = at.and_then(|at| all.clusters.get(at)).or(all.other.as_ref());
        let route = route.stat_prefix.as_ref().and_then(|prefix| all.routes.get(prefix));
        cluster.into_iter().chain(route).cloned().collect()
    }
}

impl Host {
    fn new(host: &VirtualHost, stats: &Stats) -> Option<Self> {
        let prefixes = host.routes.iter().filter_map(|route| route.stat_prefix.clone());
        let mut prefixes = prefixes.peekable();
        if host.clusters.is_empty() && prefixes.peek().is_none() {
            return None;
        }
        let scope = stats.scope("vhost", Tag::new(tag::VIRTUAL_HOST, &host.name));
        let cluster = |name: &str| scope.tagged("vcluster", tag::VIRTUAL_CLUSTER, name);
        let route = |prefix: Arc<str>| {
            let numbers = Numbers::new(&scope.tagged("route", tag::ROUTE, &prefix));
            (prefix, numbers)
        };
        Some(Self {
            clusters: host.clusters.iter().map(|one| Numbers::new(&cluster(&one.name))).collect(),
            other: (!host.clusters.is_empty()).then(|| Numbers::new(&cluster("other"))),
            routes: prefixes.map(route).collect(),
        })
    }
}

impl Numbers {
    fn new(scope: &Scope) -> Arc<Self> {
        Arc::new(Self {
            codes: Codes::new(scope.clone(), "upstream_rq"),
            time: scope.late("upstream_rq_time"),
            total: scope.late("upstream_rq_total"),
            timeout: scope.late("upstream_rq_timeout"),
            retry: scope.late("upstream_rq_retry"),
            retry_success: scope.late("upstream_rq_retry_success"),
            retry_overflow: scope.late("upstream_rq_retry_overflow"),
            retry_limit_exceeded: scope.late("upstream_rq_retry_limit_exceeded"),
        })
    }

    pub(crate) fn completed(&self, status: u16) {
        self.codes.count(status);
    }

    pub(crate) fn took(&self, time: Duration) {
        self.time.record(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_model::http::route::VirtualCluster;

    #[test]
    fn a_table_that_names_nothing_costs_nothing() {
        let stats = Stats::default();
        let host = |clusters: Box<[VirtualCluster]>| {
            let host = VirtualHost { name: "h".into(), clusters, ..VirtualHost::default() };
            RouteTable { hosts: [Arc::new(host)].into(), ..RouteTable::default() }
        };
        assert!(Beside::new(&host(Box::default()), &stats).is_none());
        let cluster = VirtualCluster { name: "c".into(), headers: Box::default() };
        assert!(Beside::new(&host([cluster].into()), &stats).is_some());
    }
}
