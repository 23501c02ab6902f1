//! What the route does with a request that came past the filters.
use super::{Answer, Course, Endpoint, Request};
use crate::http::{
    chance,
    facts::{Asking, Connection},
    format::{Known, Scene},
    host::{Replaced, tell_replaced},
    mutate::{Message, request_levels, route_headers},
    retry::Retries,
    route::{self, https_location, location, mirror_cluster, rewritten_host, rewritten_path},
    routed::{Routed, several, subset},
    timeout::{self, limits, stream_limit, tell_stream},
};
use culvert_model::http::{
    cluster::{Cluster, Discovery, OriginalDst},
    filter::{FilterConfig, HttpFilter, Router},
    format::Address,
    matcher::Fraction,
    retry::Conditions,
    route::{Action, Forward, HostRewrite, Route, VirtualHost, WeightedCluster},
};
use http::{HeaderName, HeaderValue, StatusCode};
use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Duration};

const ATTEMPTS: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");

/// What becomes of a request in the end.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It goes no further.
    Refused {
        status: StatusCode,
        because: Cow<'static, str>,
    },
    /// The last filter that was asked answers.
    Stopped {
        status: StatusCode,
    },
    /// The route answers itself.
    Answered {
        status: StatusCode,
        location: Option<String>,
    },
    Sent(Box<Sent>),
}

/// Where it goes on to, and how.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Those that chance chooses from; never none.
    pub shares: Vec<Share>,
    /// Whether the request itself says which endpoint is meant, by its hash.
    pub by_hash: bool,
    /// To the end of the response.
    pub timeout: Option<Duration>,
    /// Of the whole stream.
    pub longest: Option<Duration>,
    /// While nothing comes.
    pub idle: Option<Duration>,
    pub tries: Option<Tries>,
    /// Copies, and of which part of the requests.
    pub mirrors: Vec<(Arc<str>, Fraction)>,
    /// The answer where there is no such cluster.
    pub not_found: StatusCode,
}

/// When it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Beyond the first.
    pub most: u32,
    pub on: Conditions,
    pub each: Option<Duration>,
}

/// A cluster it may go to.
#[derive(Clone, Debug)]
pub struct Share {
    pub cluster: Arc<str>,
    /// Its weight and that of all; `None`: it is the only one.
    pub weight: Option<(u32, u64)>,
    /// `None`: there is none that is called so.
    pub config: Option<Arc<Cluster>>,
    pub endpoints: Vec<Endpoint>,
    /// The request as it gets it.
    pub request: Request,
}

impl Outcome {
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self {
            Self::Refused { .. } => Answer::Denied,
            // The filter has said it.
            Self::Stopped { .. } => Answer::Permitted,
            Self::Answered { status, .. } => match status.as_u16() {
                ..400 => Answer::Permitted,
                400.. => Answer::Denied,
            },
            Self::Sent(sent) => {
                let mut all = sent.shares.iter().map(Share::leads_on);
                match (all.clone().all(|one| one), all.any(|one| one)) {
                    (true, _) => Answer::Permitted,
                    (false, true) => Answer::Depends,
                    (false, false) => Answer::Denied,
                }
            }
        }
    }
}

impl Share {
    /// Whether somebody there may get it.
    #[must_use]
    pub fn leads_on(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.may)
    }
}

/// A route that forwards.
struct Way<'a> {
    course: &'a Course<'a>,
    config: &'a Router,
    host: &'a VirtualHost,
    route: &'a Route,
    forward: &'a Forward,
    asking: &'a Asking<'a>,
    request: &'a Request,
    limits: timeout::Limits,
}

