//! `RetryPolicy`: which failures are tried again, how often, after how long.
use std::time::Duration;

use http::HeaderName;

use super::{matcher::HeaderMatch, value::Metadata};

mod conditions;

pub use conditions::{Condition, Conditions};

/// When a request that failed is sent again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    pub on: Conditions,
    /// Beyond the first try; one unless told otherwise.
    pub retries: u32,
    /// `None`: a try may take as long as the request.
    pub per_try: Option<Duration>,
    pub per_try_idle: Option<Duration>,
    /// For `retriable-status-codes`; ascending.
    pub status_codes: Box<[u16]>,
    /// For `retriable-headers`, any of them.
    pub response_headers: Box<[HeaderMatch]>,
    /// Only requests with any of these are tried again; none: all.
    pub request_headers: Box<[HeaderMatch]>,
    pub back_off: BackOff,
    pub rate_limited: Option<Box<RateLimitedBackOff>>,
    /// `previous_hosts`: not to an endpoint that was tried already, if that can be.
    pub avoid_previous: bool,
    /// `omit_host_metadata`: not to endpoints with all of it (below `envoy.lb`), if that can be.
    pub avoid_metadata: Option<Metadata>,
    /// `host_selection_retry_max_attempts`: how often another endpoint is asked for; one.
    pub selections: u32,
    /// `previous_priorities`: how many tries go by before other priorities are preferred.
    pub priorities_every: Option<u32>,
}

/// Exponential, with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// 25 ms unless told otherwise; at least 1 ms.
    pub base: Duration,
    /// Ten times the base unless told otherwise; not below it.
    pub max: Duration,
}

/// `RateLimitedRetryBackOff`: as long as the response says, with up to half as much again.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimitedBackOff {
    /// The first that the response has, and that can be read, counts.
    pub headers: Box<[ResetHeader]>,
    /// A response that says more is not believed; 300 s unless told otherwise.
    pub max: Duration,
}

/// A header of a response that says when to come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetHeader {
    pub name: HeaderName,
    pub form: ResetForm,
}

/// How it says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetForm {
    #[default]
    Seconds,
    UnixTimestamp,
}

impl BackOff {
    pub const DEFAULT: Self =
        Self { base: Duration::from_millis(25), max: Duration::from_millis(250) };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            on: Conditions::default(),
            retries: 1,
            per_try: None,
            per_try_idle: None,
            status_codes: Box::default(),
            response_headers: Box::default(),
            request_headers: Box::default(),
            back_off: BackOff::DEFAULT,
            rate_limited: None,
            avoid_previous: false,
            avoid_metadata: None,
            selections: 1,
            priorities_every: None,
        }
    }
}
