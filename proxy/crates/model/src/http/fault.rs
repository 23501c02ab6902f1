//! `HTTPFault`: requests that are delayed, refused or slowed on purpose.
use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::matcher::{Fraction, HeaderMatch};

/// The filter's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub delay: Option<Delay>,
    pub abort: Option<Abort>,
    /// `response_rate_limit`.
    pub rate: Option<Rate>,
    /// Only requests to this cluster.
    pub upstream_cluster: Option<Arc<str>>,
    /// Only requests with all of these.
    pub headers: Box<[HeaderMatch]>,
    /// Only requests from these nodes (`x-envoy-downstream-service-node`).
    pub downstream_nodes: Box<[Arc<str>]>,
    /// No more than so many faults at a time.
    pub max_active: Option<u32>,
    pub keys: FaultKeys,
    /// Faults are not counted by the client's cluster.
    pub disable_downstream_cluster_stats: bool,
}

/// How long a request waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    pub how: DelayLength,
    pub share: Fraction,
}

/// Who says how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayLength {
    Fixed(Duration),
    /// `x-envoy-fault-delay-request`, in ms; its `-percentage` below the share.
    Header,
}

/// How a request is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Abort {
    pub how: AbortWith,
    pub share: Fraction,
}

/// Who says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortWith {
    Status(StatusCode),
    Grpc(u32),
    /// `x-envoy-fault-abort-request` or `x-envoy-fault-abort-grpc-request`.
    Header,
}

/// How slowly a response comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    pub how: RateLimit,
    pub share: Fraction,
}

/// Who says how slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// KiB a second; never zero.
    Fixed(u64),
    /// `x-envoy-fault-throughput-response`, in KiB a second.
    Header,
}

/// Runtime keys that override parts of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultKeys {
    pub delay_percent: Arc<str>,
    pub abort_percent: Arc<str>,
    /// In ms.
    pub delay_duration: Arc<str>,
    pub abort_status: Arc<str>,
    pub abort_grpc: Arc<str>,
    pub max_active: Arc<str>,
    pub rate_percent: Arc<str>,
}

impl Default for FaultKeys {
    fn default() -> Self {
        Self {
            delay_percent: "fault.http.delay.fixed_delay_percent".into(),
            abort_percent: "fault.http.abort.abort_percent".into(),
            delay_duration: "fault.http.delay.fixed_duration_ms".into(),
            abort_status: "fault.http.abort.http_status".into(),
            abort_grpc: "fault.http.abort.grpc_status".into(),
            max_active: "fault.http.max_active_faults".into(),
            rate_percent: "fault.http.rate_limit.response_percent".into(),
        }
    }
}
