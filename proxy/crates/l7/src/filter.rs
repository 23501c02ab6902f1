//! HTTP filters: a closed set, asked in order on the way in, in reverse on the way out.
//!
//! What a route says about a filter, by its name, counts before what the chain says.
//!
//! Reading order: [`Filters`]; one file for each filter; [`router`], the last.
mod buffer;
mod cors;
mod fault;
pub(crate) mod grpc_stats;
mod grpc_web;
mod header_mutation;
mod health_check;
mod local_ratelimit;
mod rbac;
pub(crate) mod router;
mod set_filter_state;

use crate::{
    body::Body,
    log::Logs,
    manager::{
        answer::{Local, Refused},
        record::Record,
        routed::{self, overrides},
    },
    message::Response,
    outcome::Flag,
    shared::Shared,
    stats::{Scope, Tag, tag},
};
use culvert_model::http::{
    filter::{Filter, FilterConfig, HttpFilter, OverrideConfig, Router},
    snapshot::Snapshot,
};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// The filters of a chain, at work.
#[derive(Debug)]
pub(crate) struct Filters {
    list: Box<[Placed]>,
    router: Arc<Router>,
    /// Where lines of tries go.
    upstream_logs: Option<Arc<Logs>>,
    /// Some have resources of their own.
    changeable: bool,
}

/// A filter in its place.
#[derive(Debug)]
struct Placed {
    name: Arc<str>,
    disabled: bool,
    work: Arc<Work>,
    /// The resource that says what it does, if it is one.
    source: Option<Arc<HttpFilter>>,
}

/// What a filter does.
#[derive(Debug)]
enum Work {
    Rbac(rbac::Rbac),
    Fault(fault::Fault),
    LocalRateLimit(local_ratelimit::LocalRateLimit),
    Cors(cors::Cors),
    HeaderMutation(header_mutation::HeaderMutation),
    SetFilterState(set_filter_state::SetFilterState),
    HealthCheck(health_check::HealthCheck),
    Buffer(buffer::Buffer),
    GrpcStats(grpc_stats::GrpcStats),
    GrpcWeb(grpc_web::GrpcWeb),
    Ignored,
    /// Its resource has not come, and it has no default.
    Missing,
}

/// What a filter keeps of a request until its response.
#[derive(Debug)]
pub(crate) enum Kept {
    Cors(HeaderMap),
    Fault(fault::Active),
    LocalRateLimit(local_ratelimit::Told),
    GrpcStats(grpc_stats::Call),
    GrpcWeb(grpc_web::Kind),
    HealthCheck,
}

/// What filters are made with.
struct Making<'a> {
    scope: Scope,
    shared: &'a Arc<Shared>,
}

impl Filters {
    /// Those of `list`; what did not change since `before` goes on as it is.
    pub(crate) fn new(
        list: &Arc<[Filter]>,
        prefix: &str,
        shared: &Arc<Shared>,
        snapshot: &Snapshot,
        before: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        if let Some(before) = before.filter(|before| !before.changeable) {
            return Arc::clone(before);
        }
        let scope = shared.stats.scope("http", Tag::new(tag::HTTP, prefix));
        let making = Making { scope, shared };
        let mut router = Arc::default();
        let mut placed = Vec::with_capacity(list.len());
        for filter in list.iter() {
            if let FilterConfig::Here(HttpFilter::Router(config)) = &filter.config {
                router = Arc::clone(config);
                continue;
            }
            let old = before.and_then(|before| before.list.get(placed.len()));
            placed.push(Placed::new(filter, &making, snapshot, old));
        }
        let upstream_logs = (!router.upstream_logs.is_empty())
            .then(|| Arc::new(Logs::new(&router.upstream_logs, &shared.sinks)));
        let changeable =
            list.iter().any(|filter| matches!(filter.config, FilterConfig::Discovered(_)));
        Arc::new(Self { list: placed.into(), router, upstream_logs, changeable })
    }

    pub(crate) fn router(&self) -> (&Router, Option<&Arc<Logs>>) {
        (&self.router, self.upstream_logs.as_ref())
    }

    /// The way in.
    ///
    /// # Errors
    ///
    /// The answer of a filter that lets it go no further.
    pub(crate) async fn request(
        &self,
        record: &mut Record,
        body: &mut Body,
    ) -> Result<(), Refused> {
        for (at, placed) in self.list.iter().enumerate() {
            if !placed.is_on(record) {
                continue;
            }
            let place = Place { at, name: &placed.name };
            match &*placed.work {
                Work::Rbac(filter) => filter.request(place, record)?,
                Work::Fault(filter) => filter.request(place, record).await?,
                Work::LocalRateLimit(filter) => filter.request(place, record)?,
                Work::Cors(filter) => filter.request(place, record)?,
                Work::HeaderMutation(filter) => filter.request(place, record, body),
                Work::SetFilterState(filter) => filter.request(place, record),
                Work::HealthCheck(filter) => filter.request(place, record)?,
                Work::Buffer(filter) => filter.request(place, record, body).await?,
                Work::GrpcStats(filter) => filter.request(place, record, body),
                Work::GrpcWeb(filter) => filter.request(place, record, body),
                Work::Ignored => {}
                Work::Missing => {
                    let status = StatusCode::INTERNAL_SERVER_ERROR;
                    let local = Local::new(status, "", "filter_config_not_found");
                    return Err(local.flag(Flag::NoFilterConfigFound).boxed());
                }
            }
        }
        Ok(())
    }

