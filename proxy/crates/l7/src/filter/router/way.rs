//! Where each try of a request goes, and whether there is another.
use super::{ATTEMPTS, Plan, concluded::Answers, outgoing::set_host, upstream_log};
use crate::{
    forward::{self, NoHost, Tried, Verdict, Way},
    link::Learns,
    manager::record::{Record, Went},
    message::{RequestHead, ResponseHead, Scheme},
    outcome::{Flag, Reset},
    share::Share,
    upstream::{Ask, Chosen, Downstream, Ends, Host, Upstream},
};
use culvert_model::http::{
    cluster::{Discovery, OriginalDst},
    manager::Scheme as SchemeRule,
    retry::RetryPolicy,
    route::{HostRewrite, Priority},
    value::Fields,
};
use culvert_policy::http::{
    facts::Answer,
    follow,
    host::Replaced,
    retry::{self, Failure, Retries},
};
use culvert_runtime::dice::dice;
use http::{HeaderValue, Version};
use std::{borrow::Cow, net::SocketAddr, sync::Arc, task::Context, time::SystemTime};

/// A request's way by its route.
pub(super) struct RouteWay<'a> {
    record: &'a mut Record,
    plan: &'a Plan<'a>,
    upstream: Arc<Upstream>,
    policy: Option<&'a RetryPolicy>,
    retries: Option<Retries>,
    subset: Option<Arc<Fields>>,
    tried: Vec<Arc<Host>>,
    answers: Answers,
    /// A try that was too slow is counted.
    pub(super) judged: bool,
}

impl<'a> RouteWay<'a> {
    pub(super) fn new(
        record: &'a mut Record,
        plan: &'a Plan<'a>,
        upstream: Arc<Upstream>,
        (policy, retries): (Option<&'a Arc<RetryPolicy>>, Option<Retries>),
        answers: Answers,
    ) -> Self {
        let subset = record.routed.subset();
        let policy = policy.map(|policy| &**policy);
        let tried = Vec::new();
        Self { record, plan, upstream, policy, retries, subset, tried, answers, judged: false }
    }

    const fn is_high(&self) -> bool {
        matches!(self.plan.forward.priority, Priority::High)
    }
}

/// Where a connection was bound, or where its request says.
pub(super) fn destination(record: &Record, upstream: &Upstream) -> Option<SocketAddr> {
    if let Discovery::OriginalDst(OriginalDst { header, metadata, .. }) =
        &upstream.config().discovery
    {
        let said = header.as_ref().and_then(|name| record.head.headers.get(name));
        let said = said.and_then(|value| value.to_str().ok()?.parse().ok());
        let left = || {
            let place = metadata.as_ref()?;
            let keys = place.path.iter().map(|key| &**key);
            record.metadata.find(&place.namespace, keys)?.as_str()?.parse().ok()
        };
        if let Some(said) = said.or_else(left) {
            return Some(said);
        }
    }
    // Where it arrived is ourselves.
    record.connection.facts.restored()
}

/// What of the connection and the request a cluster goes by.
pub(super) fn downstream<'a>(record: &'a Record, upstream: &Upstream) -> Downstream<'a> {
    let facts = record.facts();
    let source = facts.source.or(facts.direct_remote);
    let ends = source.zip(facts.local);
    let named = upstream.config().http.sni_header.as_ref();
    let host = match named {
        Some(name) => record.head.headers.get(name).and_then(|value| value.to_str().ok()),
        None => record.head.authority.as_ref().map(http::uri::Authority::as_str),
    };
    Downstream {
        two: record.head.version == Version::HTTP_2,
        host,
        ends: ends.map(|(source, destination)| Ends { source, destination }),
        destination: destination(record, upstream),
        party: facts.party.as_ref(),
    }
}