pub(super) fn route(
    course: &Course<'_>,
    routed: &Routed,
    asking: &Asking<'_>,
    request: &Request,
) -> Outcome {
    let head = &asking.head;
    if routed.to_tls {
        let status = StatusCode::MOVED_PERMANENTLY;
        return Outcome::Answered { status, location: Some(https_location(head)) };
    }
    let Some((host, route)) = routed.both() else {
        let because = match (course.table, &routed.host) {
            (None, _) => "its routes have not come yet",
            (Some(_), None) => "no virtual host is for its host",
            (Some(_), Some(_)) => "no route matches",
        };
        return Outcome::Refused { status: StatusCode::NOT_FOUND, because: because.into() };
    };
    let forward = match &route.action {
        Action::Forward(forward) => forward,
        Action::Redirect(to) => {
            let place = location(to, &route.when.path, head);
            return Outcome::Answered { status: to.code.status(), location: Some(place) };
        }
        Action::Direct(direct) => {
            return Outcome::Answered { status: direct.status, location: None };
        }
        Action::NonForwarding => {
            let because = "its route is for filters that answer themselves".into();
            return Outcome::Refused { status: StatusCode::NOT_FOUND, because };
        }
    };
    if routed.cluster.is_none() {
        let because = "a header that it does not have names the cluster".into();
        return Outcome::Refused { status: forward.not_found, because };
    }
    let default = Router::default();
    let config = router(course).unwrap_or(&default);
    let policy = forward.retry.as_ref().or(host.retry.as_ref());
    let per_try = policy.and_then(|policy| policy.per_try);
    let limits = limits(&forward.timeouts, per_try, config.respect_expected_timeout, head);
    let way = Way { course, config, host, route, forward, asking, request, limits };
    let tries = Retries::of(policy.map(|policy| &**policy), head).map(|retries| Tries {
        most: retries.left(),
        on: retries.on(),
        each: limits.per_try,
    });
    Outcome::Sent(Box::new(Sent {
        shares: way.shares(routed),
        by_hash: routed.hashed.hash.is_some(),
        timeout: limits.request,
        longest: stream_limit(
            &forward.timeouts,
            course.manager.common.max_stream_duration,
            &request.headers,
        ),
        idle: (forward.timeouts.idle.or(course.manager.limits.stream_idle_timeout))
            .filter(|idle| !idle.is_zero()),
        tries,
        mirrors: way.mirrors(),
        not_found: forward.not_found,
    }))
}

fn router<'a>(course: &Course<'a>) -> Option<&'a Router> {
    course.manager.filters.iter().find_map(|filter| match &filter.config {
        FilterConfig::Here(HttpFilter::Router(router)) => Some(&**router),
        FilterConfig::Here(_) | FilterConfig::Discovered(_) => None,
    })
}

