//! What becomes of a request.
use super::{
    At, Fraction,
    forward::Forward,
    matching::{HttpMatch, Text},
};
use std::{num::NonZeroU16, sync::Arc, time::Duration};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    pub at: At,
    /// Whatever its author calls it.
    pub name: Option<Arc<str>>,
    /// Any of them must hold; none: it is for every request.
    pub matches: Vec<HttpMatch>,
    pub action: Action,
    pub request: HeaderOps,
    pub response: HeaderOps,
    pub fault: Option<Fault>,
    pub cors: Option<Cors>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Forward(Box<Forward>),
    Redirect(Redirect),
    Direct(Direct),
}

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    pub scheme: Option<Arc<str>>,
    pub host: Option<Arc<str>>,
    pub port: RedirectPort,
    pub path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308; others become 302.
    pub code: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectPort {
    /// As the request has it, unless the scheme changes.
    #[default]
    Unchanged,
    Number(NonZeroU16),
}

/// An answer without anybody behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// 200 to 599; others become 500.
    pub status: u16,
    pub body: Option<Arc<[u8]>>,
}

/// What becomes of a path; the query stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    Full(Arc<str>),
    /// In place of the prefix that matched; of an exact match, of the whole path.
    Prefix(Arc<str>),
    Regex {
        pattern: Arc<str>,
        substitution: Arc<str>,
    },
}

/// What is done to headers: removed, set, added, in this order.
///
/// Values are in Envoy's format, in which a `%` is written `%%`; one that cannot be read as such
/// is taken for what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOps {
    pub remove: Vec<Arc<str>>,
    /// In place of what is there.
    pub set: Vec<(Arc<str>, Arc<str>)>,
    /// Beside what is there.
    pub add: Vec<(Arc<str>, Arc<str>)>,
}

/// What goes wrong on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub delay: Option<(Duration, Fraction)>,
    pub abort: Option<(Abort, Fraction)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    Http(u16),
    /// A status of gRPC by its number.
    Grpc(u32),
}

/// What browsers are told of other sites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    pub origins: Vec<Text>,
    pub methods: Vec<Arc<str>>,
    pub headers: Vec<Arc<str>>,
    pub expose: Vec<Arc<str>>,
    pub max_age: Option<Duration>,
    pub credentials: bool,
    /// Preflight requests of other origins go on.
    pub forward_others: bool,
}

impl HeaderOps {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// A value that means what it says.
    #[must_use]
    pub fn literal(value: &str) -> Arc<str> {
        value.replace('%', "%%").into()
    }
}
