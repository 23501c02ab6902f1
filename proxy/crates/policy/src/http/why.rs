//! The answer to "what becomes of this request, and by which rule?", for one engine: the way that
//! its listeners, managers and filters take, told for people.
//!
//! Each step asks what the engine asks, in its order. What only a running engine knows (how busy
//! endpoints are, how many requests a bucket has left) is not foretold: it is said that it counts.
//!
//! Reading order: [`Request`], [`Engine`] (what is asked, and of whom), [`Side`] (the answer);
//! `arrive`, `filters`, `router` (the stages of a request), [`endpoints`], `text`.
use super::{
    chain,
    directory::Directory,
    facts::{Connection, FilterState},
    tree::Seen,
};
use crate::why::Answer;
use culvert_model::http::{
    listener::{Direction, FilterChain, Listener, ListenerFilterKind, NetworkFilterKind},
    manager::{Manager, Routes},
    route::{RouteTable, VirtualHost},
    snapshot::Snapshot,
    value::Metadata,
};
use http::StatusCode;
use std::{fmt, sync::Arc};

mod arrive;

pub mod endpoints;

mod filters;

mod request;

mod router;

mod text;

pub use {
    endpoints::{Endpoint, Endpoints, Said},
    filters::{Asked, Does, Filtered},
    request::{NotARequest, Request},
    router::{Outcome, Sent, Share, Tries},
};

/// What an engine runs with at a moment.
pub struct Engine {
    /// What its listeners are, which may still be another thing than is wanted of them.
    pub listeners: Directory<Arc<Listener>>,
    pub snapshot: Snapshot,
    pub endpoints: Arc<dyn Endpoints>,
}

/// What one engine does with a request, and why.
#[derive(Clone, Debug)]
pub struct Side {
    pub listener: Option<Arc<Listener>>,
    pub chain: Option<Arc<FilterChain>>,
    /// Rules that are asked of the connection, before any request.
    pub connection: Vec<Filtered>,
    pub takes: Takes,
}

/// Who takes the connection.
#[derive(Clone, Debug)]
pub enum Takes {
    /// Nobody: there is no listener, none of its chains is for it, or it has no filter that takes it.
    Nobody,
    /// It is passed on unread.
    Bytes,
    Requests(Box<Passage>),
}

/// The way of a request through a manager.
#[derive(Clone, Debug)]
pub struct Passage {
    /// `None`: it has not come yet.
    pub table: Option<Arc<RouteTable>>,
    /// `None`: none is for the request's host.
    pub host: Option<Arc<VirtualHost>>,
    /// Every route that was looked at.
    pub routes: Vec<Looked>,
    /// In their order, as far as it came; those that had nothing to say are left out.
    pub filters: Vec<Filtered>,
    pub outcome: Outcome,
}

/// A route that was looked at.
#[derive(Clone, Debug)]
pub struct Looked {
    pub route: Arc<culvert_model::http::route::Route>,
    /// Its place in the virtual host.
    pub at: usize,
    /// Why it was passed over; `None`: it is taken.
    pub because: Option<String>,
}

impl Engine {
    /// One that runs with all of a snapshot.
    #[must_use]
    pub fn of(snapshot: Snapshot) -> Self {
        let mut all: Vec<_> = snapshot.listeners().iter().collect();
        all.sort_by_key(|(name, _)| Arc::clone(name));
        let mut listeners = Directory::default();
        for (_, resource) in all {
            listeners.add(&resource.value, &resource.value);
        }
        let endpoints = Arc::new(Said(snapshot.clone()));
        Self { listeners, snapshot, endpoints }
    }

    /// What becomes of a request by a connection that is handed over, in plain text.
    #[must_use]
    pub fn why(&self, connection: Connection, direction: Direction, request: &Request) -> Side {
        let found = connection.local.and_then(|local| self.listeners.find(local, direction));
        let Some(listener) = found else { return Side::nobody(None, None) };
        let connection = seen(listener, connection);
        let meant = connection.restored().filter(|_| listener.use_original_dst);
        let other = meant.and_then(|at| self.listeners.find(at, Direction::Unspecified));
        let listener = other.unwrap_or(listener);
        let chain = chain::find(&listener.chains, &connection);
        let Some(chain) = chain.or(listener.default_chain.as_ref()) else {
            return Side::nobody(Some(listener), None);
        };
        let mut side = Side::nobody(Some(listener), Some(chain));
        for filter in chain.filters.iter() {
            match &filter.kind {
                NetworkFilterKind::Rbac(config) => {
                    let state = FilterState::default();
                    let seen =
                        Seen { connection: &connection, state: &state, asking: None, answer: None };
                    let asked = filters::rules(&filter.name, &config.rbac, &seen, &chain.metadata);
                    side.connection.extend(asked);
                }
                NetworkFilterKind::HttpManager(manager) => {
                    let passage = self.passage(manager, &connection, chain, request);
                    side.takes = Takes::Requests(Box::new(passage));
                }
                NetworkFilterKind::TcpProxy(_)
                | NetworkFilterKind::Echo
                | NetworkFilterKind::DirectResponse(_) => side.takes = Takes::Bytes,
                NetworkFilterKind::LocalRateLimit(_) | NetworkFilterKind::ConnectionLimit(_) => {
                    let name = Arc::clone(&filter.name);
                    side.connection
                        .push(Filtered { name, does: Does::Untold("limits connections") });
                }
                NetworkFilterKind::SetFilterState(_)
                | NetworkFilterKind::SniCluster
                | NetworkFilterKind::Ignored => {}
            }
        }
        side
    }

