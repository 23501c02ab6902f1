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
use culvert_policy::http::cors::{self, Decision, decide};
use http::StatusCode;

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
        let said = place.all(record);
        let Some(config) = cors::said(said, &record.routed) else { return Ok(()) };
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

pub(super) fn response(place: Place<'_>, record: &mut Record, response: &mut Response) {
    let Some(Kept::Cors(headers)) = record.take_kept(place.at) else { return };
    for (name, value) in &headers {
        response.head.headers.insert(name.clone(), value.clone());
    }
}
