//! Limits of how often: token buckets, and the descriptors that choose among them.
use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    field::Field,
    format::Template,
    matcher::{HeaderMatch, QueryMatch, RuntimeFlag, RuntimeFraction},
    mutation::HeaderValue,
};

/// `TokenBucket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Never zero.
    pub max: u32,
    /// One unless told otherwise.
    pub per_fill: u32,
    /// At least 50 ms.
    pub interval: Duration,
}

/// The HTTP filter `local_ratelimit`.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as Envoy has them")]
pub struct LocalRateLimit {
    pub stat_prefix: Arc<str>,
    /// 429 unless told otherwise; 400 and above.
    pub status: StatusCode,
    /// Without one, it is off.
    pub bucket: Option<Bucket>,
    /// How many requests are looked at; none unless told otherwise.
    pub enabled: RuntimeFraction,
    /// How many of those that are over are refused; none unless told otherwise.
    pub enforced: RuntimeFraction,
    /// To requests that are over, but let pass.
    pub request_headers: Box<[HeaderValue]>,
    /// To responses of those that are refused.
    pub response_headers: Box<[HeaderValue]>,
    pub descriptors: Box<[LocalDescriptor]>,
    /// Which of the route's rate limits are asked (`stage`).
    pub stage: u32,
    /// Each connection has buckets of its own.
    pub per_connection: bool,
    /// `x-ratelimit-limit`, `-remaining`, `-reset` (`DRAFT_VERSION_03`).
    pub x_ratelimit_headers: bool,
    /// `always_consume_default_token_bucket`: `true`.
    pub always_default: bool,
    /// `rate_limited_as_resource_exhausted`.
    pub resource_exhausted: bool,
    /// The filter's own, instead of the route's.
    pub limits: RateLimits,
    pub host_limits: HostLimits,
    /// How many descriptors that match any value (an empty one) are kept; 20.
    pub max_dynamic: u32,
}

/// Whether a virtual host's rate limits are asked beside those of its route (`vh_rate_limits`),
/// where the route does not say that they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostLimits {
    /// Where the route has none.
    #[default]
    Override,
    Include,
    Ignore,
}

/// A bucket for requests with these entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDescriptor {
    /// An entry of an empty value is every value, each with a bucket of its own.
    pub entries: Box<[(Arc<str>, Arc<str>)]>,
    pub bucket: Bucket,
}

/// The network filter `local_ratelimit`: connections.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionRateLimit {
    pub stat_prefix: Arc<str>,
    pub bucket: Bucket,
    pub enabled: RuntimeFlag,
    /// Filters with the same key share a bucket.
    pub share_key: Option<Arc<str>>,
}

/// `RateLimit` of routes and virtual hosts, in order.
pub type RateLimits = Box<[RateLimitActions]>;

/// One `RateLimit`: the actions make a descriptor; if any of them comes to nothing, there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimitActions {
    pub stage: u32,
    pub disable_key: Option<Arc<str>>,
    pub actions: Box<[DescriptorAction]>,
    /// `hits_addend`: how many tokens; one unless told otherwise.
    pub hits: Option<u64>,
    /// Asked when the response is complete.
    pub on_response: bool,
}

/// `RateLimit.Action`.
#[derive(Clone, Debug, PartialEq)]
pub enum DescriptorAction {
    SourceCluster,
    DestinationCluster,
    /// `skip_if_absent`: the entry is left out, instead of the descriptor.
    RequestHeader {
        name: Field,
        key: Arc<str>,
        skip_if_absent: bool,
    },
    Query {
        name: Arc<str>,
        key: Arc<str>,
        skip_if_absent: bool,
    },
    RemoteAddress,
    /// The client's network, of so many bits.
    MaskedRemoteAddress {
        v4: u8,
        v6: u8,
    },
    GenericKey {
        key: Arc<str>,
        value: Template,
    },
    /// `header_value_match`: the entry is there if (or if not) all match.
    HeaderMatch {
        key: Arc<str>,
        value: Template,
        expect: bool,
        headers: Box<[HeaderMatch]>,
    },
    QueryMatch {
        key: Arc<str>,
        value: Template,
        expect: bool,
        query: Box<[QueryMatch]>,
    },
    Metadata {
        key: Arc<str>,
        /// Of the request (dynamic), or of the route.
        of_route: bool,
        filter: Arc<str>,
        path: Box<[Arc<str>]>,
        default: Option<Arc<str>>,
        skip_if_absent: bool,
    },
}
