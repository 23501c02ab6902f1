//! `envoy.filters.http.local_ratelimit`: so many requests, counted here.
use super::{Kept, Making, Place};
use crate::{
    connection::Connection,
    manager::{
        answer::{Local, Refused},
        record::Record,
    },
    message::Response,
    outcome::Flag,
    shared::Shared,
    stats::{Counter, Late, Scope, tag},
};
use culvert_model::http::{
    filter::OverrideConfig,
    mutation::{HeaderMutations, HeaderValue as Addition, Mutation},
    ratelimit::{self as model, Bucket, HostLimits, LocalDescriptor, RateLimits},
    route::Action,
};
use culvert_policy::http::{
    bucket::Tokens,
    chance,
    descriptor::{self, Around, Entries},
    facts::Answer,
    format::Scene,
    grpc,
    mutate::{self, Message},
};
use culvert_runtime::dice::dice;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The filter of a chain; and what it keeps for routes that have limits of their own.
#[derive(Debug)]
pub(super) struct LocalRateLimit {
    own: Limit,
    shared: Arc<Shared>,
    /// Of routes, by what they say.
    routes: Mutex<HashMap<usize, OfRoute>>,
}

/// A route's configuration while it lives, and what was used of it.
type OfRoute = (Weak<model::LocalRateLimit>, Arc<Limit>);

/// One configuration, and what was used of it.
#[derive(Debug)]
struct Limit {
    config: Arc<model::LocalRateLimit>,
    stats: Numbers,
    buckets: Mutex<Buckets>,
    connections: Mutex<HashMap<u64, (Weak<Connection>, Buckets)>>,
}

#[derive(Debug)]
struct Numbers {
    enabled: Late<Counter>,
    enforced: Late<Counter>,
    limited: Late<Counter>,
    ok: Late<Counter>,
}

/// Buckets, each made full when it is first asked.
#[derive(Debug, Default)]
struct Buckets {
    default: Option<Tokens>,
    descriptors: HashMap<Entries, Tokens>,
}

/// What clients are told of their limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    limit: u32,
    remaining: u32,
    reset: Duration,
}

impl LocalRateLimit {
    pub(super) fn new(config: &Arc<model::LocalRateLimit>, making: &Making<'_>) -> Self {
        let shared = Arc::clone(making.shared);
        Self { own: Limit::new(config, &shared), shared, routes: Mutex::default() }
    }

    pub(super) fn request(&self, place: Place<'_>, record: &mut Record) -> Result<(), Refused> {
        match place.config(record) {
            Some(OverrideConfig::LocalRateLimit(config)) => {
                let limit = self.of_route(&Arc::clone(config));
                limit.request(place, record, self.shared.now())
            }
            _ => self.own.request(place, record, self.shared.now()),
        }
    }

    fn of_route(&self, config: &Arc<model::LocalRateLimit>) -> Arc<Limit> {
        // The address is this configuration's as long as it lives.
        let key = Arc::as_ptr(config).addr();
        let mut routes = self.routes.lock();
        if let Some((alive, limit)) = routes.get(&key)
            && 0 < alive.strong_count()
        {
            return Arc::clone(limit);
        }
        // One that says the same goes on counting.
        let same = routes.values().find(|(_, limit)| *limit.config == **config);
        let same = same.map(|(_, limit)| Arc::clone(limit));
        let limit = same.unwrap_or_else(|| Arc::new(Limit::new(config, &self.shared)));
        routes.retain(|_, (alive, _)| 0 < alive.strong_count());
        routes.insert(key, (Arc::downgrade(config), Arc::clone(&limit)));
        limit
    }
}

impl Limit {
    fn new(config: &Arc<model::LocalRateLimit>, shared: &Shared) -> Self {
        let prefix = &config.stat_prefix;
        let scope: Scope = shared
            .stats
            .root()
            .tagged("", tag::LOCAL_HTTP_RATELIMIT, prefix)
            .scope("http_local_rate_limit");
        Self {
            // A copy: the route's own is held by the route only.
            config: Arc::new(model::LocalRateLimit::clone(config)),
            stats: Numbers {
                enabled: scope.late("enabled"),
                enforced: scope.late("enforced"),
                limited: scope.late("rate_limited"),
                ok: scope.late("ok"),
            },
            buckets: Mutex::default(),
            connections: Mutex::default(),
        }
    }

    fn request(&self, place: Place<'_>, record: &mut Record, now: Duration) -> Result<(), Refused> {
        let config = &self.config;
        if !chance::hits(&config.enabled, &record.now.runtime, dice()) {
            return Ok(());
        }
        self.stats.enabled.inc();
        let wanted = wanted(config, record);
        let (allowed, told) = if config.per_connection {
            let connection = &record.connection;
            let mut connections = self.connections.lock();
            if !connections.contains_key(&connection.id) {
                connections.retain(|_, (connection, _)| 0 < connection.strong_count());
            }
            let (_, buckets) = connections
                .entry(connection.id)
                .or_insert_with(|| (Arc::downgrade(connection), Buckets::default()));
            buckets.take(config, &wanted, now)
        } else {
            self.buckets.lock().take(config, &wanted, now)
        };
        if config.x_ratelimit_headers
            && let Some(told) = told
        {
            record.keep(place.at, Kept::LocalRateLimit(told));
        }
        if allowed {
            self.stats.ok.inc();
            return Ok(());
        }
        self.stats.limited.inc();
        if !chance::hits(&config.enforced, &record.now.runtime, dice()) {
            add_to_request(&config.request_headers, record);
            return Ok(());
        }
        self.stats.enforced.inc();
        Err(refused(config, record))
    }
}

