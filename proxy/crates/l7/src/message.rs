//! What a request and a response are, whatever the version of HTTP they came by.
//!
//! The codecs take out what belongs to one connection (`connection`, `transfer-encoding`, `host`,
//! `upgrade`, …) and put it back in for the next; everything else is passed on as it came.
use crate::{body::Body, h1::Spelling};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    uri::{Authority, PathAndQuery},
};
use std::{fmt, sync::Arc};

/// A request, its body not yet read.
#[derive(Debug)]
pub struct Request {
    pub head: RequestHead,
    pub body: Body,
    /// Where responses before the response go.
    pub interim: Interim,
}

/// What a request says before its body.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub method: Method,
    pub scheme: Scheme,
    /// `:authority` or `host`; not among the headers.
    pub authority: Option<Authority>,
    /// `None` for CONNECT that is no upgrade.
    pub path: Option<PathAndQuery>,
    /// Without those that hold for one connection only. `content-length` is for reading: what is
    /// written follows the body.
    pub headers: HeaderMap,
    pub version: Version,
    /// What the connection, or the stream, is to become: `upgrade`, or `:protocol`.
    pub upgrade: Option<HeaderValue>,
    /// How the client wrote the names of headers, where that is kept.
    pub spelling: Option<Arc<Spelling>>,
}

/// What the client thinks it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// A response; its body is pulled while it is written.
#[derive(Debug)]
pub struct Response {
    pub head: ResponseHead,
    pub body: Body,
}

/// What a response says before its body.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// 101 also where a stream of HTTP/2 became what it was asked to.
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The version it came by.
    pub version: Version,
    /// What the connection has become, with status 101.
    pub upgrade: Option<HeaderValue>,
    /// How the upstream wrote the names of headers, where that is kept.
    pub spelling: Option<Arc<Spelling>>,
}

/// Where responses before the response go: 100, 103 and the like.
#[derive(Clone, Default)]
pub struct Interim(Option<Arc<dyn Inform>>);

/// Takes a response that is not the last.
pub trait Inform: Send + Sync {
    /// Passes on what fits before the response; never waits.
    fn inform(&self, head: ResponseHead);
}

impl Request {
    /// A request of our own.
    pub fn new(head: RequestHead, body: Body) -> Self {
        Self { head, body, interim: Interim::default() }
    }
}

impl RequestHead {
    /// A request of our own, without headers.
    pub fn new(method: Method, authority: Authority, path: PathAndQuery) -> Self {
        Self {
            method,
            scheme: Scheme::Http,
            authority: Some(authority),
            path: Some(path),
            headers: HeaderMap::new(),
            version: Version::HTTP_11,
            upgrade: None,
            spelling: None,
        }
    }

    /// Whether a success makes bytes both ways of the rest.
    pub fn is_tunnel(&self) -> bool {
        self.upgrade.is_some() || self.method == Method::CONNECT
    }
}

impl Scheme {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Response {
    pub fn new(status: StatusCode, body: Body) -> Self {
        Self { head: ResponseHead::new(status), body }
    }
}

impl ResponseHead {
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            version: Version::HTTP_11,
            upgrade: None,
            spelling: None,
        }
    }
}

impl Interim {
    pub fn new(to: Arc<dyn Inform>) -> Self {
        Self(Some(to))
    }

    /// Passes it on; nothing when nobody listens.
    pub fn send(&self, head: ResponseHead) {
        if let Some(to) = &self.0 {
            to.inform(head);
        }
    }
}

impl fmt::Debug for Interim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Interim" } else { "Interim(nobody)" })
    }
}
