//! One HTTP request: counted and written down once it is over.
use crate::{Telemetry, access::request::RequestLine};
use culvert_model::facts::ConnFacts;
use std::{
    borrow::Cow,
    time::{Duration, Instant, SystemTime},
};

/// What metrics say of a request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its two ends: the destination is who answered, else what was asked for.
    pub facts: ConnFacts,
    /// The status; 0: there was no response.
    pub code: u16,
    /// Of gRPC.
    pub call: Option<Call>,
    /// Envoy's response flags; empty: nothing happened.
    pub flags: Cow<'static, str>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub took: Duration,
}

/// What of a request is gRPC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// `None`: nobody said one.
    pub status: Option<i64>,
    /// Messages of the client.
    pub requests: u64,
    /// Messages of the server.
    pub responses: u64,
}

/// What its access line says beside that; empty is what is not known.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub method: String,
    pub host: String,
    /// With its query.
    pub path: String,
    pub version: &'static str,
    /// Why it was answered as it was: Envoy's response code details.
    pub details: Cow<'static, str>,
    pub route: String,
    pub cluster: String,
    pub request_id: String,
    pub trace_id: String,
    /// Why an endpoint was not reached.
    pub error: String,
    /// What the control plane calls the configuration that it was served by: its generation.
    pub configuration: String,
}

impl Telemetry {
    /// Counts a request that is over, and writes its line; `told` is asked where lines are wanted.
    pub fn request(&self, request: Request, told: impl FnOnce() -> Told) {
        self.metrics.request(&request, Instant::now());
        if self.access.is_on() {
            let time = SystemTime::now();
            self.access.write_request(RequestLine { time, request, told: told() });
        }
    }
}
