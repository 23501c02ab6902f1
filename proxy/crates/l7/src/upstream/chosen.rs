//! An endpoint that a request or a connection has for itself.
use super::{
    cluster::Upstream,
    host::{Busy, Host, Place},
    pools::Key,
};
use crate::{
    dial::{Dial as _, DialError, Dialled},
    forward::{self, Expired},
    io::Io,
    link::{Learns, Link},
    message::ResponseHead,
    outcome::Reset,
    pool::{Numbers, Pool, Speaks},
    share::Share,
};
use culvert_model::{
    http::{cluster::Cluster, endpoint::Endpoint, value::Metadata},
    locality::Locality,
};
use culvert_policy::http::{grpc, outlier::Ending};
use http::{HeaderMap, StatusCode, header};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::time::{self, Instant};

/// An endpoint for a request; counts as busy until it is dropped.
pub struct Chosen {
    upstream: Arc<Upstream>,
    busy: Busy,
    pool: Arc<Pool>,
    /// How it went is said behind the body.
    waits: AtomicBool,
    /// Told by which connection the request goes, if somebody asks.
    learns: Option<Arc<Learns>>,
}

/// An endpoint for a connection of no HTTP.
pub struct Raw {
    upstream: Arc<Upstream>,
    busy: Busy,
    key: Key,
}

/// A connection of no HTTP.
#[derive(Debug)]
pub struct Connected {
    pub io: Io,
    pub link: Link,
    /// The endpoint is busy, and the connection counted, while this is held.
    pub held: Held,
}

/// Lets go of an endpoint when dropped.
#[derive(Debug)]
pub struct Held {
    busy: Busy,
    closes: bool,
    _connection: Share,
    _counted: Counted,
}

/// A connection, as it is counted.
#[derive(Debug)]
struct Counted {
    numbers: Arc<Numbers>,
    began: Instant,
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoConnection {
    #[error("too many connections (max_connections)")]
    Overflow,
    #[error("connection timeout")]
    Timeout,
    #[error(transparent)]
    Dial(#[from] DialError),
}

/// What there is to say of an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Of an aggregate, the one that has the endpoint.
    pub cluster: &'a Arc<Cluster>,
    pub host: &'a Arc<Host>,
    pub endpoint: &'a Arc<Endpoint>,
    pub locality: &'a Locality,
    /// The locality's.
    pub metadata: &'a Metadata,
    pub priority: u32,
    pub is_secure: bool,
}

impl Chosen {
    pub(super) fn new(upstream: Arc<Upstream>, place: Arc<Place>, key: Key) -> Self {
        let pool = place.pools.pool(key);
        upstream.traffic().active.add(1);
        let waits = AtomicBool::new(false);
        Self { upstream, busy: Busy::new(place), pool, waits, learns: None }
    }

    pub fn facts(&self) -> Facts<'_> {
        facts(&self.upstream, &self.busy.0)
    }

    /// Somebody asks by which connection the request goes.
    pub(crate) fn tell(&mut self, learns: Arc<Learns>) {
        self.learns = Some(learns);
    }

    /// It answered, with this or what comes to it.
    fn said(&self, status: u16) {
        let host = &self.busy.0.host;
        let counter = if status < 500 { &host.succeeded } else { &host.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.ended(&[Ending::Connected, Ending::Answer(status)]);
    }

    fn ended(&self, endings: &[Ending]) {
        self.upstream.ended(&self.busy.0.host, endings);
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.upstream.traffic().active.sub(1);
    }
}

impl forward::Chosen for Chosen {
    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn goes_by(&self, link: &Arc<Link>) {
        if let Some(learns) = &self.learns {
            learns.by(link);
        }
    }

    fn answered(&self, head: &ResponseHead) {
        self.upstream.checks().answered(&self.busy.0.host, &head.headers);
        let status = match grpc::status(&head.headers) {
            Some(status) if head.status == StatusCode::OK => grpc::to_http(status),
            // Only its trailers say how the call went.
            None if head.status == StatusCode::OK && is_grpc(&head.headers) => {
                return self.waits.store(true, Ordering::Relaxed);
            }
            _ => head.status.as_u16(),
        };
        self.said(status);
    }