fn refused(config: &model::LocalRateLimit, record: &Record) -> Refused {
    let mut local = Local::new(config.status, "local_rate_limited", "local_rate_limited");
    let seeing = record.seeing("NotSet");
    let answer = Answer { status: config.status, headers: mutate::no_headers() };
    let scene = Scene { response: Some(answer), ..seeing.scene() };
    let additions = mutations(&config.response_headers);
    mutate::filter_headers(&additions, Message::Response, &mut local.headers, &scene);
    if config.resource_exhausted {
        local.grpc = Some(grpc::RESOURCE_EXHAUSTED);
    }
    local.flag(Flag::RateLimited).boxed()
}

fn mutations(additions: &[Addition]) -> HeaderMutations {
    HeaderMutations(additions.iter().cloned().map(Mutation::Set).collect())
}

fn add_to_request(additions: &[Addition], record: &mut Record) {
    if additions.is_empty() {
        return;
    }
    let mut headers = std::mem::take(&mut record.head.headers);
    let seeing = record.seeing("NotSet");
    let scene = seeing.scene();
    mutate::filter_headers(&mutations(additions), Message::Request, &mut headers, &scene);
    record.head.headers = headers;
}

/// The descriptors that a request makes.
fn wanted(config: &model::LocalRateLimit, record: &Record) -> Vec<(Entries, u64)> {
    if config.descriptors.is_empty() {
        return Vec::new();
    }
    let asking = record.asking();
    let seeing = record.seeing("NotSet");
    let scene = seeing.scene();
    let Some((host, route)) = record.routed.both() else { return Vec::new() };
    let around = Around {
        own: &record.manager.shared().node.cluster,
        cluster: record.routed.cluster.as_deref().unwrap_or_default(),
        route: &route.metadata,
        scene: &scene,
    };
    let of = |limits: &RateLimits| descriptor::of(limits, config.stage, &asking, around);
    if !config.limits.is_empty() {
        return of(&config.limits);
    }
    let Action::Forward(forward) = &route.action else { return of(&host.rate_limits) };
    let mut all = of(&forward.rate_limits);
    let beside = match config.host_limits {
        HostLimits::Override => forward.rate_limits.is_empty(),
        HostLimits::Include => true,
        HostLimits::Ignore => false,
    };
    if beside || forward.host_rate_limits {
        all.extend(of(&host.rate_limits));
    }
    all
}

impl Buckets {
    /// Takes of every bucket that the request is of, all or none passing; and what is to be told.
    fn take(
        &mut self,
        config: &model::LocalRateLimit,
        wanted: &[(Entries, u64)],
        now: Duration,
    ) -> (bool, Option<Told>) {
        let mut matched: Vec<(&Entries, &LocalDescriptor, u32)> = wanted
            .iter()
            .filter_map(|(entries, hits)| {
                let found = descriptor::local(&config.descriptors, entries)?;
                Some((entries, found, u32::try_from(*hits).unwrap_or(u32::MAX)))
            })
            .collect();
        // The scarcest first.
        matched.sort_by(|(_, a, _), (_, b, _)| rate(&a.bucket).total_cmp(&rate(&b.bucket)));
        let mut told = None;
        for (entries, found, hits) in &matched {
            self.bound(config, entries);
            let bucket = &found.bucket;
            let entry = self.descriptors.entry(Entries::clone(entries));
            let tokens = entry.or_insert_with(|| Tokens::full(bucket, now));
            let taken = tokens.take(bucket, now, *hits);
            told.get_or_insert_with(|| Told::of(tokens, bucket, now));
            if !taken {
                return (false, Some(Told::of(tokens, bucket, now)));
            }
        }
        let Some(bucket) = &config.bucket else { return (true, told) };
        if !matched.is_empty() && !config.always_default {
            return (true, told);
        }
        let tokens = self.default.get_or_insert_with(|| Tokens::full(bucket, now));
        let taken = tokens.take(bucket, now, 1);
        (taken, told.filter(|_| taken).or_else(|| Some(Told::of(tokens, bucket, now))))
    }

    /// No more buckets for values that clients choose than are allowed.
    fn bound(&mut self, config: &model::LocalRateLimit, entries: &Entries) {
        let most = usize::try_from(config.max_dynamic).unwrap_or(usize::MAX).max(1);
        let most = most.saturating_add(config.descriptors.len());
        if most <= self.descriptors.len()
            && !self.descriptors.contains_key(entries)
            && let Some(one) = self.descriptors.keys().next().cloned()
        {
            self.descriptors.remove(&one);
        }
    }
}

fn rate(bucket: &Bucket) -> f64 {
    f64::from(bucket.per_fill) / bucket.interval.as_secs_f64().max(1e-3)
}

impl Told {
    fn of(tokens: &Tokens, bucket: &Bucket, now: Duration) -> Self {
        Self {
            limit: bucket.max,
            remaining: tokens.remaining(bucket, now),
            reset: tokens.next(bucket, now),
        }
    }
}

pub(super) fn response(place: Place<'_>, record: &mut Record, response: &mut Response) {
    let Some(Kept::LocalRateLimit(told)) = record.take_kept(place.at) else { return };
    let headers = &mut response.head.headers;
    headers.insert(LIMIT, HeaderValue::from(told.limit));
    headers.insert(REMAINING, HeaderValue::from(told.remaining));
    let reset = told.reset.as_secs() + u64::from(told.reset.subsec_nanos() != 0);
    headers.insert(RESET, HeaderValue::from(reset));
}
