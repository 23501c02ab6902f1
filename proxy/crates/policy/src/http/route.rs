//! Which route a request takes.
//!
//! A virtual host by the host's name, then its first route that matches. A table of routes is
//! indexed when it arrives, so that a thousand routes cost a request about as much as ten; the
//! index leaves out only routes whose path cannot match, and never changes the order.
use std::sync::Arc;

use culvert_model::http::{
    route::{RequireTls, Route, RouteTable, VirtualHost},
    runtime::RuntimeValues,
};

use super::facts::{Asking, Head};

mod cluster;
mod explain;
mod host;
mod matching;
mod paths;
mod redirect;
mod rewrite;

pub use self::{
    cluster::{Named, cluster, mirror_cluster},
    explain::{Explanation, Step},
    host::{port_start, without_port},
    matching::Miss,
    redirect::{https_location, location},
    rewrite::{rewritten_host, rewritten_path},
};

use host::Hosts;
use paths::Paths;

/// A route table, ready to be asked.
#[derive(Debug)]
pub struct Table {
    table: Arc<RouteTable>,
    hosts: Arc<Hosts>,
    /// By virtual host.
    paths: Box<[Paths]>,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub host: &'a Arc<VirtualHost>,
    pub to: Target<'a>,
}

/// What a virtual host has for a request.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    Route(&'a Arc<Route>),
    /// The host wants TLS: a redirect to [`https_location`], 301.
    Tls,
    /// No route matches.
    Nowhere,
}

/// What an internal request is known by.
pub const INTERNAL: http::HeaderName = http::HeaderName::from_static("x-envoy-internal");

impl Table {
    #[must_use]
    pub fn new(table: Arc<RouteTable>) -> Self {
        let hosts = Arc::new(Hosts::new(&table.hosts));
        let paths = table.hosts.iter().map(|host| Paths::new(&host.routes)).collect();
        Self { table, hosts, paths }
    }

    /// The same as [`Self::new`]; what both tables share is not indexed again.
    #[must_use]
    pub fn after(&self, table: Arc<RouteTable>) -> Self {
        let before = &self.table.hosts;
        let is_same = |old: &Arc<VirtualHost>, new: &Arc<VirtualHost>| Arc::ptr_eq(old, new);
        let mut both = before.iter().zip(&table.hosts);
        let alike = before.len() == table.hosts.len()
            && both.all(|(old, new)| is_same(old, new) || old.domains == new.domains);
        let hosts =
            if alike { Arc::clone(&self.hosts) } else { Arc::new(Hosts::new(&table.hosts)) };
        let paths = table.hosts.iter().enumerate().map(|(at, new)| {
            let old = before.get(at).filter(|old| is_same(old, new)).and(self.paths.get(at));
            old.cloned().unwrap_or_else(|| Paths::new(&new.routes))
        });
        let paths = paths.collect();
        Self { table, hosts, paths }
    }

    /// What it was made of.
    #[must_use]
    pub fn table(&self) -> &Arc<RouteTable> {
        &self.table
    }

    /// Where a request goes; `None` if no virtual host is for it.
    #[must_use]
    pub fn find(&self, asking: &Asking<'_>) -> Option<Found<'_>> {
        let at = self.host_index(&asking.head)?;
        let host = self.table.hosts.get(at)?;
        if wants_tls(host, &asking.head) {
            return Some(Found { host, to: Target::Tls });
        }
        let path = self.match_path(&asking.head);
        let mut candidates = self.paths.get(at)?.candidates(path);
        let first = candidates.find_map(|at| {
            let route = host.routes.get(at)?;
            matching::check(&route.when, asking, path).is_ok().then_some(route)
        });
        Some(Found { host, to: first.map_or(Target::Nowhere, Target::Route) })
    }

    /// The same, told for people: every route that was looked at, and why it was passed over.
    #[must_use]
    pub fn explain(&self, asking: &Asking<'_>) -> Explanation<'_> {
        let Some(at) = self.host_index(&asking.head) else { return Explanation::NoHost };
        let Some(host) = self.table.hosts.get(at) else { return Explanation::NoHost };
        explain::walk(host, asking, self.match_path(&asking.head), wants_tls(host, &asking.head))
    }

    fn host_index(&self, head: &Head<'_>) -> Option<usize> {
        let name = match &self.table.host_header {
            None => head.authority,
            Some(name) => head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or(""),
        };
        self.hosts.find(if self.table.ignore_port { without_port(name) } else { name })
    }

    fn match_path<'a>(&self, head: &Head<'a>) -> &'a str {
        let path = head.bare_path();
        if self.table.ignore_path_parameters {
            path.split_once(';').map_or(path, |(path, _)| path)
        } else {
            path
        }
    }
}

fn wants_tls(host: &VirtualHost, head: &Head<'_>) -> bool {
    if head.scheme == "https" {
        return false;
    }
    match host.require_tls {
        RequireTls::None => false,
        RequireTls::External => head.headers.get(INTERNAL).is_none_or(|value| value != "true"),
        RequireTls::All => true,
    }
}

/// The weight of a cluster that a runtime key may override.
fn runtime_weight(prefix: &str, cluster: &str, runtime: &RuntimeValues) -> Option<u64> {
    use super::chance::FromRuntime;

    u64::from_runtime(runtime.number(&format!("{prefix}.{cluster}"))?)
}

#[cfg(test)]
mod tests;
