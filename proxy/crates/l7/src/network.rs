//! Network filters: what happens with a connection's bytes.
//!
//! Each is asked once, in their order, whether the connection goes on; the last one takes it. As in
//! an Envoy, limits are asked when the connection begins, and access rules at its first byte: who
//! only connects is neither allowed nor denied. A proxy has dialled by then, and what the other side
//! says first waits for the rules as well.
//!
//! Reading order: `Filters`; `course` and `record` (what is told of a connection when it is over); those
//! that are asked at the beginning: `rate`, `limit`, `state`, `sni`; at the first byte: `opening`,
//! `rbac`; those that take connections: `http`, `tcp_proxy` with `relay` (bytes both ways), `echo`,
//! `answer`.
mod answer;
mod course;
mod echo;
pub mod http;
mod limit;
mod opening;
mod rate;
mod rbac;
pub(crate) mod record;
mod relay;
mod sni;
mod state;
mod tcp_proxy;

use crate::{connection::Connection, io::Io, listener::ahead::Ahead, shared::Shared};
pub(crate) use course::{Course, Over};
use culvert_model::http::listener::{FilterChain, NetworkFilter, NetworkFilterKind};
use culvert_runtime::{doors::Carries, drain::Worker};
use http::{Http, Managers};
use limit::Held;
use opening::opening;
pub(crate) use rate::Buckets;
pub(crate) use record::Record;
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};
use tokio::time;

/// A chain's.
pub(crate) struct Filters {
    /// When the connection begins.
    asked: Box<[Asked]>,
    /// At its first byte.
    rules: Box<[rbac::Rbac]>,
    last: Last,
    shared: Arc<Shared>,
}

/// Those that only say whether a connection goes on.
#[derive(Debug)]
enum Asked {
    Rate(rate::Rate),
    Limit(limit::Limit),
    State(state::State),
    Sni,
}

/// The one that takes the connection.
enum Last {
    Http {
        manager: Arc<dyn Http>,
        idle: Option<Duration>,
    },
    Tcp(Box<tcp_proxy::TcpProxy>),
    Echo,
    Answer(answer::Answer),
    /// There is none: the connection is closed.
    Nobody,
}

/// What filters are made with.
#[derive(Clone, Copy)]
pub(crate) struct Making<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    /// The engine's.
    pub(crate) worker: &'a Worker,
    pub(crate) managers: &'a Managers,
    pub(crate) buckets: &'a Buckets,
}

/// Why a connection goes no further.
#[derive(Debug, Default)]
struct Denied {
    /// It is held so long before it is closed.
    delay: Option<Duration>,
    record: Box<Record>,
}

impl Filters {
    /// # Errors
    ///
    /// When one asks for what there is not: a sentence for people.
    pub(crate) fn try_new(chain: &FilterChain, making: &Making<'_>) -> Result<Self, String> {
        let (mut asked, mut rules) = (Vec::new(), Vec::new());
        let mut last = None;
        for filter in &*chain.filters {
            if last.is_some() {
                let name = &filter.name;
                return Err(format!("filter {name}: the one before it takes all connections"));
            }
            match Kind::new(filter, making) {
                Kind::Asked(filter) => asked.push(filter),
                Kind::Rules(filter) => rules.push(filter),
                Kind::Last(filter) => last = Some(filter),
                Kind::Ignored => {}
            }
        }
        let shared = Arc::clone(making.shared);
        let last = last.unwrap_or(Last::Nobody);
        Ok(Self { asked: asked.into(), rules: rules.into(), last, shared })
    }

