//! What `%…%` prints: in headers, access logs and local replies.
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use culvert_model::http::{
    format::{
        Address, Amount, Attempted, Clock, Close, Format, JsonTemplate, MetadataOf, Moment,
        Operator, Part, Template,
    },
    value::Metadata,
};
use http::HeaderMap;

use super::{
    facts::{Answer, Head, Tls},
    flags::Flags,
};

mod certificate;
mod json;
mod message;
mod printed;
mod time;
mod value;

pub use printed::Printed;

/// A request, as far as it is known when something is printed.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub request: Option<Head<'a>>,
    pub response: Option<Answer<'a>>,
    pub trailers: Option<&'a HeaderMap>,
    /// The body of an answer of our own, while that is being made.
    pub local_reply: &'a [u8],
    pub known: &'a dyn Known,
}

/// Everything else; whoever knows less leaves it to the defaults.
pub trait Known {
    /// `HTTP/1.1`.
    fn protocol(&self) -> Option<&str> {
        None
    }
    fn upstream_protocol(&self) -> Option<&str> {
        None
    }
    /// The status that was answered, where there is no response to look at; 0 if there was none.
    fn status(&self) -> u16 {
        0
    }
    fn details(&self) -> Option<&str> {
        None
    }
    fn termination(&self) -> Option<&str> {
        None
    }
    fn flags(&self) -> Flags {
        Flags::default()
    }
    fn bytes(&self, _of: Amount) -> u64 {
        0
    }
    /// From the beginning of the request to a moment.
    fn moment(&self, _moment: &Moment) -> Option<Duration> {
        None
    }
    /// From the beginning to the end, or to now.
    fn elapsed(&self) -> Option<Duration> {
        None
    }
    fn handshake(&self) -> Option<Duration> {
        None
    }
    fn pool_ready(&self) -> Option<Duration> {
        None
    }
    /// Times of certificates are not asked here.
    fn clock(&self, _clock: Clock) -> Option<SystemTime> {
        None
    }
    /// Seconds that local time is ahead of UTC.
    fn offset(&self) -> i32 {
        0
    }
    fn address(&self, _of: Address) -> Option<SocketAddr> {
        None
    }
    fn tls(&self, _upstream: bool) -> Option<&Tls> {
        None
    }
    /// Validity of a peer's certificate.
    fn validity(&self, _upstream: bool) -> Option<(SystemTime, SystemTime)> {
        None
    }
    /// The endpoint's address, as it is configured.
    fn upstream_host(&self) -> Option<String> {
        None
    }
    /// The endpoint's name, if it has one.
    fn upstream_name(&self) -> Option<&str> {
        None
    }
    fn cluster(&self) -> Option<&str> {
        None
    }
    /// What statistics call it.
    fn cluster_alias(&self) -> Option<&str> {
        self.cluster()
    }
    fn attempts(&self) -> u32 {
        0
    }
    /// By commas.
    fn attempted(&self, _what: Attempted) -> Option<String> {
        None
    }
    fn closed(&self, _upstream: bool, _how: Close) -> Option<&str> {
        None
    }
    fn upstream_failure(&self) -> Option<&str> {
        None
    }
    fn downstream_failure(&self) -> Option<&str> {
        None
    }
    fn connection(&self) -> u64 {
        0
    }
    /// 0 if there is none.
    fn upstream_connection(&self) -> u64 {
        0
    }
    fn stream(&self) -> Option<String> {
        None
    }
    fn unique(&self) -> Option<String> {
        None
    }
    fn trace(&self) -> Option<&str> {
        None
    }
    fn span(&self) -> Option<&str> {
        None
    }
    fn server_name(&self) -> Option<&str> {
        None
    }
    fn route(&self) -> Option<&str> {
        None
    }
    fn upstream_server_name(&self) -> Option<&str> {
        None
    }
    fn filter_chain(&self) -> Option<&str> {
        None
    }
    /// `DownstreamEnd`.
    fn log_type(&self) -> &str {
        "NotSet"
    }
    fn hostname(&self) -> Option<&str> {
        None
    }
    fn environment(&self, _name: &str) -> Option<&str> {
        None
    }
    fn custom_flags(&self) -> Option<&str> {
        None
    }
    fn metadata(&self, _of: MetadataOf) -> Option<&Metadata> {
        None
    }
    fn state(&self, _upstream: bool, _key: &str) -> Option<&str> {
        None
    }
}

impl<'a> Scene<'a> {
    /// What is known where nothing has happened yet.
    #[must_use]
    pub const fn new(known: &'a dyn Known) -> Self {
        Self { request: None, response: None, trailers: None, local_reply: b"", known }
    }

    /// The status that was answered; 0 if there was none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.map_or_else(|| self.known.status(), |answer| answer.status.as_u16())
    }
}

/// Nothing but what the messages themselves say.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Known for Nothing {}

/// How a value that is not there is printed in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `-`; in JSON, `null`.
    Dash,
    /// Not at all; in JSON, its key neither.
    Omit,
}

/// Prints a template.
pub fn text(template: &Template, scene: &Scene<'_>, missing: Missing, out: &mut Vec<u8>) {
    for part in template.parts() {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Operator(operator, most) => match value::of(operator, scene) {
                Some(value) => value.write(*most, out),
                None if missing == Missing::Dash => out.push(b'-'),
                None => {}
            },
        }
    }
}

/// Prints one object, without a line's end.
pub fn json(template: &JsonTemplate, scene: &Scene<'_>, missing: Missing, out: &mut Vec<u8>) {
    json::write(template, scene, missing, out);
}

/// Prints a line of a log, as its format has it.
pub fn line(format: &Format, scene: &Scene<'_>, missing: Missing, out: &mut Vec<u8>) {
    match format {
        Format::Text(template) => text(template, scene, missing, out),
        Format::Json(template) => {
            json(template, scene, missing, out);
            out.push(b'\n');
        }
    }
}

/// The value of one operator.
#[must_use]
pub fn value<'a>(operator: &Operator, scene: &Scene<'a>) -> Option<Printed<'a>> {
    value::of(operator, scene)
}

impl std::fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene")
            .field("request", &self.request)
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
