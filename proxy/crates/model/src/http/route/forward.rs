//! `RouteAction`: to a cluster, and how.
use std::{sync::Arc, time::Duration};

use http::StatusCode;

use crate::http::{
    cors::Cors,
    field::Field,
    filter::PerFilter,
    matcher::{RuntimeFraction, Substitution},
    mutation::HeaderMutations,
    ratelimit::RateLimits,
    retry::RetryPolicy,
    value::Metadata,
};

mod hash;

pub use self::hash::{Cookie, CookieAttribute, HashOn, HashPolicy};

/// To a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    pub cluster: ClusterChoice,
    /// `cluster_not_found_response_code`: 503 unless told otherwise.
    pub not_found: StatusCode,
    /// What endpoints must carry below `envoy.lb` (subsets).
    pub metadata_match: Metadata,
    pub path: PathRewrite,
    pub host: HostRewrite,
    /// The host that was before it was rewritten, in `x-forwarded-host`.
    pub append_forwarded_host: bool,
    pub timeouts: Timeouts,
    /// Else the virtual host's.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Else the virtual host's.
    pub mirrors: Box<[Mirror]>,
    pub hash: Box<[HashPolicy]>,
    pub upgrades: Box<[Upgrade]>,
    pub priority: Priority,
    pub rate_limits: RateLimits,
    /// `include_vh_rate_limits`.
    pub host_rate_limits: bool,
    pub internal_redirect: Option<Box<InternalRedirect>>,
    /// The deprecated place; a filter's own configuration is before it.
    pub cors: Option<Arc<Cors>>,
}

/// Which cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum ClusterChoice {
    Named(Arc<str>),
    /// The one that a header names.
    Header(Field),
    Weighted(Weighted),
}

/// `WeightedCluster`.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    /// Not all of weight zero.
    pub clusters: Box<[WeightedCluster]>,
    /// The sum of the weights; never zero.
    pub total: u64,
    /// `header_name`: a header whose number takes the place of the dice.
    pub dice_header: Option<Field>,
    /// `runtime_key_prefix`: `<prefix>.<cluster>` overrides a weight.
    pub runtime_prefix: Option<Arc<str>>,
    /// `use_hash_policy`: the route's hash takes the place of the dice.
    pub by_hash: bool,
}

/// One of several.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedCluster {
    pub cluster: WeightedName,
    pub weight: u32,
    /// Over the route's.
    pub metadata_match: Metadata,
    pub request: HeaderMutations,
    pub response: HeaderMutations,
    /// `host_rewrite_literal`: before the route's.
    pub host: Option<Arc<str>>,
    pub per_filter: PerFilter,
}

/// How one of several is named.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightedName {
    Named(Arc<str>),
    Header(Field),
}

/// What the path becomes; what it was is in `x-envoy-original-path`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PathRewrite {
    #[default]
    Keep,
    /// `prefix_rewrite`: what the route matched, replaced.
    Prefix(Arc<str>),
    /// Of the path without its query.
    Regex(Substitution),
}

/// What the host becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum HostRewrite {
    #[default]
    Keep,
    Literal(Arc<str>),
    /// `auto_host_rewrite`: the endpoint's name.
    Auto,
    /// A header's value, if the request has it.
    Header(Field),
    /// `host_rewrite_path_regex`: the path without its query, substituted.
    PathRegex(Substitution),
}

/// How long a request may take; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the end of the request to the end of the response; 15 s unless told otherwise.
    pub request: Option<Duration>,
    /// `idle_timeout` of the route's streams, over the listener's; `Some(ZERO)` is none.
    pub idle: Option<Duration>,
    /// `max_stream_duration`.
    pub stream: Option<StreamLimit>,
    /// `max_grpc_timeout`, deprecated: `grpc-timeout` counts, up to this (zero: as it is).
    pub max_grpc: Option<Duration>,
    /// `grpc_timeout_offset`: taken off `grpc-timeout`.
    pub grpc_offset: Option<Duration>,
}

/// `MaxStreamDuration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamLimit {
    /// Over the listener's; zero is for ever.
    pub limit: Option<Duration>,
    /// `grpc_timeout_header_max`: `grpc-timeout` counts, up to this (zero: as it is).
    pub grpc_max: Option<Duration>,
    pub grpc_offset: Option<Duration>,
}

/// `RequestMirrorPolicy`: a copy to another cluster, whose answer nobody waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    pub cluster: MirrorCluster,
    pub fraction: RuntimeFraction,
    /// Unless `disable_shadow_host_suffix_append`: the host's name with `-shadow`.
    pub shadow_host: bool,
    /// `trace_sampled`.
    pub trace: Option<bool>,
    pub request: HeaderMutations,
    pub host: Option<Arc<str>>,
}

/// Which cluster a copy goes to.
#[derive(Clone, Debug, PartialEq)]
pub enum MirrorCluster {
    Named(Arc<str>),
    /// The one that a header names; without it there is no copy.
    Header(Field),
}

/// `UpgradeConfig`: over the listener's, of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Upgrade {
    /// In lower case; `connect` for CONNECT.
    pub kind: Arc<str>,
    pub enabled: bool,
    /// `connect_config`: the CONNECT ends here, its bytes go upstream over TCP.
    pub terminate_connect: bool,
    /// POST is taken as CONNECT is.
    pub allow_post: bool,
}

/// Which of a cluster's circuit breakers counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    #[default]
    Default,
    High,
}

/// `InternalRedirectPolicy`: redirects of upstreams that are followed here.
#[derive(Clone, Debug, PartialEq)]
pub struct InternalRedirect {
    /// How often; one unless told otherwise.
    pub limit: u32,
    /// Which statuses; 302 unless told otherwise.
    pub codes: Box<[StatusCode]>,
    pub cross_scheme: bool,
    /// Headers of the response that the next request carries.
    pub copied: Box<[Field]>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request: Some(Duration::from_secs(15)),
            idle: None,
            stream: None,
            max_grpc: None,
            grpc_offset: None,
        }
    }
}
