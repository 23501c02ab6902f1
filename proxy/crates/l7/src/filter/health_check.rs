//! `envoy.filters.http.health_check`: answers to those that ask whether we are well.
use super::{Kept, Making, Place};
use crate::{
    manager::{
        answer::{Local, Refused},
        record::Record,
    },
    message::Response,
    outcome::Flag,
    shared::Shared,
};
use culvert_model::http::filter::HealthCheckFilter;
use culvert_policy::http::health::{Members, answer, is_check};
use http::{HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::Instant;

const CHECKED: HeaderName = HeaderName::from_static("x-envoy-upstream-healthchecked-cluster");
const FAILING: HeaderName = HeaderName::from_static("x-envoy-immediate-health-check-fail");

/// The filter of a chain.
#[derive(Debug)]
pub(super) struct HealthCheck {
    config: Arc<HealthCheckFilter>,
    shared: Arc<Shared>,
    /// What the upstream said last, and when.
    last: Mutex<Option<(StatusCode, Instant)>>,
}

impl HealthCheck {
    pub(super) fn new(config: &Arc<HealthCheckFilter>, making: &Making<'_>) -> Self {
        let (config, shared) = (Arc::clone(config), Arc::clone(making.shared));
        Self { config, shared, last: Mutex::default() }
    }

    pub(super) fn request(&self, place: Place<'_>, record: &mut Record) -> Result<(), Refused> {
        if !is_check(&self.config, &record.request()) {
            return Ok(());
        }
        record.health_check = true;
        record.keep(place.at, Kept::HealthCheck);
        let failing = self.shared.is_failing();
        let cached = self.cached();
        if self.config.pass_through && !failing && cached.is_none() {
            return Ok(());
        }
        let (status, details) = match cached.filter(|_| self.config.pass_through && !failing) {
            Some(status) => (status, "health_check_cached"),
            None => self.own(failing),
        };
        let local = Local::new(status, "", details);
        let local =
            if status.is_success() { local } else { local.flag(Flag::FailedLocalHealthCheck) };
        Err(local.boxed())
    }

    fn own(&self, failing: bool) -> (StatusCode, &'static str) {
        let members = |cluster: &str| {
            let upstream = self.shared.upstreams.find(cluster)?;
            let hosts = upstream.view().hosts;
            let fit = hosts.iter().filter(|host| host.health_flags() == "healthy").count();
            Some(Members { fit: fit as u64, all: hosts.len() as u64 })
        };
        let status = answer(&self.config, failing, members);
        let details = match (failing, self.config.clusters.is_empty(), status.is_success()) {
            (true, ..) => "health_check_failed",
            (false, true, _) => "health_check_ok",
            (false, false, true) => "health_check_ok_cluster_healthy",
            (false, false, false) => "health_check_failed_cluster_unhealthy",
        };
        (status, details)
    }

    fn cached(&self) -> Option<StatusCode> {
        let (status, at) = (*self.last.lock())?;
        (at.elapsed() < self.config.cache?).then_some(status)
    }

    pub(super) fn response(&self, place: Place<'_>, record: &mut Record, response: &mut Response) {
        if let Some(Kept::HealthCheck) = record.take_kept(place.at) {
            if self.config.pass_through && record.went.is_some() {
                *self.last.lock() = Some((response.head.status, Instant::now()));
            }
            if let Ok(cluster) = HeaderValue::from_str(&self.shared.node.cluster) {
                response.head.headers.insert(CHECKED, cluster);
            }
        } else if self.shared.is_failing() {
            response.head.headers.insert(FAILING, HeaderValue::from_static("true"));
        }
    }
}