    /// The way out.
    pub(crate) fn response(&self, record: &mut Record, response: &mut Response) {
        for (at, placed) in self.list.iter().enumerate().rev() {
            if !placed.is_on(record) {
                continue;
            }
            let place = Place { at, name: &placed.name };
            match &*placed.work {
                Work::Fault(_) => fault::response(place, record, response),
                Work::LocalRateLimit(_) => local_ratelimit::response(place, record, response),
                Work::Cors(_) => cors::response(place, record, response),
                Work::HeaderMutation(filter) => filter.response(place, record, response),
                Work::HealthCheck(filter) => filter.response(place, record, response),
                Work::GrpcStats(filter) => filter.response(place, record, response),
                Work::GrpcWeb(_) => grpc_web::response(place, record, response),
                Work::Rbac(_)
                | Work::SetFilterState(_)
                | Work::Buffer(_)
                | Work::Ignored
                | Work::Missing => {}
            }
        }
    }
}

/// Where a filter stands, and what routes call it.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    at: usize,
    name: &'a str,
}

impl Place<'_> {
    /// What every level of a request's route says, the most specific first.
    fn all<'a>(&self, record: &'a Record) -> impl Iterator<Item = &'a OverrideConfig> {
        let table = record.now.table.as_ref().map(|table| &**table.table());
        let levels = record.routed.per_filter(table);
        let said: Vec<_> = overrides(levels, self.name).collect();
        said.into_iter().filter_map(|one| one.config.as_ref())
    }

    /// What the most specific level of a request's route says instead of the chain.
    fn config<'a>(&self, record: &'a Record) -> Option<&'a OverrideConfig> {
        let table = record.now.table.as_ref().map(|table| &**table.table());
        routed::config(record.routed.per_filter(table), self.name)
    }
}

impl Placed {
    fn new(
        filter: &Filter,
        making: &Making<'_>,
        snapshot: &Snapshot,
        before: Option<&Self>,
    ) -> Self {
        let source = match &filter.config {
            FilterConfig::Here(_) => None,
            FilterConfig::Discovered(_) => snapshot.filters().value(&filter.name).cloned(),
        };
        let same = before.filter(|before| match (&before.source, &source) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        });
        let work = match same {
            Some(same) => Arc::clone(&same.work),
            None => Arc::new(match &filter.config {
                FilterConfig::Here(config) => Work::new(config, making),
                FilterConfig::Discovered(discovered) => {
                    let config = source.as_deref().or(discovered.default.as_ref());
                    config.map_or(Work::Missing, |config| Work::new(config, making))
                }
            }),
        };
        Self { name: Arc::clone(&filter.name), disabled: filter.disabled, work, source }
    }

    /// Whether it does anything for this request.
    fn is_on(&self, record: &Record) -> bool {
        let table = record.now.table.as_ref().map(|table| &**table.table());
        routed::is_on(record.routed.per_filter(table), &self.name, self.disabled)
    }
}

impl Work {
    fn new(config: &HttpFilter, making: &Making<'_>) -> Self {
        match config {
            HttpFilter::Router(_) | HttpFilter::Ignored => Self::Ignored,
            HttpFilter::Rbac(config) => Self::Rbac(rbac::Rbac::new(config, making)),
            HttpFilter::Fault(config) => Self::Fault(fault::Fault::new(config, making)),
            HttpFilter::LocalRateLimit(config) => {
                Self::LocalRateLimit(local_ratelimit::LocalRateLimit::new(config, making))
            }
            HttpFilter::Cors => Self::Cors(cors::Cors::new(making)),
            HttpFilter::HeaderMutation(config) => {
                Self::HeaderMutation(header_mutation::HeaderMutation(Arc::clone(config)))
            }
            HttpFilter::SetFilterState(config) => {
                Self::SetFilterState(set_filter_state::SetFilterState(Arc::clone(config)))
            }
            HttpFilter::HealthCheck(config) => {
                Self::HealthCheck(health_check::HealthCheck::new(config, making))
            }
            HttpFilter::Buffer { max } => Self::Buffer(buffer::Buffer { max: *max }),
            HttpFilter::GrpcStats(config) => {
                Self::GrpcStats(grpc_stats::GrpcStats::new(config, making))
            }
            HttpFilter::GrpcWeb => Self::GrpcWeb(grpc_web::GrpcWeb),
        }
    }
}
