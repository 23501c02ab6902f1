//! `envoy.filters.http.cors`: what browsers are told of other sites.
use super::{Kept, Making, Place};
use crate::{
    manager::{
        answer::{Local, Refused},
        record::Record,
    },
    message::Response,
    stats::{Counter, Late},
};
use culvert_model::http::{cors as model, filter::OverrideConfig};
use culvert_policy::http::cors::{Decision, decide};
use http::StatusCode;
use std::sync::Arc;

/// The filter of a chain; what is allowed is said by routes.
#[derive(Debug)]
pub(super) struct Cors {
    valid: Late<Counter>,
    invalid: Late<Counter>,
}

impl Cors {
    pub(super) fn new(making: &Making<'_>) -> Self {
        let scope = making.scope.scope("cors");
        Self { valid: scope.late("origin_valid"), invalid: scope.late("origin_invalid") }
    }

    pub(super) fn request(&self, place: Place<'_>, record: &mut Record) -> Result<(), Refused> {
        let Some(config) = policy(place, record) else { return Ok(()) };
        let (decision, valid) =
            decide(&config, &record.request(), &record.now.runtime, record.dice);
        match valid {
            Some(true) => self.valid.inc(),
            Some(false) => self.invalid.inc(),
            None => {}
        }
        match decision {
            Decision::Pass => Ok(()),
            Decision::Mark(headers) => {
                record.keep(place.at, Kept::Cors(headers));
                Ok(())
            }
            Decision::Preflight(headers) => {
                let mut local = Local::new(StatusCode::OK, "", "cors_response");
                local.headers = headers;
                Err(local.boxed())
            }
        }
    }
}

/// What is said to the filter, else in the deprecated places; what a level does not say, the next
/// one does.
fn policy(place: Place<'_>, record: &Record) -> Option<Arc<model::Cors>> {
    let mut said = place.all(record).filter_map(|config| {
        if let OverrideConfig::Cors(config) = config { Some(config) } else { None }
    });
    if let Some(first) = said.next() {
        return Some(said.fold(Arc::clone(first), |first, next| merged(&first, next)));
    }
    let route = record.routed.forward().and_then(|forward| forward.cors.as_ref());
    let host = record.routed.both().and_then(|(host, _)| host.cors.as_ref());
    let mut said = route.into_iter().chain(host);
    let first = said.next()?;
    Some(said.fold(Arc::clone(first), |first, next| merged(&first, next)))
}

/// `first`, with what it does not say from `next`.
fn merged(first: &Arc<model::Cors>, next: &Arc<model::Cors>) -> Arc<model::Cors> {
    let or = |first: &Option<Arc<str>>, next: &Option<Arc<str>>| {
        first.clone().filter(|value| !value.is_empty()).or_else(|| next.clone())
    };
    let origins = if first.origins.is_empty() { &next.origins } else { &first.origins };
    Arc::new(model::Cors {
        origins: origins.clone(),
        methods: or(&first.methods, &next.methods),
        headers: or(&first.headers, &next.headers),
        expose: or(&first.expose, &next.expose),
        max_age: or(&first.max_age, &next.max_age),
        credentials: first.credentials || next.credentials,
        private_network: first.private_network || next.private_network,
        ..model::Cors::clone(first)
    })
}

pub(super) fn response(place: Place<'_>, record: &mut Record, response: &mut Response) {
    let Some(Kept::Cors(headers)) = record.take_kept(place.at) else { return };
    for (name, value) in &headers {
        response.head.headers.insert(name.clone(), value.clone());
    }
}
