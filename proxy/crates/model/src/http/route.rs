//! Where requests go: `RouteConfiguration`.
use std::sync::Arc;

use http::HeaderName;

use super::{
    cors::Cors,
    filter::PerFilter,
    manager::Sampling,
    matcher::{HeaderMatch, QueryMatch, Regex, RuntimeFraction, StringMatch},
    mutation::HeaderMutations,
    ratelimit::RateLimits,
    retry::RetryPolicy,
    value::{Metadata, MetadataMatch},
};

mod action;
mod domain;
mod forward;

pub use self::{
    action::{Action, Direct, Redirect, RedirectCode, RedirectPath, RedirectScheme},
    domain::Domain,
    forward::{
        ClusterChoice, Cookie, CookieAttribute, Forward, HashOn, HashPolicy, HostRewrite,
        InternalRedirect, Mirror, MirrorCluster, PathRewrite, Priority, StreamLimit, Timeouts,
        Upgrade, Weighted, WeightedCluster, WeightedName,
    },
};

/// `RouteConfiguration`: virtual hosts, one of which a request belongs to.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as Envoy has them")]
pub struct RouteTable {
    pub name: Arc<str>,
    pub hosts: Box<[Arc<VirtualHost>]>,
    /// `ignore_port_in_host_matching`: the port of a request's host is not looked at.
    pub ignore_port: bool,
    /// `vhost_header`: looked at instead of the authority.
    pub host_header: Option<HeaderName>,
    pub request: HeaderMutations,
    pub response: HeaderMutations,
    /// Removed from requests that come from outside.
    pub internal_only: Box<[HeaderName]>,
    /// Whether an action may name only clusters that exist.
    pub validate_clusters: bool,
    /// `most_specific_header_mutations_wins`: this table's are done first, the route's last.
    pub most_specific_wins: bool,
    /// `ignore_path_parameters_in_path_matching`: `/a;x=1` is looked at as `/a`.
    pub ignore_path_parameters: bool,
    pub mirrors: Box<[Mirror]>,
    pub per_filter: PerFilter,
    pub metadata: Metadata,
}

/// `VirtualHost`: routes for some hosts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VirtualHost {
    pub name: Arc<str>,
    /// Each in one virtual host of a table only.
    pub domains: Box<[Domain]>,
    /// The first that matches counts.
    pub routes: Box<[Arc<Route>]>,
    pub require_tls: RequireTls,
    pub request: HeaderMutations,
    pub response: HeaderMutations,
    /// `include_request_attempt_count`: `x-envoy-attempt-count` upstream.
    pub attempts_in_request: bool,
    /// `include_attempt_count_in_response`.
    pub attempts_in_response: bool,
    /// For routes without one.
    pub retry: Option<Arc<RetryPolicy>>,
    /// For routes without any.
    pub mirrors: Box<[Mirror]>,
    pub rate_limits: RateLimits,
    /// Requests that are counted by themselves, by the first that is for them.
    pub clusters: Box<[VirtualCluster]>,
    /// The deprecated place; a filter's own configuration is before it.
    pub cors: Option<Arc<Cors>>,
    pub per_filter: PerFilter,
    pub metadata: Metadata,
}

/// Requests of a virtual host that are counted by themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualCluster {
    pub name: Arc<str>,
    /// All must hold.
    pub headers: Box<[HeaderMatch]>,
}

/// Which requests are sent to https instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequireTls {
    #[default]
    None,
    /// Those from outside.
    External,
    All,
}

/// `Route`.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Empty if it has none.
    pub name: Arc<str>,
    pub when: RouteMatch,
    pub action: Action,
    pub request: HeaderMutations,
    pub response: HeaderMutations,
    /// Of traces.
    pub traced: Option<Arc<Traced>>,
    pub stat_prefix: Option<Arc<str>>,
    pub per_filter: PerFilter,
    pub metadata: Metadata,
}

/// What a route says of the traces of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// In place of what the manager says.
    pub sampling: Option<Sampling>,
    /// `decorator.operation`: what they are called.
    pub operation: Option<Arc<str>>,
    /// The next proxy is told of `operation`. Envoy: true.
    pub propagate: bool,
}

/// `RouteMatch`: all of it must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteMatch {
    pub path: PathMatch,
    pub headers: Box<[HeaderMatch]>,
    pub query: Box<[QueryMatch]>,
    /// `runtime_fraction`.
    pub fraction: Option<RuntimeFraction>,
    /// Only requests of gRPC, by their content type.
    pub grpc: bool,
    pub tls: Option<TlsMatch>,
    pub metadata: Box<[MetadataMatch]>,
    pub filter_state: Box<[FilterStateMatch]>,
}

/// How the path, without query and fragment, is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    Exact(PathText),
    Prefix(PathText),
    /// A prefix that ends where a segment ends; without a slash at its end.
    Separated(PathText),
    Regex(Regex),
    /// `connect_matcher`: CONNECT, whatever its path.
    Connect,
}

/// A path, in lower case if case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathText {
    text: Arc<str>,
    ignore_case: bool,
}

/// `TlsContextMatchOptions`: what must hold of the client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsMatch {
    pub presented: Option<bool>,
    pub validated: Option<bool>,
}

/// `FilterStateMatcher`, of a string.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterStateMatch {
    pub key: Arc<str>,
    pub value: StringMatch,
}

impl PathText {
    #[must_use]
    pub fn new(text: &str, ignore_case: bool) -> Self {
        let text = if ignore_case { text.to_ascii_lowercase().into() } else { text.into() };
        Self { text, ignore_case }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    /// Whether it is the whole of `path`.
    #[must_use]
    pub fn equals(&self, path: &[u8]) -> bool {
        if self.ignore_case {
            path.eq_ignore_ascii_case(self.text.as_bytes())
        } else {
            path == self.text.as_bytes()
        }
    }

    /// What follows it in `path`, if that begins with it.
    #[must_use]
    pub fn strip_from<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let (start, rest) = path.split_at_checked(self.text.len())?;
        self.equals(start).then_some(rest)
    }
}

impl RouteMatch {
    /// One that asks for a path only.
    #[must_use]
    pub fn path(path: PathMatch) -> Self {
        Self {
            path,
            headers: Box::default(),
            query: Box::default(),
            fraction: None,
            grpc: false,
            tls: None,
            metadata: Box::default(),
            filter_state: Box::default(),
        }
    }
}
