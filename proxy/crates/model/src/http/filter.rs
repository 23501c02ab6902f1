//! HTTP filters, and what routes say about them.
use super::{
    cors::Cors,
    fault::Fault,
    listener::FilterStateValue,
    matcher::HeaderMatch,
    mutation::{HeaderMutations, QueryMutation},
    ratelimit::LocalRateLimit,
    rbac::Rbac,
    source::ConfigSource,
};
use std::{collections::BTreeMap, sync::Arc};

/// A filter of a chain, in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// What routes call it.
    pub name: Arc<str>,
    pub config: FilterConfig,
    /// Only routes that say so use it.
    pub disabled: bool,
}

/// Where a filter's configuration is.
#[derive(Clone, Debug, PartialEq)]
pub enum FilterConfig {
    Here(HttpFilter),
    /// By the filter's name, from ECDS.
    Discovered(Arc<Discovered>),
}

/// A filter that is configured by a resource of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    pub source: ConfigSource,
    /// Until there is one, and while there is none.
    pub default: Option<HttpFilter>,
    /// Types that are accepted, without their prefix.
    pub types: Arc<[Arc<str>]>,
    /// The default is used until then; otherwise the listener waits.
    pub apply_default_without_warming: bool,
}

/// What a filter does.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpFilter {
    Router(Arc<Router>),
    Rbac(Arc<Rbac>),
    Fault(Arc<Fault>),
    LocalRateLimit(Arc<LocalRateLimit>),
    /// What is allowed is said by routes.
    Cors,
    HeaderMutation(Arc<HeaderMutationFilter>),
    SetFilterState(Arc<SetFilterState>),
    HealthCheck(Arc<HealthCheckFilter>),
    /// At most so many bytes of a request.
    Buffer {
        max: u32,
    },
    GrpcStats(Arc<GrpcStats>),
    GrpcWeb,
    /// It may be passed by, and is.
    Ignored,
}

/// The last filter.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as Envoy has them")]
pub struct Router {
    /// Envoy: true.
    pub dynamic_stats: bool,
    pub start_child_span: bool,
    pub upstream_logs: Arc<[super::access_log::AccessLog]>,
    /// No `x-envoy-…` headers are added.
    pub suppress_envoy_headers: bool,
    /// `x-envoy-…` headers that must be valid, else 400.
    pub strict_headers: Arc<[Arc<str>]>,
    pub respect_expected_timeout: bool,
    /// Answers to calls of gRPC are counted, and not by their status.
    pub suppress_grpc_failure_codes: bool,
}

/// Headers changed on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderMutationFilter {
    pub request: HeaderMutations,
    pub query: Arc<[QueryMutation]>,
    pub response: HeaderMutations,
    pub request_trailers: HeaderMutations,
    pub response_trailers: HeaderMutations,
    /// Of the mutations of routes, those of the most specific go last.
    pub most_specific_wins: bool,
}

/// Values left for those that come after.
#[derive(Clone, Debug, PartialEq)]
pub struct SetFilterState {
    pub values: Arc<[FilterStateValue]>,
    /// The route is looked for once more: what it goes by may have changed.
    pub clear_route: bool,
}

/// Answers health checks.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheckFilter {
    /// Checks go on to the upstream.
    pub pass_through: bool,
    /// In pass-through, how long an answer is reused.
    pub cache: Option<std::time::Duration>,
    /// All must match for a request to be a check.
    pub headers: Arc<[HeaderMatch]>,
    /// Percent of endpoints of clusters that must be healthy.
    pub clusters: Arc<[(Arc<str>, f64)]>,
}

/// Statistics of gRPC.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpcStats {
    pub emit_filter_state: bool,
    pub upstream: bool,
    pub methods: GrpcMethods,
}

/// Which methods have counters of their own.
#[derive(Clone, Debug, PartialEq)]
pub enum GrpcMethods {
    None,
    All,
    Only(Arc<[GrpcService]>),
}

/// Methods of a service of gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcService {
    pub name: Arc<str>,
    pub methods: Arc<[Arc<str>]>,
}

/// What a route table, a virtual host, a route or a weighted cluster says about filters, by the
/// filter's name; a clone shares all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerFilter(Option<Arc<BTreeMap<Arc<str>, Override>>>);

/// What it says about one filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The filter does nothing (`true`), or works though it is disabled in the chain (`false`);
    /// `None`: not said.
    pub disabled: Option<bool>,
    pub config: Option<OverrideConfig>,
}

/// What is meant instead of, or beside, what the chain says.
#[derive(Clone, Debug, PartialEq)]
pub enum OverrideConfig {
    /// `None`: the filter does nothing here.
    Rbac(Option<Arc<Rbac>>),
    Fault(Arc<Fault>),
    LocalRateLimit(Arc<LocalRateLimit>),
    Cors(Arc<Cors>),
    HeaderMutation(Arc<HeaderMutationFilter>),
    SetFilterState(Arc<SetFilterState>),
    /// `None`: nothing is buffered here.
    Buffer(Option<u32>),
    /// Of a filter that is passed by.
    Ignored,
}

impl PerFilter {
    pub fn new(overrides: BTreeMap<Arc<str>, Override>) -> Self {
        Self((!overrides.is_empty()).then(|| Arc::new(overrides)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is said about the filter of this name.
    pub fn get(&self, filter: &str) -> Option<&Override> {
        self.0.as_ref()?.get(filter)
    }

    /// In the order of the filters' names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Override)> {
        self.0.iter().flat_map(|overrides| overrides.iter())
    }
}

impl Default for Router {
    fn default() -> Self {
        Self {
            dynamic_stats: true,
            start_child_span: false,
            upstream_logs: Arc::default(),
            suppress_envoy_headers: false,
            strict_headers: Arc::default(),
            respect_expected_timeout: false,
            suppress_grpc_failure_codes: false,
        }
    }
}

impl HttpFilter {
    /// Envoy's canonical name, as statistics and errors say it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Router(_) => "envoy.filters.http.router",
            Self::Rbac(_) => "envoy.filters.http.rbac",
            Self::Fault(_) => "envoy.filters.http.fault",
            Self::LocalRateLimit(_) => "envoy.filters.http.local_ratelimit",
            Self::Cors => "envoy.filters.http.cors",
            Self::HeaderMutation(_) => "envoy.filters.http.header_mutation",
            Self::SetFilterState(_) => "envoy.filters.http.set_filter_state",
            Self::HealthCheck(_) => "envoy.filters.http.health_check",
            Self::Buffer { .. } => "envoy.filters.http.buffer",
            Self::GrpcStats(_) => "envoy.filters.http.grpc_stats",
            Self::GrpcWeb => "envoy.filters.http.grpc_web",
            Self::Ignored => "ignored",
        }
    }
}
