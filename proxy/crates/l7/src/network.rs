//! Network filters: what happens with a connection's bytes.
//!
//! Each is asked once, in their order, whether the connection goes on; the last one takes it.
//!
//! Reading order: `Filters`; `record` (what is told of a connection when it is over); those
//! that are asked: `rbac`, `rate`, `limit`, `state`, `sni` ; those that take connections:
//! `http`, `tcp_proxy` with `relay` (bytes both ways), `echo`, `answer`.
mod answer;
mod echo;
pub mod http;
mod limit;
mod rate;
mod rbac;
pub(crate) mod record;
mod relay;
mod sni;
mod state;
mod tcp_proxy;

use crate::{connection::Connection, io::Io, shared::Shared};
use culvert_model::http::listener::{FilterChain, NetworkFilter, NetworkFilterKind};
use culvert_runtime::drain::Worker;
use http::{Http, Managers};
use limit::Held;
pub(crate) use rate::Buckets;
pub(crate) use record::Record;
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};
use tokio::time;

/// A chain's.
pub(crate) struct Filters {
    asked: Box<[Asked]>,
    last: Last,
    shared: Arc<Shared>,
}

/// Those that only say whether a connection goes on.
#[derive(Debug)]
enum Asked {
    Rbac(rbac::Rbac),
    Rate(rate::Rate),
    Limit(limit::Limit),
    State(state::State),
    Sni,
}

/// The one that takes the connection.
enum Last {
    Http(Arc<dyn Http>),
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

/// A connection that is over.
pub(crate) struct Served {
    pub(crate) connection: Arc<Connection>,
    pub(crate) record: Record,
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
        let mut asked = Vec::new();
        let mut last = None;
        for filter in &*chain.filters {
            if last.is_some() {
                let name = &filter.name;
                return Err(format!("filter {name}: the one before it takes all connections"));
            }
            match Kind::new(filter, making) {
                Kind::Asked(filter) => asked.push(filter),
                Kind::Last(filter) => last = Some(filter),
                Kind::Ignored => {}
            }
        }
        let shared = Arc::clone(making.shared);
        Ok(Self { asked: asked.into(), last: last.unwrap_or(Last::Nobody), shared })
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve(&self, mut connection: Connection, io: Io) -> Served {
        let held = match self.ask(&mut connection) {
            Ok(held) => held,
            Err(Denied { delay, record }) => {
                if let Some(delay) = delay {
                    time::sleep(delay).await;
                }
                return self.denied(connection, *record);
            }
        };
        let connection = Arc::new(connection);
        let mut record = Record::default();
        match &self.last {
            Last::Http(manager) => manager.serve(io, Arc::clone(&connection)).await,
            Last::Tcp(proxy) => Box::pin(proxy.serve(&connection, io, &mut record)).await,
            Last::Echo => echo::serve(io, &mut record).await,
            Last::Answer(answer) => answer.serve(io, &mut record).await,
            Last::Nobody => record.closed = Some("no_filters".into()),
        }
        drop(held);
        Served { connection, record }
    }

    /// What a connection has in hand while it lasts; the error is why it goes no further.
    fn ask(&self, connection: &mut Connection) -> Result<Vec<Held>, Denied> {
        let mut held = Vec::new();
        for filter in &self.asked {
            match filter {
                Asked::Rbac(rbac) => rbac.ask(connection)?,
                Asked::Rate(rate) => rate.ask(&self.shared)?,
                Asked::Limit(limit) => held.extend(limit.ask(&self.shared)?),
                Asked::State(state) => state.set(connection, &self.shared),
                Asked::Sni => sni::set(connection),
            }
        }
        Ok(held)
    }

    /// A connection that is over before it came to the last filter; a proxy counts it all the same.
    pub(crate) fn denied(&self, connection: Connection, mut record: Record) -> Served {
        if let Last::Tcp(proxy) = &self.last {
            proxy.end(&connection, &mut record);
        }
        Served { connection: Arc::new(connection), record }
    }
}

enum Kind {
    Asked(Asked),
    Last(Last),
    Ignored,
}

impl Kind {
    fn new(filter: &NetworkFilter, making: &Making<'_>) -> Self {
        let Making { shared, managers, buckets, .. } = making;
        let stats = &shared.stats;
        match &filter.kind {
            NetworkFilterKind::HttpManager(config) => Self::Last(Last::Http(managers(config))),
            NetworkFilterKind::TcpProxy(config) => {
                Self::Last(Last::Tcp(Box::new(tcp_proxy::TcpProxy::new(config, shared))))
            }
            NetworkFilterKind::Rbac(config) => {
                Self::Asked(Asked::Rbac(rbac::Rbac::new(config, stats)))
            }
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
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filters").field("asked", &self.asked).finish_non_exhaustive()
    }
}