impl Way<'_> {
    /// Every cluster that some number of the dice leads to.
    fn shares(&self, routed: &Routed) -> Vec<Share> {
        let Some(weighted) = several(self.forward) else {
            let named = routed.cluster.clone().unwrap_or_default();
            return vec![self.share(named, None, None)];
        };
        let all: u64 = weighted.iter().map(|one| u64::from(one.weight)).sum();
        let mut begins = 0;
        let mut found: Vec<(Arc<str>, &WeightedCluster)> = Vec::new();
        for one in weighted {
            let asking = Asking { dice: begins, ..*self.asking };
            begins += u64::from(one.weight);
            let chosen = route::cluster(self.forward, &asking, routed.hashed.hash);
            let chosen = chosen.and_then(|named| Some((named.cluster, named.weighted?)));
            if let Some((name, one)) = chosen
                && !found.iter().any(|(_, other)| std::ptr::eq(*other, one))
            {
                found.push((name, one));
            }
        }
        let is_one = found.len() == 1;
        let share = |(name, one): (Arc<str>, &WeightedCluster)| {
            self.share(name, Some(one), Some((one.weight, all)).filter(|_| !is_one))
        };
        found.into_iter().map(share).collect()
    }

    fn share(
        &self,
        cluster: Arc<str>,
        weighted: Option<&WeightedCluster>,
        weight: Option<(u32, u64)>,
    ) -> Share {
        let engine = self.course.engine;
        let config = engine.snapshot.clusters().value(&cluster).cloned();
        let added = weighted.map(|one| &one.metadata_match);
        let subset = subset(&self.forward.metadata_match, added);
        let endpoints = config.as_ref().map_or_else(Vec::new, |config| {
            let meant = self.meant(config);
            engine.reach(config, subset.as_deref(), meant, 0)
        });
        let request = self.dressed(weighted, &cluster);
        Share { cluster, weight, config, endpoints, request }
    }

    /// Where a connection was bound, or where its request says.
    fn meant(&self, config: &Cluster) -> Option<SocketAddr> {
        if let Discovery::OriginalDst(OriginalDst { header: Some(name), .. }) = &config.discovery {
            let said = self.asking.head.headers.get(name).and_then(|value| value.to_str().ok());
            if let Some(said) = said.and_then(|said| said.parse().ok()) {
                return Some(said);
            }
        }
        self.asking.connection.restored()
    }

    fn mirrors(&self) -> Vec<(Arc<str>, Fraction)> {
        let table = self.course.table.map_or(&[][..], |table| &table.mirrors);
        let levels = [&self.forward.mirrors[..], &self.host.mirrors[..], table];
        let mirrors = levels.into_iter().find(|level| !level.is_empty()).unwrap_or_default();
        let named = mirrors.iter().filter_map(|mirror| {
            let cluster = mirror_cluster(mirror, &self.asking.head)?;
            Some((cluster, chance::current(&mirror.fraction, self.asking.runtime)))
        });
        named.filter(|(_, fraction)| fraction.numerator > 0).collect()
    }

    /// The request as a cluster gets it: in the engine's order timeouts, headers, host, path.
    fn dressed(&self, weighted: Option<&WeightedCluster>, cluster: &str) -> Request {
        let Self { config, host, route, forward, .. } = self;
        let mut request = self.request.clone();
        for name in crate::http::retry::HEADERS.iter().chain(&timeout::HEADERS) {
            request.headers.remove(*name);
        }
        let expected = !config.suppress_envoy_headers;
        self.limits.tell(Duration::ZERO, expected, &mut request.headers);
        tell_stream(&forward.timeouts, &mut request.headers);
        if host.attempts_in_request {
            request.headers.insert(ATTEMPTS, HeaderValue::from(1));
        }
        if let Some(table) = self.course.table {
            let mut headers = std::mem::take(&mut request.headers);
            let known = Knows { facts: self.asking.connection, route: &route.name, cluster };
            let scene = Scene { request: Some(request.head()), ..Scene::new(&known) };
            for level in request_levels(table, host, route, weighted) {
                route_headers(level, Message::Request, &mut headers, &scene);
            }
            request.headers = headers;
        }
        // An endpoint's own name is known once it is chosen.
        let new = rewritten_host(forward, weighted, &request.head(), None);
        if let Some(new) = new.filter(|_| forward.host != HostRewrite::Auto) {
            let old = std::mem::replace(&mut request.authority, new);
            // A weighted cluster's name leaves no trace.
            let own = weighted.is_some_and(|one| one.host.is_some());
            let forwarded = forward.append_forwarded_host;
            let replaced = Replaced { forwarded, original: expected && !own };
            tell_replaced(&old, replaced, &mut request.headers);
        }
        if let Some(new) = rewritten_path(forward, &route.when.path, &request.path) {
            let old = std::mem::replace(&mut request.path, new);
            if expected && let Ok(old) = HeaderValue::from_str(&old) {
                request.headers.insert(ORIGINAL_PATH, old);
            }
        }
        request
    }
}

/// What headers may print before anything has happened.
struct Knows<'a> {
    facts: &'a Connection,
    route: &'a str,
    cluster: &'a str,
}

impl Known for Knows<'_> {
    fn protocol(&self) -> Option<&str> {
        Some("HTTP/1.1")
    }

    fn address(&self, of: Address) -> Option<SocketAddr> {
        match of {
            Address::DownstreamRemote => self.facts.remote,
            Address::DownstreamDirectRemote => self.facts.direct_remote,
            Address::DownstreamLocal => self.facts.local,
            Address::DownstreamDirectLocal => self.facts.direct_local,
            Address::UpstreamRemote | Address::UpstreamLocal => None,
        }
    }

    fn tls(&self, upstream: bool) -> Option<&crate::http::facts::Tls> {
        self.facts.tls.as_deref().filter(|_| !upstream)
    }

    fn cluster(&self) -> Option<&str> {
        Some(self.cluster)
    }

    fn route(&self) -> Option<&str> {
        Some(self.route).filter(|name| !name.is_empty())
    }
}
