//! A connection's way to its filter chain.
use super::{Active, ahead::Ahead, filters::Stopped};
use crate::{
    chain::Chain,
    connection::Connection,
    guarded::guarded,
    io::Io,
    network::{
        Course, Over, Record,
        record::{self, Line},
    },
    share::Share,
    stats::Raised,
};
use culvert_policy::http::{
    chance,
    facts::{self, FilterState},
    flags::Flag,
};
use culvert_runtime::drain::Worker;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};

/// A connection that has come.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) io: Io,
    pub(crate) facts: facts::Connection,
}

/// Finds another listener, for connections that were redirected.
pub(crate) trait Others: Send + Sync {
    fn at(&self, address: SocketAddr) -> Option<Arc<Active>>;
}

/// What a connection has as long as it lasts.
struct Held {
    _share: Share,
    _active: Raised,
}

impl Over for Active {
    fn over(&self, connection: &Connection, record: &Record) {
        let milliseconds = connection.began.elapsed().as_millis();
        self.counts.length.record(u64::try_from(milliseconds).unwrap_or(u64::MAX));
        self.counts.ended.inc();
        self.log(connection, record);
    }
}

impl Arrival {
    /// One from a socket of our own.
    pub(crate) fn accepted(tcp: TcpStream, source: SocketAddr) -> Self {
        // What cannot be set makes it slower, no more.
        let _slow = tcp.set_nodelay(true);
        let plain = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
        let (source, local) = (Some(plain(source)), tcp.local_addr().ok().map(plain));
        let facts = facts::Connection {
            remote: source,
            source,
            direct_remote: source,
            local,
            direct_local: local,
            ..facts::Connection::default()
        };
        Self { io: tcp.into(), facts }
    }

    /// One from a file.
    pub(crate) fn unnamed(io: Io) -> Self {
        Self { io, facts: facts::Connection::default() }
    }
}

impl Active {
    /// Leads a connection to its chain, whose task takes it.
    pub(crate) async fn arrive(
        self: Arc<Self>,
        arrival: Arrival,
        worker: Worker,
        others: &dyn Others,
    ) {
        let Some(share) = self.admit() else { return };
        let mut connection = self.connection(arrival.facts, worker);
        let mut io = arrival.io;
        if !self.filters.is_empty() {
            let early = self.counts.early.raise();
            let mut ahead = Ahead::new(io);
            if let Err(record) = self.look(&mut connection, &mut ahead).await {
                return self.log(&connection, &record);
            }
            io = ahead.into_io();
            drop(early);
        }
        let this = self.meant(&mut connection, others);
        let Some(chain) = this.chain(&connection.facts).map(Arc::clone) else {
            this.counts.nowhere.inc();
            let mut record =
                Record { details: Some("filter_chain_not_found"), ..Record::default() };
            record.flags.set(Flag::NoRouteFound);
            return this.log(&connection, &record);
        };
        connection.chain = Arc::clone(&chain.config);
        connection.worker = chain.worker().clone();
        this.counts.total.inc();
        let held = Held { _share: share, _active: this.counts.active.raise() };
        let worker = chain.worker().clone();
        worker.spawn(this.serve(chain, connection, io, held));
    }

    /// `None`: there are too many.
    fn admit(&self) -> Option<Share> {
        let Some(share) = self.shared.budgets.connections.take() else {
            self.counts.beyond_all.inc();
            return None;
        };
        let limit =
            self.shared.snapshot.look(|now| chance::number(&self.limit, now.value.runtime()));
        if limit <= self.counts.active.value() {
            self.counts.beyond.inc();
            return None;
        }
        Some(share)
    }

    fn connection(&self, mut facts: facts::Connection, worker: Worker) -> Connection {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if facts.transport.is_empty() {
            facts.transport = "raw_buffer";
        }
        Connection {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            facts,
            listener: Arc::clone(&self.config),
            chain: Arc::clone(&self.nowhere),
            stats: self.stats.clone(),
            began: Instant::now(),
            started: SystemTime::now(),
            handshake: None,
            metadata: culvert_model::http::value::Metadata::default(),
            state: FilterState::default(),
            worker,
        }
    }

    async fn look(&self, connection: &mut Connection, ahead: &mut Ahead) -> Result<(), Record> {
        let looking = self.filters.look(connection, ahead, &self.shared);
        let looked = match self.config.filters_timeout {
            None => looking.await,
            Some(most) => match time::timeout(most, looking).await {
                Ok(looked) => looked,
                Err(_) => {
                    self.counts.early_timeout.inc();
                    if self.config.continue_on_filters_timeout {
                        return Ok(());
                    }
                    return Err(Record::default());
                }
            },
        };
        looked.map_err(|stopped| {
            tracing::debug!(listener = %self.config.name, %stopped, "connection goes no further");
            match stopped {
                Stopped::Left => self.counts.left.inc(),
                Stopped::Broken(_) => self.counts.filter_error.inc(),
                Stopped::Refused(_) => {}
            }
            Record::default()
        })
    }

    /// The listener of the address that a redirected connection meant.
    fn meant(self: &Arc<Self>, connection: &mut Connection, others: &dyn Others) -> Arc<Self> {
        let facts = &connection.facts;
        let meant = facts.restored().filter(|_| self.config.use_original_dst);
        let other = meant.and_then(|local| others.at(local));
        let Some(other) = other else { return Arc::clone(self) };
        connection.listener = Arc::clone(&other.config);
        connection.stats = other.stats.clone();
        other
    }

    async fn serve(self: Arc<Self>, chain: Arc<Chain>, connection: Connection, io: Io, held: Held) {
        let served = async {
            let mut course = Course::new(connection, &*self);
            chain.serve(&mut course, io).await;
        };
        let _panicked = guarded(&self.shared, "a connection", served).await;
        drop(held);
    }

    /// Writes down that a connection is over.
    fn log(&self, connection: &Connection, record: &Record) {
        let line = Line::new(connection, record, &self.shared, "NotSet");
        record::write(&self.logs, &line);
    }
}
