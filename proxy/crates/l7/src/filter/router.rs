//! The last filter: answers what the route answers itself, and sends the rest to a cluster.
//!
//! Reading order: [`send`]; `here` (redirects, direct responses, what goes nowhere), `outgoing`
//! (the head as the cluster gets it), `way` (where each try goes), `copies` (mirrors), `tunnel`
//! (CONNECT that ends here), `concluded` (answers, once there are no more tries; `trailing`: their
//! trailers), `follow` (redirects of upstreams), `upstream_log` (tries that are not the answer).
mod concluded;
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
    forward,
    log::Logs,
    manager::{
        answer::{Local, Refused},
        record::Record,
    },
    message::{Interim, RequestHead, Response},
    outcome::Flag,
    upstream::Upstream,
};
use concluded::{Answers, Counting, concluded};
use culvert_model::http::{
    filter::Router,
    route::{Action, Forward, Route, VirtualHost},
};
use culvert_policy::http::{
    client::INTERNAL,
    retry::Retries,
    timeout::{self, limits, stream_limit},
};
use http::{HeaderName, HeaderValue, StatusCode};
use std::{sync::Arc, time::Duration};
use way::RouteWay;

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
    let answers = Answers::of(config, &record.head.headers);
    let mut way = RouteWay::new(record, &plan, upstream, (policy, retries), answers);
    let forwarded = forward::forward(body, interim, &mut way, clock).await;
    let judged = way.judged;
    concluded(record, &plan, forwarded, Counting { traffic, internal, judged, answers })
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
