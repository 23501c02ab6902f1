//! What the mesh does not know is asked of the resolver that the pod meant.
//!
//! Equal questions that are under way at once are one. Answers are kept; one that is past its time
//! is told again while the resolver does not answer (RFC 8767).
use crate::dns::{
    cache::{Cache, Cached, Key, share},
    message::{
        Rcode,
        query::{Audience, Query, Sort},
        reply::{self, Kept},
    },
    node::Node,
    upstream::{Exchange, Sockets, UpstreamError},
};
use culvert_runtime::drain::Worker;
use culvert_telemetry::{
    chain::Chain,
    metrics::dns::{DnsSeries, Protocol},
};
use parking_lot::Mutex;
use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout},
};
use tracing::debug;

/// How long an asker waits for a fresh answer when there is an old one (RFC 8767, 5).
const STALE_AFTER: Duration = Duration::from_millis(1800);

/// How long a resolver that did not answer is left alone when there is an old answer.
const DOWN_FOR: Duration = Duration::from_secs(5);

/// One pod's questions to its resolvers.
#[derive(Debug)]
pub(crate) struct Forwarder {
    node: Arc<Node>,
    sockets: Arc<dyn Sockets>,
    cache: Mutex<Cache>,
    flights: Mutex<HashMap<Flight, watch::Receiver<Option<Outcome>>>>,
    /// Resolvers that did not answer, and when.
    down: Mutex<HashMap<SocketAddr, Instant>>,
    /// How many may be under way.
    room: Arc<Semaphore>,
    /// Of the pod.
    worker: Worker,
}

/// A message for a resolver.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// `None`: it is something else than a question.
    pub(crate) query: Option<Query>,
    pub(crate) resolver: SocketAddr,
    pub(crate) by: Protocol,
    pub(crate) series: Arc<DnsSeries>,
}

/// Questions that are one: whoever asks later gets the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Flight {
    key: Key,
    /// `None`: by TCP.
    datagram: Option<u16>,
}

type Outcome = Result<Arc<[u8]>, UpstreamError>;