    /// What becomes of the bytes of its connections.
    pub(crate) const fn carries(&self) -> Carries {
        match self.last {
            Last::Http { .. } => Carries::Requests,
            Last::Tcp(_) | Last::Echo | Last::Answer(_) | Last::Nobody => Carries::Bytes,
        }
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve(&self, course: &mut Course<'_>, io: Io) {
        let held = match self.ask(course.change()) {
            Ok(held) => held,
            Err(denied) => return self.denied(course, *denied.wait().await),
        };
        if let Last::Tcp(proxy) = &self.last {
            Box::pin(proxy.serve(course, io, &self.rules)).await;
        } else {
            match self.open(course.change(), io).await {
                Ok(io) => self.last.serve(course, io).await,
                Err(record) => course.record = *record,
            }
        }
        course.end();
        drop(held);
    }

    /// What a connection has in hand while it lasts; the error is why it goes no further.
    fn ask(&self, connection: &mut Connection) -> Result<Vec<Held>, Denied> {
        let mut held = Vec::new();
        for filter in &self.asked {
            match filter {
                Asked::Rate(rate) => rate.ask(&self.shared)?,
                Asked::Limit(limit) => held.extend(limit.ask(&self.shared)?),
                Asked::State(state) => state.set(connection, &self.shared),
                Asked::Sni => sni::set(connection),
            }
        }
        Ok(held)
    }

    /// Asks the rules, once there is something to ask about; the error is what is told of a
    /// connection that goes no further.
    async fn open(&self, connection: &mut Connection, io: Io) -> Result<Io, Box<Record>> {
        if self.rules.is_empty() {
            return Ok(io);
        }
        let mut ahead = match &self.last {
            // Its client has nothing to say first.
            Last::Answer(_) => Ahead::new(io),
            Last::Http { idle, .. } => opened(opening(io, connection, *idle).await)?,
            Last::Tcp(_) | Last::Echo | Last::Nobody => {
                opened(opening(io, connection, None).await)?
            }
        };
        match rbac::ask(&self.rules, connection) {
            Ok(()) => Ok(ahead.into_io()),
            Err(denied) => {
                // Unread, what was said would make our end a reset.
                let _gone = ahead.skip(ahead.bytes().len());
                Err(denied.wait().await)
            }
        }
    }

    /// A connection that is over before it came to the last filter; a proxy counts it all the same.
    pub(crate) fn denied(&self, course: &mut Course<'_>, record: Record) {
        course.record = record;
        course.end();
        if let Last::Tcp(proxy) = &self.last {
            proxy.end(course);
        }
    }
}

fn opened(ahead: Option<Ahead>) -> Result<Ahead, Box<Record>> {
    ahead.ok_or_else(|| Box::new(Record { seen: record::Seen::RemoteReset, ..Record::default() }))
}

impl Last {
    async fn serve(&self, course: &mut Course<'_>, io: Io) {
        match self {
            Self::Http { manager, .. } => manager.serve(io, Arc::clone(course.connection())).await,
            Self::Echo => echo::serve(io, &mut course.record).await,
            Self::Answer(answer) => answer.serve(io, &mut course.record).await,
            Self::Nobody | Self::Tcp(_) => course.record.closed = Some("no_filters".into()),
        }
    }
}

enum Kind {
    Asked(Asked),
    Rules(rbac::Rbac),
    Last(Last),
    Ignored,
}

impl Kind {
    fn new(filter: &NetworkFilter, making: &Making<'_>) -> Self {
        let Making { shared, managers, buckets, .. } = making;
        let stats = &shared.stats;
        match &filter.kind {
            NetworkFilterKind::HttpManager(config) => Self::Last(Last::Http {
                manager: managers(config),
                idle: config.common.idle_timeout,
            }),
            NetworkFilterKind::TcpProxy(config) => {
                Self::Last(Last::Tcp(Box::new(tcp_proxy::TcpProxy::new(config, shared))))
            }
            NetworkFilterKind::Rbac(config) => Self::Rules(rbac::Rbac::new(config, stats)),
            NetworkFilterKind::LocalRateLimit(config) => {
                Self::Asked(Asked::Rate(rate::Rate::new(config, stats, buckets)))
            }
            NetworkFilterKind::ConnectionLimit(config) => {
                Self::Asked(Asked::Limit(limit::Limit::new(config, stats)))
            }
            NetworkFilterKind::SetFilterState(values) => {
                Self::Asked(Asked::State(state::State::new(values)))
            }
            NetworkFilterKind::Echo => Self::Last(Last::Echo),
            NetworkFilterKind::DirectResponse(bytes) => {
                Self::Last(Last::Answer(answer::Answer::new(bytes)))
            }
            NetworkFilterKind::SniCluster => Self::Asked(Asked::Sni),
            NetworkFilterKind::Ignored => Self::Ignored,
        }
    }
}

impl Denied {
    fn closed(reason: &'static str) -> Self {
        let record = Record { closed: Some(Cow::Borrowed(reason)), ..Record::default() };
        Self { delay: None, record: Box::new(record) }
    }

    /// What is told of the connection, once it may be closed.
    async fn wait(self) -> Box<Record> {
        if let Some(delay) = self.delay {
            time::sleep(delay).await;
        }
        self.record
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filters")
            .field("asked", &self.asked)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
