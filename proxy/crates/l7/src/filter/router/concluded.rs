//! What becomes of a request whose tries are over: its answer, and where that is counted.
use super::{ATTEMPTS, Outcome, Plan, follow, trailing};
use crate::{
    body::Body,
    forward::{Expired, Failure, Forwarded, reply},
    manager::{
        answer::{self, Local, Refused},
        record::{Record, Trailers},
    },
    message::Response,
    outcome::{Flag, Reset},
    upstream::Traffic,
};
use culvert_model::http::filter::Router;
use culvert_policy::http::{facts::is_grpc, grpc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use std::sync::Arc;

const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// Where what became of a request is counted.
#[derive(Clone, Copy)]
pub(super) struct Counting<'a> {
    pub(super) traffic: &'a Traffic,
    /// It came from inside.
    pub(super) internal: bool,
    /// Its slow tries are counted already.
    pub(super) judged: bool,
    pub(super) answers: Answers,
}

/// What is counted of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    Not,
    /// That there are some; by status only by where they came from and for what they were.
    AllInAll,
    ByStatus,
}

impl Answers {
    pub(super) fn of(config: &Router, headers: &HeaderMap) -> Self {
        if !config.dynamic_stats {
            Self::Not
        } else if config.suppress_grpc_failure_codes && is_grpc(headers) {
            Self::AllInAll
        } else {
            Self::ByStatus
        }
    }

    /// The status, as far as it is told.
    pub(super) fn told(self, status: u16) -> Option<u16> {
        (self == Self::ByStatus).then_some(status)
    }
}

impl Counting<'_> {
    fn completed(self, record: &Record, status: StatusCode) {
        if self.answers == Answers::Not || record.health_check {
            return;
        }
        let (status, told) = (status.as_u16(), self.answers == Answers::ByStatus);
        self.traffic.completed(status, self.internal, told);
        record.beside.iter().for_each(|beside| beside.completed(status));
    }
}

/// What the client gets, or where the request goes on.
pub(super) fn concluded(
    record: &mut Record,
    plan: &Plan<'_>,
    forwarded: Forwarded,
    counting: Counting<'_>,
) -> Outcome {
    let Forwarded { answer, attempts, exhausted, fate, again } = forwarded;
    let traffic = counting.traffic;
    record.attempts = attempts;
    record.fate = fate;
    if exhausted {
        record.flags.set(Flag::UpstreamRetryLimitExceeded);
        traffic.retry_limit_exceeded.inc();
        record.beside.iter().for_each(|beside| beside.retry_limit_exceeded.inc());
    }
    let elapsed = record.elapsed();
    record.times.answered = Some(elapsed);
    record.times.received.get_or_insert(elapsed);
    match answer {
        Err(failure) => {
            let local = failed(record, plan, &failure);
            missed(traffic, &failure, counting.judged);
            if matches!(failure, Failure::Expired(Expired::Whole)) {
                record.beside.iter().for_each(|beside| beside.timeout.inc());
            }
            counting.completed(record, local.status);
            Outcome::Local(local)
        }
        Ok(mut response) => {
            let status = response.head.status;
            if let Some(body) = again
                && let Some(head) = follow::next(record, plan.forward, &response.head)
            {
                let body = if head.method == record.head.method { body } else { Body::Empty };
                return Outcome::Follow { head, body, status };
            }
            counting.completed(record, status);
            if 1 < attempts && !exhausted && !status.is_server_error() {
                traffic.retry_success.inc();
                record.beside.iter().for_each(|beside| beside.retry_success.inc());
            }
            answered(record, plan, &mut response);
            Outcome::Response(response)
        }
    }
}