/// The right to one question.
type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Forwarder {
    pub(crate) fn new(node: &Arc<Node>, sockets: Arc<dyn Sockets>, worker: Worker) -> Self {
        Self {
            node: Arc::clone(node),
            sockets,
            cache: Mutex::default(),
            flights: Mutex::default(),
            down: Mutex::default(),
            room: Arc::new(Semaphore::new(node.settings().upstream_per_pod)),
            worker,
        }
    }

    /// The answer, if there is one that is fresh.
    pub(crate) fn remembered(&self, request: &Request) -> Option<Vec<u8>> {
        let query = request.query.as_ref().filter(|query| query.audience != Audience::Asker)?;
        let cached = self.cached(request.resolver, query.sort()).filter(Cached::is_fresh)?;
        Some(cached.tell(query))
    }

    /// The resolver's answer, or what it answered before.
    pub(crate) async fn ask(self: &Arc<Self>, request: &Request) -> Result<Vec<u8>, UpstreamError> {
        let resolver = request.resolver;
        let old = request.query.as_ref().and_then(|query| {
            let cached = query.stand_ins().find_map(|sort| self.cached(resolver, sort))?;
            Some((cached, query))
        });
        let Some((cached, query)) = old else { return self.ask_now(request).await };
        let outcome = if self.is_down(resolver) {
            Err(UpstreamError::Down { resolver })
        } else {
            // The question goes on when this does not wait for it any more.
            let asked = timeout(STALE_AFTER, self.ask_now(request)).await;
            asked.unwrap_or_else(|_| {
                self.down.lock().insert(resolver, Instant::now());
                Err(UpstreamError::Timeout { resolver })
            })
        };
        match outcome {
            Ok(answer) if reply::rcode(&answer) != Ok(Rcode::SERV_FAIL) => Ok(answer),
            Ok(_) => Ok(cached.tell(query)),
            Err(error) => {
                debug!(%resolver, name = %query.question.name, error = %Chain(&error), "told again");
                Ok(cached.tell(query))
            }
        }
    }

    async fn ask_now(self: &Arc<Self>, request: &Request) -> Result<Vec<u8>, UpstreamError> {
        let Some(query) = &request.query else { return self.ask_alone(request).await };
        if query.audience != Audience::All {
            return self.ask_alone(request).await;
        }
        let mut flight = self.join(request, query)?;
        let landed = flight.wait_for(Option::is_some).await;
        // Nobody tells any more: the pod is let go.
        let landed = landed.map_or(None, |outcome| outcome.clone());
        let answer = landed.unwrap_or(Err(UpstreamError::Cut))?;
        Ok(reply::for_asker(answer.to_vec(), query))
    }

    /// Asks for this asker only.
    async fn ask_alone(&self, request: &Request) -> Result<Vec<u8>, UpstreamError> {
        let permits = self.permits()?;
        let answer = self.exchange(request).await;
        drop(permits);
        let id = crate::dns::message::u16_at(&request.bytes, 0).unwrap_or_default();
        answer.map(|answer| reply::with_id(answer, id))
    }

    /// The question that is under way, or a new one.
    fn join(
        self: &Arc<Self>,
        request: &Request,
        query: &Query,
    ) -> Result<watch::Receiver<Option<Outcome>>, UpstreamError> {
        let key = Key { resolver: request.resolver, sort: query.sort() };
        let datagram = match request.by {
            Protocol::Udp => Some(query.datagram()),
            Protocol::Tcp => None,
        };
        let flight = Flight { key, datagram };
        let mut flights = self.flights.lock();
        // One whose task panicked never lands.
        if let Some(under_way) = flights.get(&flight).filter(|way| way.has_changed().is_ok()) {
            return Ok(under_way.clone());
        }
        let permits = self.permits()?;
        let (landed, under_way) = watch::channel(None);
        flights.insert(flight.clone(), under_way.clone());
        drop(flights);
        let own = Arc::clone(self);
        let request = Request {
            bytes: request.bytes.clone(),
            query: Some(query.clone()),
            series: Arc::clone(&request.series),
            ..*request
        };
        self.worker.spawn(async move {
            let outcome = own.exchange(&request).await;
            own.flights.lock().remove(&flight);
            landed.send_replace(Some(outcome.map(Into::into)));
            drop(permits);
        });
        Ok(under_way)
    }

    /// Keeps an answer, if it may be kept.
    fn keep(&self, request: &Request, answer: &[u8]) {
        let query = request.query.as_ref();
        let Some((query, kept)) = query.and_then(|query| Some((query, Kept::new(answer, query)?)))
        else {
            return;
        };
        let key = Key { resolver: request.resolver, sort: query.sort() };
        let room = share(self.node.settings().cache, self.node.pods());
        self.cache.lock().put(key, kept, Instant::now(), room);
    }

    async fn exchange(&self, request: &Request) -> Result<Vec<u8>, UpstreamError> {
        let Request { bytes, query, resolver, by, series } = request;
        let datagram = query.as_ref().map_or(u16::MAX, Query::datagram);
        let begun = Instant::now();
        let exchange =
            Exchange { sockets: &*self.sockets, resolver: *resolver, question: bytes, datagram };
        let answer = exchange.run(*by).await;
        series.forwarded(begun.elapsed(), answer.is_err());
        match &answer {
            Ok(answer) => {
                self.keep(request, answer);
                self.down.lock().remove(resolver);
            }
            Err(_) => drop(self.down.lock().insert(*resolver, Instant::now())),
        }
        answer
    }

    fn cached(&self, resolver: SocketAddr, sort: Sort) -> Option<Cached> {
        let key = Key { resolver, sort };
        self.cache.lock().get(&key, Instant::now(), self.node.settings().stale)
    }

    fn is_down(&self, resolver: SocketAddr) -> bool {
        let since = self.down.lock().get(&resolver).copied();
        since.is_some_and(|since| since.elapsed() < DOWN_FOR)
    }

    fn permits(&self) -> Result<Permits, UpstreamError> {
        let own = Arc::clone(&self.room).try_acquire_owned();
        let all = Arc::clone(self.node.upstream()).try_acquire_owned();
        own.ok().zip(all.ok()).ok_or(UpstreamError::Busy)
    }

    pub(crate) fn sockets(&self) -> &dyn Sockets {
        &*self.sockets
    }
}
