//! What a CONNECT says, as values; pure.
//!
//! The authority decides where a connection goes: it is read strictly. The other headers only
//! inform: what cannot be read of them is left out.
mod authority;
mod baggage;
mod forwarded;
mod trace;

pub use authority::{BadAuthority, authority};
pub use baggage::{Baggage, Owner};
pub use forwarded::Forwarded;
pub use trace::{trace, traceparent};

use super::http2;
use culvert_model::tunnel::{Authority, Trace};
use http::{HeaderMap, HeaderValue, Method, Uri};
use std::sync::Arc;

const BAGGAGE: &str = "baggage";
const FORWARDED: &str = "forwarded";
const TRACEPARENT: &str = "traceparent";
/// Only in the inner tunnel of two that reach another network.
const NETWORK: &str = "x-forwarded-network";

/// The longest name that a label or DNS can have, with room to spare; longer ones are left out.
const NAME_MAX: usize = 253;

/// What the source's proxy asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub authority: Authority,
    /// Who the source says it is; not proven.
    pub baggage: Baggage,
    pub forwarded: Option<Forwarded>,
    pub trace: Option<Trace>,
    /// The network the source is in.
    pub network: Option<Arc<str>>,
}

/// Why a request is answered with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error("the method is not CONNECT")]
    Method,
    #[error("there is no authority")]
    NoAuthority,
    #[error("the authority cannot be read")]
    Authority(#[from] BadAuthority),
    #[error("the request has a scheme or a path")]
    Target,
}

impl Request {
    /// Asks for `authority` and says nothing else.
    pub fn new(authority: Authority) -> Self {
        let baggage = Baggage::default();
        Self { authority, baggage, forwarded: None, trace: None, network: None }
    }

    /// Reads a request.
    ///
    /// # Errors
    ///
    /// When it is no CONNECT, or does not say where to.
    pub fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, BadRequest> {
        if method != Method::CONNECT {
            return Err(BadRequest::Method);
        }
        if uri.scheme().is_some() || uri.path_and_query().is_some() {
            return Err(BadRequest::Target);
        }
        let named = uri.authority().ok_or(BadRequest::NoAuthority)?;
        Self::of(named.as_str(), headers)
    }

    /// Reads a request as it came.
    ///
    /// # Errors
    ///
    /// When it is no CONNECT, or does not say where to.
    pub fn read(request: &http2::request::Request) -> Result<Self, BadRequest> {
        if request.method != Method::CONNECT {
            return Err(BadRequest::Method);
        }
        if !request.is_connect() {
            return Err(BadRequest::Target);
        }
        let named = request.authority.as_ref().and_then(|named| named.to_str().ok());
        Self::of(named.ok_or(BadRequest::NoAuthority)?, &request.headers)
    }

    fn of(named: &str, headers: &HeaderMap) -> Result<Self, BadRequest> {
        Ok(Self {
            authority: authority(named)?,
            baggage: Baggage::of_headers(headers),
            forwarded: text(headers, FORWARDED).and_then(Forwarded::parse),
            trace: text(headers, TRACEPARENT).and_then(trace),
            network: text(headers, NETWORK).filter(|name| is_name(name)).map(Arc::from),
        })
    }

    /// As HTTP has it. An authority that is none there (a host of strange characters, which
    /// [`authority()`] never makes) is `None`.
    pub fn to_http(&self) -> Option<http::Request<()>> {
        let Self { authority, baggage, forwarded, trace, network } = self;
        let mut request = http::Request::new(());
        *request.method_mut() = Method::CONNECT;
        let named = http::uri::Authority::try_from(authority.to_string()).ok()?;
        let mut parts = http::uri::Parts::default();
        parts.authority = Some(named);
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        baggage.write(headers);
        put(headers, FORWARDED, forwarded.as_ref().map(Forwarded::to_string));
        put(headers, TRACEPARENT, trace.map(traceparent));
        put(headers, NETWORK, network.as_deref().map(str::to_owned));
        Some(request)
    }
}

/// Sets what can be written; nothing else is worth a connection.
fn put(headers: &mut HeaderMap, name: &'static str, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

/// The first header of that name, when it is text.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Whether `value` can be a name: visible, of a bearable length, and without what separates
/// members of a list.
fn is_name(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !br#",;"\"#.contains(&byte);
    (1..=NAME_MAX).contains(&value.len()) && value.bytes().all(plain)
}

#[cfg(test)]
mod tests;