/// What is added to the upstream's answer.
fn answered(record: &mut Record, plan: &Plan<'_>, response: &mut Response) {
    record.details = "via_upstream".into();
    record.upstream_version = Some(response.head.version);
    let head = &mut response.head;
    if !plan.config.suppress_envoy_headers && !record.head.is_tunnel() {
        let began = record.times.sent.unwrap_or_default();
        let took = record.elapsed().saturating_sub(began).as_millis();
        let took = u64::try_from(took).unwrap_or(u64::MAX);
        head.headers.insert(SERVICE_TIME, HeaderValue::from(took));
    }
    if plan.host.attempts_in_response {
        head.headers.insert(ATTEMPTS, HeaderValue::from(record.attempts));
    }
    for cookie in &record.routed.hashed.cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            head.headers.append(header::SET_COOKIE, cookie);
        }
    }
    answer::route_headers(record, head.status, &mut head.headers);
    if !record.manager.logs().is_empty() && is_grpc(&head.headers) && !response.body.is_empty() {
        let kept: Trailers = Some(Arc::default());
        record.trailers.clone_from(&kept);
        let body = std::mem::take(&mut response.body);
        response.body = Body::boxed(trailing::Trailing { body, kept });
    }
}

/// Counts why there is no answer.
fn missed(traffic: &Traffic, failure: &Failure, judged: bool) {
    match failure {
        Failure::NoHost => {}
        Failure::Reset { reset, .. } => match reset {
            Reset::LocalReset => traffic.tx_reset.inc(),
            Reset::RemoteReset | Reset::RefusedStream | Reset::ConnectionTermination => {
                traffic.rx_reset.inc();
            }
            Reset::ConnectionFailure
            | Reset::ConnectionTimeout
            | Reset::Overflow
            | Reset::ProtocolError => {}
        },
        Failure::Expired(expired) => match expired {
            Expired::Whole => traffic.timeout.inc(),
            Expired::PerTry | Expired::PerTryIdle if judged => {}
            Expired::PerTry => traffic.per_try_timeout.inc(),
            Expired::PerTryIdle => traffic.per_try_idle_timeout.inc(),
            Expired::Duration => traffic.max_duration.inc(),
            Expired::Idle { .. } => {}
        },
    }
}

/// What is said where there was no answer.
fn failed(record: &mut Record, plan: &Plan<'_>, failure: &Failure) -> Refused {
    let reply = reply::of(failure, record.attempts);
    let mut local = Local::new(reply.status, reply.body, reply.details);
    local.flags = reply.flags;
    if reply.overloaded && !plan.config.suppress_envoy_headers {
        local.headers.insert(super::OVERLOADED, HeaderValue::from_static("true"));
    }
    if plan.host.attempts_in_response {
        local.headers.insert(ATTEMPTS, HeaderValue::from(record.attempts));
    }
    match failure {
        Failure::NoHost => {}
        // Nothing but its own body cuts a request off here: what came of it is no HTTP.
        Failure::Reset { reset: Reset::LocalReset, .. }
            if record.head.version != Version::HTTP_2 =>
        {
            let bad = Local::new(StatusCode::BAD_REQUEST, "Bad Request", "http1.codec_error");
            local = bad.flag(Flag::DownstreamProtocolError).close();
        }
        Failure::Reset { why, .. } => record.failure.clone_from(why),
        Failure::Expired(expired) => late(record, plan, *expired, &mut local),
    }
    local.boxed()
}

fn late(record: &Record, plan: &Plan<'_>, expired: Expired, local: &mut Local) {
    let tally = record.manager.tally();
    match expired {
        Expired::Duration => {
            // The listener's and the route's limit, not a cluster's.
            tally.rq_max_duration_reached.inc();
            let said = "downstream duration timeout";
            *local = Local::new(local.status, said, "max_duration_timeout");
            local.grpc = Some(grpc::DEADLINE_EXCEEDED);
        }
        Expired::Idle { .. } => tally.rq_idle_timeout.inc(),
        Expired::Whole | Expired::PerTry | Expired::PerTryIdle => {
            if plan.alternative {
                local.status = StatusCode::NO_CONTENT;
                local.body = b"".into();
            }
        }
    }
}
