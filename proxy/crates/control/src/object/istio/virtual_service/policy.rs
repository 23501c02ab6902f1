//! What else holds for the requests of a route: retries, faults, other origins.
use crate::object::{
    fault::advice,
    istio::{
        headers::FieldName,
        percent::{Percent, Percentage},
        text_match::TextMatch,
        time::Time,
    },
    spanned::Spanned,
};
use serde::Deserialize;

/// When and how often a request is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retries {
    /// How often at most; 0: never.
    pub attempts: Option<u32>,
    pub per_try_timeout: Option<Spanned<Time>>,
    pub retry_on: Option<RetryOn>,
    pub backoff: Option<Time>,
    pub retry_remote_localities: Option<bool>,
    pub retry_ignore_previous_hosts: Option<bool>,
}

/// Why a request is tried again: Envoy's words, and statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RetryOn {
    pub policies: Vec<String>,
    pub statuses: Vec<u16>,
}

/// What goes wrong on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Fault {
    pub delay: Option<Spanned<Delay>>,
    pub abort: Option<Spanned<Abort>>,
}

/// Some requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawDelay")]
pub struct Delay {
    pub time: Time,
    pub share: Percent,
}

/// Some requests are answered with a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawAbort")]
pub struct Abort {
    pub with: AbortWith,
    pub share: Percent,
}

/// The failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortWith {
    Http(u16),
    Grpc(u32),
}

/// What pages of other origins may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsPolicy {
    pub allow_origins: Vec<TextMatch>,
    allow_origin: Vec<String>,
    pub allow_methods: Vec<Method>,
    pub allow_headers: Vec<FieldName>,
    pub expose_headers: Vec<FieldName>,
    pub max_age: Option<Time>,
    pub allow_credentials: Option<bool>,
    pub unmatched_preflights: UnmatchedPreflights,
}

/// A method of HTTP, or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Method(pub String);

/// What becomes of a preflight of an origin that is not allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UnmatchedPreflights {
    #[default]
    Unspecified,
    Forward,
    Ignore,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDelay {
    fixed_delay: Option<Time>,
    exponential_delay: Option<Time>,
    percentage: Option<Percentage>,
    percent: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAbort {
    http_status: Option<u32>,
    grpc_status: Option<String>,
    http2_error: Option<String>,
    percentage: Option<Percentage>,
}

/// Envoy's words for HTTP and gRPC.
const RETRY_ON: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// Statuses of gRPC, in the order of their numbers.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];

impl CorsPolicy {
    /// Origins that are allowed.
    pub fn origins(&self) -> impl Iterator<Item = TextMatch> {
        let old = self.allow_origin.iter().map(|origin| match origin.as_str() {
            "*" => TextMatch::Prefix(String::new()),
            exact => TextMatch::Exact(exact.to_owned()),
        });
        let old = if self.allow_origins.is_empty() { Some(old) } else { None };
        self.allow_origins.iter().cloned().chain(old.into_iter().flatten())
    }
}

impl TryFrom<String> for RetryOn {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let mut on = Self::default();
        for word in written.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.parse::<u16>() {
                Ok(status) if (100..=599).contains(&status) => on.statuses.push(status),
                _ if RETRY_ON.contains(&word) => on.policies.push(word.to_owned()),
                _ => {
                    let meant = crate::object::guess::closest(word, &RETRY_ON);
                    let message = format!("`{word}` is no reason to try again");
                    return Err(match meant {
                        Some(meant) => advice(message, format_args!("did you mean `{meant}`?")),
                        None => advice(message, "write a status, or a word such as 5xx or reset"),
                    });
                }
            }
        }
        Ok(on)
    }
}

impl TryFrom<RawDelay> for Delay {
    type Error = String;

    fn try_from(raw: RawDelay) -> Result<Self, String> {
        let RawDelay { fixed_delay, exponential_delay, percentage, percent } = raw;
        if exponential_delay.is_some() {
            return Err(advice("exponentialDelay is not supported", "write fixedDelay"));
        }
        let Some(time) = fixed_delay else {
            return Err(advice("a delay needs a time", "write fixedDelay: 5s"));
        };
        Ok(Self { time, share: share(percentage, percent)? })
    }
}

impl TryFrom<RawAbort> for Abort {
    type Error = String;

    fn try_from(raw: RawAbort) -> Result<Self, String> {
        let RawAbort { http_status, grpc_status, http2_error, percentage } = raw;
        if http2_error.is_some() {
            return Err(advice("http2Error is not supported", "write httpStatus or grpcStatus"));
        }
        let with = match (http_status, grpc_status) {
            (Some(status), None) => {
                let status = u16::try_from(status).ok().filter(|s| (200..=599).contains(s));
                AbortWith::Http(status.ok_or("httpStatus: want a status from 200 to 599")?)
            }
            (None, Some(status)) => AbortWith::Grpc(grpc(&status)?),
            (Some(_), Some(_)) => {
                let message = "only one of httpStatus and grpcStatus can be set";
                return Err(advice(message, "keep one of them"));
            }
            (None, None) => {
                return Err(advice("an abort needs a status", "write httpStatus: 503"));
            }
        };
        Ok(Self { with, share: share(percentage, None)? })
    }
}

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        if METHODS.contains(&written.as_str()) {
            return Ok(Self(written));
        }
        Err(format!("`{written}` is not one of {}", METHODS.join(", ")))
    }
}

/// Without one: all.
fn share(percentage: Option<Percentage>, percent: Option<u32>) -> Result<Percent, String> {
    match (percentage, percent) {
        (Some(Percentage { value }), _) => Ok(value),
        (None, Some(percent)) => Percent::whole(percent),
        (None, None) => Ok(Percent::ALL),
    }
}

fn grpc(written: &str) -> Result<u32, String> {
    let named = GRPC.iter().position(|name| name.eq_ignore_ascii_case(written));
    let number = written.parse::<usize>().ok().filter(|number| *number < GRPC.len());
    let found = named.or(number).and_then(|number| u32::try_from(number).ok());
    found.ok_or_else(|| {
        advice(format_args!("`{written}` is no status of gRPC"), "write a name such as UNAVAILABLE")
    })
}