    fn finished(&self, trailers: Option<&HeaderMap>) {
        if self.waits.swap(false, Ordering::Relaxed) {
            self.said(trailers.and_then(grpc::status).map_or(200, grpc::to_http));
        }
    }

    fn expired(&self, expired: Expired) {
        if expired == Expired::Whole {
            self.upstream.traffic().timeout.inc();
        }
    }

    fn failed(&self, reset: Option<Reset>) {
        let ending = match reset {
            None => Ending::Timeout,
            Some(Reset::ConnectionFailure | Reset::ConnectionTimeout) => Ending::NotConnected,
            Some(
                Reset::ConnectionTermination
                | Reset::RemoteReset
                | Reset::RefusedStream
                | Reset::ProtocolError,
            ) => Ending::Reset,
            // Nothing of the endpoint's doing.
            Some(Reset::LocalReset | Reset::Overflow) => return,
        };
        self.busy.0.host.failed.fetch_add(1, Ordering::Relaxed);
        self.ended(&[ending]);
    }
}

impl Raw {
    pub(super) fn new(upstream: Arc<Upstream>, place: Arc<Place>, key: Key) -> Self {
        Self { upstream, busy: Busy::new(place), key }
    }

    pub fn facts(&self) -> Facts<'_> {
        facts(&self.upstream, &self.busy.0)
    }

    /// Opens the connection.
    ///
    /// # Errors
    ///
    /// When there is none, in time.
    pub async fn connect(self) -> Result<Connected, NoConnection> {
        self.open(None).await
    }

    /// Opens the connection for somebody who speaks HTTP over it, as the cluster has it.
    ///
    /// # Errors
    ///
    /// When there is none, in time.
    pub async fn connect_for_http(self) -> Result<Connected, NoConnection> {
        let speaks = self.upstream.speaks(self.key.two);
        self.open(Some(speaks)).await
    }

    async fn open(self, speaks: Option<Speaks>) -> Result<Connected, NoConnection> {
        let Self { upstream, busy, key } = self;
        let numbers = &upstream.traffic().connections;
        let Some(connection) = upstream.limits(key.high).connections.take() else {
            numbers.overflows();
            return Err(NoConnection::Overflow);
        };
        let counted = Counted::new(numbers);
        let door = busy.0.pools.door(key, speaks, None);
        let opened = time::timeout(upstream.config().connect_timeout, door.dial()).await;
        let outcome = opened.map_or(Err(NoConnection::Timeout), |opened| Ok(opened?));
        match &outcome {
            Ok(_) => {
                numbers.opened(None, counted.began.elapsed());
                numbers.sends();
            }
            Err(why) => numbers.failed(matches!(why, NoConnection::Timeout), 1),
        }
        let host = &busy.0.host;
        let (counter, endings): (_, &[Ending]) = match &outcome {
            // Without HTTP, a connection is all that an endpoint can do well.
            Ok(_) => (&host.succeeded, &[Ending::Connected, Ending::Answer(200)]),
            Err(_) => (&host.failed, &[Ending::NotConnected]),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        upstream.ended(host, endings);
        let Dialled { io, link, .. } = outcome?;
        let closes = upstream.config().close_on_unhealthy;
        Ok(Connected {
            io,
            link,
            held: Held { busy, closes, _connection: connection, _counted: counted },
        })
    }
}

impl Counted {
    fn new(numbers: &Arc<Numbers>) -> Self {
        numbers.opens();
        Self { numbers: Arc::clone(numbers), began: Instant::now() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.numbers.ended(self.began.elapsed());
    }
}

impl Held {
    /// Comes when the connection is to be closed because its endpoint has failed; else never.
    ///
    /// Cancel safe.
    pub async fn cut(&self) {
        if self.closes {
            self.busy.0.host.cut.notified().await;
        } else {
            std::future::pending::<()>().await;
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn facts<'a>(upstream: &'a Upstream, place: &'a Place) -> Facts<'a> {
    Facts {
        cluster: upstream.config(),
        host: &place.host,
        endpoint: &place.endpoint,
        locality: &place.locality.locality,
        metadata: &place.locality.metadata,
        priority: place.locality.priority,
        is_secure: place.pools.is_secure(),
    }
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chosen").field(&self.busy.0.host.name).finish()
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Raw").field(&self.busy.0.host.name).finish()
    }
}
