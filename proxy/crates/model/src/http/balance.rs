//! How a cluster's requests are spread over its endpoints.
use std::{sync::Arc, time::Duration};

use super::{matcher::RuntimeNumber, value::Value};

/// A cluster's load balancing, whichever way it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    pub policy: Policy,
    /// Where localities stand: `locality_weighted_lb_config`, `zone_aware_lb_config`, neither.
    pub locality: LocalityMode,
    /// `healthy_panic_threshold`, in per cent of a priority's endpoints: below it, health is not
    /// looked at; zero: never. 50 unless told otherwise.
    pub panic_threshold: f64,
    pub subsets: Option<Arc<Subsets>>,
    /// Endpoints that are new are not used before their first health check.
    pub ignore_new_until_checked: bool,
    /// `update_merge_window`: 1 s unless told otherwise.
    pub merge_window: Duration,
    /// Of rings and tables.
    pub consistent: Consistent,
}

/// Which endpoint is next.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    RoundRobin {
        slow_start: Option<SlowStart>,
    },
    LeastRequest(LeastRequest),
    Random,
    RingHash(RingHash),
    Maglev(Maglev),
    /// The cluster's own: where the connection was meant to go.
    ClusterProvided,
}

/// The endpoint with the fewest requests of some.
#[derive(Clone, Debug, PartialEq)]
pub struct LeastRequest {
    /// How many are drawn; two unless told otherwise.
    pub choices: u32,
    /// `FULL_SCAN`: all of them.
    pub full_scan: bool,
    /// How much the requests under way count where weights differ: weight / (requests + 1)^bias.
    pub active_bias: RuntimeNumber<f64>,
    pub slow_start: Option<SlowStart>,
}

/// Endpoints on a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingHash {
    /// 1,024 unless told otherwise.
    pub minimum: u64,
    /// 8,388,608 unless told otherwise; not below the minimum.
    pub maximum: u64,
    pub function: HashFunction,
}

/// A table of a prime size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maglev {
    /// 65,537 unless told otherwise; a prime, below 5,000,011.
    pub table_size: u64,
}

/// How a ring hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashFunction {
    #[default]
    XxHash,
    /// `std::hash` of a C++ library.
    Murmur2,
}

/// `ConsistentHashingLbConfig`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consistent {
    /// An endpoint's name is hashed instead of its address.
    pub by_hostname: bool,
    /// `hash_balance_factor`: no endpoint takes more than so many per cent of the average.
    pub bounded_load: Option<u32>,
}

/// `SlowStartConfig`: endpoints that are new get little at first.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowStart {
    pub window: Duration,
    /// Above 1: slower at first; 1 unless told otherwise.
    pub aggression: RuntimeNumber<f64>,
    /// Never below so many per cent of the weight; 10 unless told otherwise.
    pub min_weight: f64,
}

/// What localities mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum LocalityMode {
    /// Nothing: all of a priority's endpoints are alike.
    #[default]
    Flat,
    /// By their weights, and by how many of their endpoints are healthy.
    Weighted,
    /// The own zone first, as far as its share of the endpoints allows.
    ZoneAware(ZoneAware),
}

/// `ZoneAwareLbConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneAware {
    /// How many requests, in per cent; all.
    pub routing_enabled: RuntimeNumber<f64>,
    /// Only clusters with at least so many endpoints; six.
    pub minimum: RuntimeNumber<u64>,
    pub fail_on_panic: bool,
}

/// `LbSubsetConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct Subsets {
    pub fallback: Fallback,
    /// What endpoints have in `DefaultSubset`; below `envoy.lb`.
    pub default: Box<[(Arc<str>, Value)]>,
    pub selectors: Box<[Selector]>,
    /// `locality_weight_aware`, and `scale_locality_weight`.
    pub locality_weights: Option<ScaleWeights>,
    /// `panic_mode_any`: an empty subset that is fallen back to is all endpoints.
    pub panic_mode_any: bool,
    /// `list_as_any`: an endpoint's list stands for each of its elements.
    pub list_as_any: bool,
    /// `metadata_fallback_policy: FALLBACK_LIST`: a request's `fallback_list` is gone through.
    pub metadata_fallback: bool,
}

/// Whether the weights of localities are scaled by how much of them a subset has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleWeights {
    No,
    Yes,
}

/// Where requests go that no subset is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    #[default]
    None,
    AnyEndpoint,
    DefaultSubset,
}

/// `LbSubsetSelector`: the keys by which endpoints are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Ascending, each once.
    pub keys: Box<[Arc<str>]>,
    pub fallback: SelectorFallback,
    /// Every endpoint has a subset of its own.
    pub single_host: bool,
}

/// Where requests go that ask for a value that no endpoint has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SelectorFallback {
    /// Where the cluster says.
    #[default]
    Inherited,
    None,
    AnyEndpoint,
    DefaultSubset,
    /// As if only these were asked for.
    Keys(Box<[Arc<str>]>),
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            policy: Policy::RoundRobin { slow_start: None },
            locality: LocalityMode::Flat,
            panic_threshold: 50.0,
            subsets: None,
            ignore_new_until_checked: false,
            merge_window: Duration::from_secs(1),
            consistent: Consistent::default(),
        }
    }
}

impl Default for LeastRequest {
    fn default() -> Self {
        Self { choices: 2, full_scan: false, active_bias: 1.0.into(), slow_start: None }
    }
}

impl Default for RingHash {
    fn default() -> Self {
        Self { minimum: 1024, maximum: 8 * 1024 * 1024, function: HashFunction::XxHash }
    }
}

impl Default for Maglev {
    fn default() -> Self {
        Self { table_size: 65_537 }
    }
}
