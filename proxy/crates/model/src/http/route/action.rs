//! What becomes of a request that a route matches.
use std::sync::Arc;

use http::StatusCode;

use super::Forward;
use crate::http::{format::Format, matcher::Substitution};

/// What a route does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `route`: to a cluster.
    Forward(Box<Forward>),
    Redirect(Box<Redirect>),
    /// `direct_response`.
    Direct(Box<Direct>),
    /// `non_forwarding_action`: for filters that answer themselves; nothing is behind it.
    NonForwarding,
}

/// `RedirectAction`: an answer with another place.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    pub code: RedirectCode,
    pub scheme: Option<RedirectScheme>,
    /// `host_redirect`.
    pub host: Option<Arc<str>>,
    /// `port_redirect`; never zero.
    pub port: Option<u16>,
    pub path: RedirectPath,
    pub strip_query: bool,
}

/// Which scheme a redirect names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectScheme {
    /// `https_redirect`.
    Https,
    Named(Arc<str>),
}

/// What a redirect makes of the path.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RedirectPath {
    #[default]
    Keep,
    /// `path_redirect`; with a query of its own it replaces the request's.
    Replace(Arc<str>),
    /// `prefix_rewrite`: what the route matched, replaced.
    Prefix(Arc<str>),
    Regex(Substitution),
}

/// Which status a redirect has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectCode {
    #[default]
    MovedPermanently,
    Found,
    SeeOther,
    Temporary,
    Permanent,
}

/// `DirectResponseAction`.
#[derive(Clone, Debug, PartialEq)]
pub struct Direct {
    pub status: StatusCode,
    pub body: Arc<[u8]>,
    /// `body_format`: the body passes through it.
    pub format: Option<Format>,
}

impl RedirectCode {
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
            Self::Found => StatusCode::FOUND,
            Self::SeeOther => StatusCode::SEE_OTHER,
            Self::Temporary => StatusCode::TEMPORARY_REDIRECT,
            Self::Permanent => StatusCode::PERMANENT_REDIRECT,
        }
    }
}