    fn passage(
        &self,
        manager: &Manager,
        connection: &Connection,
        chain: &Arc<FilterChain>,
        request: &Request,
    ) -> Passage {
        let table = match &manager.routes {
            Routes::Here(table) => Some(table),
            Routes::Discovered { name, .. } => self.snapshot.routes().value(name),
        };
        let course = Course { engine: self, manager, table, origins: &chain.metadata };
        arrive::passage(&course, connection, request)
    }
}

/// Where a request is.
#[derive(Clone, Copy)]
struct Course<'a> {
    engine: &'a Engine,
    manager: &'a Manager,
    /// `None`: it has not come yet.
    table: Option<&'a Arc<RouteTable>>,
    /// Where the rules of policies were written.
    origins: &'a Metadata,
}

/// What listener filters find out of a request in plain text.
fn seen(listener: &Listener, mut connection: Connection) -> Connection {
    if connection.transport.is_empty() {
        connection.transport = "raw_buffer";
    }
    let inspects = |kind: &ListenerFilterKind| matches!(kind, ListenerFilterKind::HttpInspector);
    if listener.filters.iter().any(|filter| inspects(&filter.kind)) {
        connection.protocols = ["http/1.1".into()].into();
    }
    connection
}

impl Side {
    fn nobody(listener: Option<&Arc<Listener>>, chain: Option<&Arc<FilterChain>>) -> Self {
        Self {
            listener: listener.cloned(),
            chain: chain.cloned(),
            connection: Vec::new(),
            takes: Takes::Nobody,
        }
    }

    /// Whether the request comes through.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let taken = match &self.takes {
            Takes::Nobody => Answer::Denied,
            Takes::Bytes => Answer::Permitted,
            Takes::Requests(passage) => passage.answer(),
        };
        self.connection.iter().fold(taken, |answer, filter| worse(answer, filter.answer()))
    }

    /// The way of the request, if it is taken for one.
    #[must_use]
    pub fn passage(&self) -> Option<&Passage> {
        match &self.takes {
            Takes::Requests(passage) => Some(passage),
            Takes::Nobody | Takes::Bytes => None,
        }
    }

    /// Where it is sent on to.
    #[must_use]
    pub fn sent(&self) -> Option<&Sent> {
        match &self.passage()?.outcome {
            Outcome::Sent(sent) => Some(sent),
            Outcome::Refused { .. } | Outcome::Stopped { .. } | Outcome::Answered { .. } => None,
        }
    }
}

impl Passage {
    #[must_use]
    pub fn answer(&self) -> Answer {
        let outcome = self.outcome.answer();
        self.filters.iter().fold(outcome, |answer, filter| worse(answer, filter.answer()))
    }

    /// The route that is taken.
    #[must_use]
    pub fn taken(&self) -> Option<&Looked> {
        self.routes.last().filter(|looked| looked.because.is_none())
    }

    /// The status that somebody here answers with, unless it is sent on.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match &self.outcome {
            Outcome::Refused { status, .. }
            | Outcome::Stopped { status }
            | Outcome::Answered { status, .. } => Some(*status),
            Outcome::Sent(_) => None,
        }
    }
}

/// What both say: who denies counts most, then who says that it depends.
pub fn worse(one: Answer, other: Answer) -> Answer {
    match (one, other) {
        (Answer::Denied, _) | (_, Answer::Denied) => Answer::Denied,
        (Answer::Depends, _) | (_, Answer::Depends) => Answer::Depends,
        (Answer::Permitted, Answer::Permitted) => Answer::Permitted,
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("generation", &self.snapshot.generation)
            .finish_non_exhaustive()
    }
}
