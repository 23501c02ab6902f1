//! Which requests a rule is for.
use super::Clients;
use std::{num::NonZeroU16, sync::Arc};

/// All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMatch {
    pub name: Option<Arc<str>>,
    pub path: PathMatch,
    pub ignore_path_case: bool,
    pub method: Option<Text>,
    pub scheme: Option<Text>,
    pub authority: Option<Text>,
    pub headers: Vec<HeaderMatch>,
    pub query: Vec<QueryMatch>,
    /// The port that the client asked for.
    pub port: Option<NonZeroU16>,
    /// Who asks.
    pub clients: Clients,
}

impl HttpMatch {
    /// Whether every request of some clients is like it.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        let path = match &self.path {
            PathMatch::Any => true,
            PathMatch::Prefix(path) | PathMatch::Segments(path) => &**path == "/",
            PathMatch::Regex(path) => &**path == ".*",
            PathMatch::Exact(_) => false,
        };
        let nothing = Self {
            name: self.name.clone(),
            path: self.path.clone(),
            ignore_path_case: self.ignore_path_case,
            clients: self.clients.clone(),
            ..Self::default()
        };
        path && *self == nothing
    }
}

/// The path, without the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathMatch {
    #[default]
    Any,
    Exact(Arc<str>),
    /// Letter by letter (Istio).
    Prefix(Arc<str>),
    /// Segment by segment (Gateway API): `/a` is for `/a` and `/a/b`, not for `/ab`.
    Segments(Arc<str>),
    /// All of it.
    Regex(Arc<str>),
}

/// What a text is compared with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Text {
    Exact(Arc<str>),
    Prefix(Arc<str>),
    /// All of it.
    Regex(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// In any case.
    pub name: Arc<str>,
    pub wanted: Wanted,
    /// It must not be so; a header that is not there is not so.
    pub not: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    pub name: Arc<str>,
    pub wanted: Wanted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Present,
    Text(Text),
}
