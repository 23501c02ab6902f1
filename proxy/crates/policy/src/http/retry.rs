//! Whether a request that failed is sent again, and when.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use culvert_model::http::{
    matcher::{HeaderCondition, HeaderMatch},
    retry::{BackOff, Condition, Conditions, ResetForm, RetryPolicy},
};
use http::HeaderMap;

use super::{
    facts::{Answer, Head},
    field, grpc,
};

/// Headers by which a request says how it is to be retried; none of them goes upstream.
pub const HEADERS: [&str; 7] = [
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-hedge-on-per-try-timeout",
];

/// What is left of a request's retries.
#[derive(Clone, Debug)]
pub struct Retries {
    on: Conditions,
    left: u32,
    status_codes: Vec<u16>,
    response_headers: Vec<HeaderMatch>,
    back_off: BackOff,
    /// The longest wait before the next one; doubled each time.
    interval: Duration,
    rate_limited: Option<Box<culvert_model::http::retry::RateLimitedBackOff>>,
}

/// How a try ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made, or not in time.
    Connect,
    /// The upstream did not even look at the stream.
    RefusedStream,
    /// A circuit breaker was open.
    Overflow,
    /// Anything else: the connection ended, the stream was reset, the try took too long.
    Reset { request_sent: bool },
}

/// What becomes of a try that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What came is the answer.
    Final,
    /// Again, after so long.
    Again(Duration),
    /// It would be retried, but was often enough (`URX`).
    Exhausted,
    /// It would be retried, but too many requests are (`upstream_rq_retry_overflow`).
    Overflow,
}

impl Retries {
    /// Those of a request, by the route's policy and its own headers; `None`: it is never retried.
    #[must_use]
    pub fn of(policy: Option<&RetryPolicy>, head: &Head<'_>) -> Option<Self> {
        let default = RetryPolicy::default();
        let headers = head.headers;
        let asked = Conditions::parse_http(text(headers, "x-envoy-retry-on").unwrap_or(""))
            .union(Conditions::parse_grpc(text(headers, "x-envoy-retry-grpc-on").unwrap_or("")));
        let policy = policy.unwrap_or(&default);
        let on = policy.on.union(asked);
        let wanted = &policy.request_headers;
        let allowed = wanted.is_empty() || wanted.iter().any(|one| field::matches(one, head));
        if on.is_empty() || !allowed {
            return None;
        }
        let max = text(headers, "x-envoy-max-retries").and_then(|max| max.trim().parse().ok());
        let mut status_codes = policy.status_codes.to_vec();
        let mut response_headers = policy.response_headers.to_vec();
        if let Some(codes) = text(headers, "x-envoy-retriable-status-codes") {
            status_codes
                .extend(codes.split(',').filter_map(|code| code.trim().parse::<u16>().ok()));
        }
        if let Some(names) = text(headers, "x-envoy-retriable-header-names") {
            let names = names.split(',').filter_map(|name| name.trim().parse().ok());
            let present = |name| HeaderMatch::new(name, HeaderCondition::Present(true));
            response_headers.extend(names.map(present));
        }
        Some(Self {
            on,
            left: max.unwrap_or(policy.retries),
            status_codes,
            response_headers,
            back_off: policy.back_off,
            interval: policy.back_off.base,
            rate_limited: policy.rate_limited.clone(),
        })
    }

    /// How often it may still be retried.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// After what.
    #[must_use]
    pub const fn on(&self) -> Conditions {
        self.on
    }

    /// After an answer. `room` says whether the circuit breaker lets one more retry pass; it is
    /// asked only where it matters.
    pub fn answered(
        &mut self,
        answer: &Answer<'_>,
        now: SystemTime,
        dice: u64,
        room: impl FnOnce() -> bool,
    ) -> Verdict {
        if !self.would(answer) {
            return Verdict::Final;
        }
        let told = self.told(answer.headers, now, dice);
        self.spend(told, dice, room)
    }

    /// After a try that brought no answer.
    pub fn failed(&mut self, failure: Failure, dice: u64, room: impl FnOnce() -> bool) -> Verdict {
        if self.would_after(failure) { self.spend(None, dice, room) } else { Verdict::Final }
    }

