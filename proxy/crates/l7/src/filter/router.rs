//! The last filter: answers what the route answers itself, and sends the rest to a cluster.
//!
//! Reading order: [`send`]; `here` (redirects, direct responses, what goes nowhere), `outgoing`
//! (the head as the cluster gets it), `way` (where each try goes), `copies` (mirrors), `tunnel`
//! (CONNECT that ends here), `follow` (redirects of upstreams), `upstream_log` (tries that are not
//! the answer).
mod copies;
mod follow;
mod here;
mod outgoing;
mod trailing;
mod tunnel;
mod upstream_log;
mod way;

use crate::{
    body::Body,
    filter::router::way::RouteWay,
    forward::{self, Expired, Failure, Forwarded, reply},
    log::Logs,
    manager::{
        answer::{self, Local, Refused},
        record::{Record, Trailers},
    },
    message::{Interim, RequestHead, Response},
    outcome::{Flag, Reset},
    upstream::{Traffic, Upstream},
};
use culvert_model::http::{
    filter::Router,
    route::{Action, Forward, Route, VirtualHost},
};
use culvert_policy::http::{
    client::INTERNAL,
    facts::is_grpc,
    grpc,
    retry::Retries,
    timeout::{self, limits, stream_limit},
};
use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use std::{sync::Arc, time::Duration};

const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");
const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
/// A request may say that it wants 204 where it would get 504.
const ALTERNATIVE: &str = "x-envoy-upstream-rq-timeout-alt-response";

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Response(Response),
    Local(Refused),
    /// An upstream's redirect, which is followed with this head.
    Follow {
        head: RequestHead,
        body: Body,
        status: StatusCode,
    },
}

/// What a route says of forwarding, and what of it counts for this request.
struct Plan<'a> {
    config: &'a Router,
    host: &'a Arc<VirtualHost>,
    route: &'a Arc<Route>,
    forward: &'a Forward,
    limits: timeout::Limits,
    /// A late answer is 204.
    alternative: bool,
}

/// Does what the route says.
pub(crate) async fn send(
    record: &mut Record,
    (config, logs): (&Router, Option<&Arc<Logs>>),
    body: Body,
    interim: &Interim,
) -> Outcome {
    record.manager.tally().routed.inc();
    record.upstream_logs = logs.cloned();
    if let Err(local) = here::answer(record, config) {
        return Outcome::Local(local);
    }
    let Some((host, route)) = record.routed.both() else {
        return Outcome::Local(here::nowhere(record));
    };
    let (host, route) = (Arc::clone(host), Arc::clone(route));
    let Action::Forward(forward) = &route.action else {
        return Outcome::Local(here::nowhere(record));
    };
    let (host, route) = (&host, &route);
    // Large, and not there between requests.
    Box::pin(go(record, config, Chosen { host, route, forward }, body, interim)).await
}

/// A route that forwards.
#[derive(Clone, Copy)]
struct Chosen<'a> {
    host: &'a Arc<VirtualHost>,
    route: &'a Arc<Route>,
    forward: &'a Forward,
}

async fn go(
    record: &mut Record,
    config: &Router,
    chosen: Chosen<'_>,
    body: Body,
    interim: &Interim,
) -> Outcome {
    let Chosen { host, route, forward } = chosen;
    let upstream = match cluster(record, config, forward) {
        Ok(upstream) => upstream,
        Err(local) => return Outcome::Local(local),
    };
    let policy = forward.retry.as_ref().or(host.retry.as_ref());
    let per_try = policy.and_then(|policy| policy.per_try);
    let believe = config.respect_expected_timeout;
    let (retries, time) = {
        let head = record.request();
        let time = limits(&forward.timeouts, per_try, believe, &head);
        (Retries::of(policy.map(|policy| &**policy), &head), time)
    };
    let clock = clock(record, forward, time, policy.and_then(|policy| policy.per_try_idle));
    record.beside = match record.now.beside.clone() {
        None => Box::default(),
        Some(beside) => beside.of(host, route, &record.request()),
    };
    let alternative = record.head.headers.contains_key(ALTERNATIVE);
    let plan = Plan { config, host, route, forward, limits: time, alternative };
    outgoing::dress(record, &plan);
    if tunnel::ends_here(record, forward) {
        return tunnel::open(record, &upstream, body).await;
    }
    let body = copies::start(record, &plan, body);
    let internal = record.head.headers.contains_key(INTERNAL);
    let traffic = Arc::clone(&upstream);
    let traffic = traffic.traffic();
    let mut way = RouteWay::new(record, &plan, upstream, policy, retries);
    let forwarded = forward::forward(body, interim, &mut way, clock).await;
    let judged = way.judged;
    concluded(record, &plan, forwarded, Counting { traffic, internal, judged })
}

/// Where what became of a request is counted.
#[derive(Clone, Copy)]
struct Counting<'a> {
    traffic: &'a Traffic,
    /// It came from inside.
    internal: bool,
    /// Its slow tries are counted already.
    judged: bool,
}

impl Counting<'_> {
    fn completed(self, record: &Record, status: StatusCode) {
        self.traffic.completed(status.as_u16(), self.internal);
        record.beside.iter().for_each(|beside| beside.completed(status.as_u16()));
    }
}

/// What the client gets, or where the request goes on.
fn concluded(
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

/// The cluster of a request, noted in `record`.
fn cluster(
    record: &mut Record,
    config: &Router,
    forward: &Forward,
) -> Result<Arc<Upstream>, Refused> {
    let upstreams = &record.manager.shared().upstreams;
    let found = record.routed.cluster.as_deref().and_then(|name| upstreams.find(name));
    let Some(upstream) = found else {
        record.manager.tally().no_cluster.inc();
        record.routed.cluster = None;
        let local = Local::new(forward.not_found, "", "cluster_not_found");
        return Err(local.flag(Flag::NoClusterFound).boxed());
    };
    record.cluster = Some(Arc::clone(&upstream));
    if upstream.refuses() {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let mut local = Local::new(unavailable, "drop overload", "drop_overload");
        if !config.suppress_envoy_headers {
            local.headers.insert(OVERLOADED, HeaderValue::from_static("true"));
        }
        return Err(local.flag(Flag::DropOverload).boxed());
    }
    Ok(upstream)
}

fn clock(
    record: &Record,
    forward: &Forward,
    time: timeout::Limits,
    per_try_idle: Option<Duration>,
) -> forward::Limits {
    let config = record.manager.config();
    let idle = forward.timeouts.idle.or(config.limits.stream_idle_timeout);
    let longest = config.common.max_stream_duration;
    forward::Limits {
        whole: time.request,
        per_try: time.per_try,
        per_try_idle,
        idle: idle.filter(|idle| !idle.is_zero()),
        duration: stream_limit(&forward.timeouts, longest, &record.head.headers),
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
        local.headers.insert(OVERLOADED, HeaderValue::from_static("true"));
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
