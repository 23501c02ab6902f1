//! What decides, of a request, where among a ring's endpoints it belongs.
use std::{sync::Arc, time::Duration};

use crate::http::{field::Field, matcher::Substitution};

/// `HashPolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct HashPolicy {
    pub on: HashOn,
    /// Once a hash is there, the policies after a terminal one are not asked.
    pub terminal: bool,
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq)]
pub enum HashOn {
    /// All values of a header, each rewritten.
    Header {
        name: Field,
        rewrite: Option<Substitution>,
    },
    Cookie(Cookie),
    /// `connection_properties.source_ip`.
    SourceIp,
    Query(Arc<str>),
    /// The string of a filter state.
    FilterState(Arc<str>),
}

/// A cookie; with a life of its own, one is made for requests that come without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: Arc<str>,
    /// `Some(ZERO)`: until the browser is closed.
    pub ttl: Option<Duration>,
    /// Empty: not said.
    pub path: Arc<str>,
    pub attributes: Box<[CookieAttribute]>,
}

/// Something that is said of a cookie that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieAttribute {
    pub name: Arc<str>,
    /// Empty: only the name is written.
    pub value: Arc<str>,
}