    fn would(&self, answer: &Answer<'_>) -> bool {
        // It comes from an Envoy upstream, which has decided already.
        if answer.headers.contains_key("x-envoy-ratelimited") {
            return self.on.has(Condition::EnvoyRateLimited);
        }
        let status = answer.status.as_u16();
        self.on.has(Condition::ServerError) && (500..600).contains(&status)
            || self.on.has(Condition::GatewayError) && (502..=504).contains(&status)
            || self.on.has(Condition::Retriable4xx) && status == 409
            || self.on.has(Condition::StatusCodes) && self.status_codes.contains(&status)
            || self.on.has(Condition::Headers)
                && self.response_headers.iter().any(|wanted| field::matches(wanted, answer))
            || grpc::status(answer.headers).is_some_and(|status| self.would_grpc(status))
    }

    fn would_grpc(&self, status: i64) -> bool {
        self.on.has(match status {
            grpc::CANCELLED => Condition::GrpcCancelled,
            grpc::DEADLINE_EXCEEDED => Condition::GrpcDeadlineExceeded,
            grpc::RESOURCE_EXHAUSTED => Condition::GrpcResourceExhausted,
            grpc::INTERNAL => Condition::GrpcInternal,
            grpc::UNAVAILABLE => Condition::GrpcUnavailable,
            _ => return false,
        })
    }

    fn would_after(&self, failure: Failure) -> bool {
        let unsent = !matches!(failure, Failure::Reset { request_sent: true });
        failure != Failure::Overflow
            && (self.on.has(Condition::Reset)
                || self.on.has(Condition::ServerError)
                || self.on.has(Condition::GatewayError)
                || self.on.has(Condition::ResetBeforeRequest) && unsent
                || self.on.has(Condition::RefusedStream) && failure == Failure::RefusedStream
                || self.on.has(Condition::ConnectFailure) && failure == Failure::Connect)
    }

    fn spend(&mut self, told: Option<Duration>, dice: u64, room: impl FnOnce() -> bool) -> Verdict {
        let Some(left) = self.left.checked_sub(1) else { return Verdict::Exhausted };
        self.left = left;
        if !room() {
            return Verdict::Overflow;
        }
        Verdict::Again(told.unwrap_or_else(|| self.next_interval(dice)))
    }

    /// Full jitter: anything below the interval, which doubles up to its maximum.
    fn next_interval(&mut self, dice: u64) -> Duration {
        let interval = self.interval.min(self.back_off.max);
        self.interval = interval.saturating_mul(2).min(self.back_off.max);
        below(interval, dice)
    }

    /// What the answer says of when to come again, and up to half as much more.
    fn told(&self, headers: &HeaderMap, now: SystemTime, dice: u64) -> Option<Duration> {
        let rate_limited = self.rate_limited.as_ref()?;
        let said = rate_limited.headers.iter().find_map(|wanted| {
            let number: u64 = headers.get(&wanted.name)?.to_str().ok()?.trim().parse().ok()?;
            match wanted.form {
                ResetForm::Seconds => Some(Duration::from_secs(number)),
                ResetForm::UnixTimestamp => {
                    let then = UNIX_EPOCH.checked_add(Duration::from_secs(number))?;
                    then.duration_since(now).ok().filter(|wait| !wait.is_zero())
                }
            }
        })?;
        (said <= rate_limited.max).then(|| said + below(said / 2, dice))
    }
}

/// A whole number of milliseconds below `most`, by chance.
fn below(most: Duration, dice: u64) -> Duration {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(dice.checked_rem(most).unwrap_or(0))
}

/// How many retries may be on their way at once, by a budget: so many per cent of the requests
/// that are active or wait, and never fewer than `min`.
#[must_use]
pub fn budget(percent: f64, min: u32, active: u64, pending: u64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of requests, and a share of them"
    )]
    let share = (active.saturating_add(pending) as f64 * percent.max(0.0) / 100.0) as u64;
    share.max(u64::from(min))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests;