impl Way for RouteWay<'_> {
    type Chosen = Chosen;

    async fn choose(&mut self, attempt: u32) -> Result<Chosen, NoHost> {
        let avoid = self.policy.is_some_and(|policy| policy.avoid_previous);
        let ask = Ask {
            hash: self.record.routed.hashed.hash,
            high: self.is_high(),
            subset: self.subset.as_deref(),
            avoid: if avoid { &self.tried } else { &[] },
            attempts: self.policy.map_or(1, |policy| policy.selections),
            downstream: downstream(self.record, &self.upstream),
            only: None,
        };
        let mut chosen = self.upstream.choose(&ask)?;
        let link = self.record.asks_for_link().then(Arc::<Learns>::default);
        if let Some(learns) = &link {
            chosen.tell(Arc::clone(learns));
        }
        let facts = chosen.facts();
        let went = Went {
            cluster: Arc::clone(facts.cluster),
            host: Arc::clone(facts.host),
            endpoint: Arc::clone(facts.endpoint),
            link,
            reached: true,
        };
        if self.retries.is_some() {
            self.tried.push(Arc::clone(&went.host));
        }
        self.record.attempted.extend(self.record.went.replace(went));
        self.record.attempts = attempt;
        self.record.times.sent = Some(self.record.elapsed());
        Ok(chosen)
    }

    fn head(&mut self, attempt: u32, chosen: &Chosen, _last: bool) -> Cow<'_, RequestHead> {
        if 1 < attempt {
            let elapsed = self.record.elapsed();
            let headers = &mut self.record.head.headers;
            if self.plan.host.attempts_in_request {
                headers.insert(ATTEMPTS, HeaderValue::from(attempt));
            }
            let expected = !self.plan.config.suppress_envoy_headers;
            self.plan.limits.tell(elapsed, expected, headers);
        }
        let facts = chosen.facts();
        let weighted = self.record.routed.weighted().is_some_and(|one| one.host.is_some());
        if self.plan.forward.host == HostRewrite::Auto
            && !weighted
            && !facts.endpoint.hostname.is_empty()
        {
            let forwarded = self.plan.forward.append_forwarded_host && attempt == 1;
            let name = &facts.endpoint.hostname;
            let same = self.record.head.authority.as_ref().is_some_and(|host| *host == **name);
            if !same {
                let original = !self.plan.config.suppress_envoy_headers;
                set_host(&mut self.record.head, name, Replaced { forwarded, original });
            }
        }
        if self.record.manager.config().scheme == SchemeRule::MatchUpstream {
            let secure = facts.is_secure;
            self.record.head.scheme = if secure { Scheme::Https } else { Scheme::Http };
        }
        Cow::Borrowed(&self.record.head)
    }

    fn keeps(&self) -> Option<usize> {
        let limit = self.record.connection.listener.buffer_limit;
        let again = self.retries.is_some() || self.plan.forward.internal_redirect.is_some();
        again.then(|| usize::try_from(limit).unwrap_or(usize::MAX))
    }

    fn watches(&self) -> bool {
        self.record.ticks.is_some()
    }

    fn poll_meanwhile(&mut self, cx: &mut Context<'_>) {
        if self.record.poll_due(cx).is_ready() {
            // How much of the request has come only its codec knows.
            self.record.report(0, 0);
        }
    }

    fn tried(&mut self, tried: Tried<'_>) {
        if !matches!(tried, Tried::Failed { sent: false, .. }) {
            self.record.beside.iter().for_each(|beside| beside.total.inc());
        }
        if let (Tried::Failed { reset, .. }, Some(went)) = (tried, &mut self.record.went) {
            went.reached = !matches!(reset, Reset::ConnectionFailure | Reset::ConnectionTimeout);
        }
    }

    fn lost(&mut self, ended: Result<&ResponseHead, &forward::Failure>) {
        if self.record.upstream_logs.is_some() {
            upstream_log::lost(self.record, ended);
        }
    }

    fn leads_on(&self, head: &ResponseHead) -> bool {
        let policy = self.plan.forward.internal_redirect.as_deref();
        policy.is_some_and(|policy| follow::concerns(policy, head.status))
    }

    fn judge(&mut self, tried: Tried<'_>) -> Verdict {
        let limits = self.upstream.limits(self.is_high());
        let Some(retries) = &mut self.retries else { return Verdict::Final };
        let mut share: Option<Share> = None;
        let room = || {
            share = limits.retry();
            share.is_some()
        };
        let status = match tried {
            Tried::Answered(head) => Some(head.status.as_u16()),
            Tried::Failed { .. } | Tried::TooSlow => None,
        };
        let verdict = match tried {
            Tried::Answered(ResponseHead { status, headers, .. }) => {
                let answer = Answer { status: *status, headers };
                retries.answered(&answer, SystemTime::now(), dice(), room)
            }
            Tried::Failed { reset, sent } => retries.failed(failure(reset, sent), dice(), room),
            Tried::TooSlow => {
                self.upstream.traffic().per_try_timeout.inc();
                self.judged = true;
                retries.failed(Failure::Reset { request_sent: true }, dice(), room)
            }
        };
        match verdict {
            retry::Verdict::Final => Verdict::Final,
            retry::Verdict::Again(wait) => {
                let traffic = self.upstream.traffic();
                traffic.retry.inc();
                traffic.retry_backoff_exponential.inc();
                self.record.beside.iter().for_each(|beside| beside.retry.inc());
                if let Some(status) = status {
                    traffic.retried(self.answers.told(status));
                }
                Verdict::Again(wait, share)
            }
            retry::Verdict::Exhausted => Verdict::Exhausted,
            retry::Verdict::Overflow => {
                self.upstream.traffic().retry_overflow.inc();
                self.record.beside.iter().for_each(|beside| beside.retry_overflow.inc());
                self.record.flags.set(Flag::UpstreamOverflow);
                Verdict::Overflow
            }
        }
    }
}

const fn failure(reset: Reset, sent: bool) -> Failure {
    match reset {
        Reset::ConnectionFailure | Reset::ConnectionTimeout => Failure::Connect,
        Reset::RefusedStream => Failure::RefusedStream,
        Reset::Overflow => Failure::Overflow,
        Reset::ConnectionTermination
        | Reset::LocalReset
        | Reset::RemoteReset
        | Reset::ProtocolError => Failure::Reset { request_sent: sent },
    }
}
