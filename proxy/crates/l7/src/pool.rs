//! Connections to one endpoint, kept for the next request.
//!
//! HTTP/1: the connection that was free last is used first, so that those that are not needed grow
//! old. HTTP/2: the one with the fewest streams. A request that finds none waits for whichever
//! comes first, one that is given back or one that is opened for it; one that gives up leaves what
//! is opened for another.
//!
//! Reading order: [`Options`], `state` (which connection, purely), `open` (new ones), `sweep` (old
//! ones), [`Numbers`].
mod numbers;
mod open;
mod state;
mod sweep;

use crate::{
    body::Body,
    dial::{Dial, Protocol},
    h1::{self, Home},
    h2,
    link::Link,
    message::{Interim, RequestHead, ResponseHead},
    outcome::Reset,
    share::{Bound, Share},
};
use culvert_runtime::drain::Worker;
pub use numbers::Numbers;
use parking_lot::Mutex;
use state::{Kept, State};
use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::oneshot;

/// What holds for the connections to an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub protocol: Speaks,
    /// How long opening one may take, its handshakes included.
    pub connect: Duration,
    /// How long one may be free.
    pub idle: Option<Duration>,
    /// How long one may last.
    pub age: Option<Duration>,
    /// How many requests one may have.
    pub requests: Option<u64>,
    /// How many there may be to this endpoint.
    pub most: Option<usize>,
    /// How many there are for each that is used or wanted: more than 1 opens them ahead.
    pub ahead: f64,
    pub h1: h1::ClientOptions,
    pub h2: h2::ClientOptions,
}

/// Which version an endpoint is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    Http2,
    /// What the handshake comes to; HTTP/1 without one.
    Negotiated,
}

/// What a cluster may have at once; shared by its endpoints.
#[derive(Clone, Debug)]
pub struct Breakers {
    pub connections: Arc<Bound>,
    /// Requests that wait for a connection.
    pub pending: Arc<Bound>,
    pub requests: Arc<Bound>,
    /// Where it is counted, if it is.
    pub numbers: Option<Arc<Numbers>>,
}

/// The connections to one endpoint.
pub struct Pool {
    inner: Arc<Inner>,
}

/// A request without a response.
#[derive(Debug)]
pub struct Failed {
    pub reset: Reset,
    /// What there is to say beside it, such as why a handshake failed.
    pub why: Option<Arc<str>>,
    /// The body, where nothing of it was asked for: it can be sent elsewhere.
    pub unsent: Option<Body>,
}

struct Inner {
    dial: Arc<dyn Dial>,
    options: Options,
    breakers: Breakers,
    worker: Worker,
    state: Mutex<State>,
    /// For what outlives a request.
    me: Weak<Self>,
}

/// A connection for one request.
#[derive(Debug)]
enum Ready {
    One(Box<h1::Client>),
    Two(h2::Client, Share),
}

/// What a request that waits is told.
type Told = Result<Ready, (Reset, Option<Arc<str>>)>;

/// What a request found.
enum Found {
    Ready(Ready),
    Wait(oneshot::Receiver<Told>, Share),
    /// Too many wait already.
    Full,
}

/// A request that waits; what it does not take is for another.
struct Waits<'a> {
    told: oneshot::Receiver<Told>,
    pool: &'a Inner,
}

impl Ready {
    fn link(&self) -> Option<&Arc<Link>> {
        match self {
            Self::One(client) => client.link(),
            Self::Two(client, _) => client.link(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protocol: Speaks::Http1,
            connect: Duration::from_secs(5),
            idle: Some(Duration::from_secs(3600)),
            age: None,
            requests: None,
            most: None,
            ahead: 1.0,
            h1: h1::ClientOptions::default(),
            h2: h2::ClientOptions::default(),
        }
    }
}

impl Default for Breakers {
    /// Envoy's.
    fn default() -> Self {
        let bound = || Arc::new(Bound::new(1024));
        Self { connections: bound(), pending: bound(), requests: bound(), numbers: None }
    }
}

impl Pool {
    pub fn new(dial: Arc<dyn Dial>, options: Options, breakers: Breakers, worker: Worker) -> Self {
        let inner = Arc::new_cyclic(|me| Inner {
            dial,
            options,
            breakers,
            worker,
            state: Mutex::default(),
            me: Weak::clone(me),
        });
        Self { inner }
    }

    /// Sends a request on a connection of the pool and waits for its response.
    ///
    /// # Errors
    ///
    /// When no response came.
    pub async fn send(
        &self,
        head: Cow<'_, RequestHead>,
        body: Body,
        interim: &Interim,
    ) -> Result<(ResponseHead, Body), Failed> {
        self.send_by(head, body, interim, |_| {}).await
    }

    /// The same, and says which connection it is sent on.
    ///
    /// # Errors
    ///
    /// When no response came.
    pub async fn send_by(
        &self,
        head: Cow<'_, RequestHead>,
        body: Body,
        interim: &Interim,
        by: impl FnOnce(&Arc<Link>) + Send,
    ) -> Result<(ResponseHead, Body), Failed> {
        let inner = &self.inner;
        let ready = match inner.find().await {
            Ok(ready) => ready,
            Err((reset, why)) => return Err(Failed { reset, why, unsent: Some(body) }),
        };
        let Some(request) = inner.breakers.requests.take() else {
            // Of HTTP/1 only those that wait are counted.
            if matches!(ready, Ready::Two(..)) {
                inner.count(Numbers::turned_away);
            }
            inner.put_back(ready);
            return Err(Failed { reset: Reset::Overflow, why: None, unsent: Some(body) });
        };
        inner.count(Numbers::sends);
        if let Some(link) = ready.link() {
            by(link);
        }
        let sent = match ready {
            Ready::One(client) => {
                let home: Arc<dyn Home> = Arc::clone(inner) as Arc<dyn Home>;
                let lease = h1::Lease::new(home, Some(request));
                client.send(&head, body, interim, lease).await
            }
            Ready::Two(client, stream) => {
                client.send(head, body, interim, h2::Lease::new(stream, request)).await
            }
        };
        sent.map_err(|reset| Failed { reset, why: None, unsent: None })
    }

    /// How many connections there are, those being opened included.
    pub fn connections(&self) -> usize {
        self.inner.state.lock().open
    }

    /// What endpoints have agreed to speak, once one has.
    pub fn agreed(&self) -> Option<Protocol> {
        self.inner.state.lock().agreed
    }
}

impl Drop for Pool {
    /// What is in use goes on; what is free is closed.
    fn drop(&mut self) {
        let free = self.inner.state.lock().close();
        drop(free);
    }
}

impl Inner {
    /// A connection that is free, or the next one that is.
    async fn find(&self) -> Told {
        let mut stale = Vec::new();
        let found = self.look(&mut stale);
        drop(stale);
        let (told, _pending) = match found {
            Found::Ready(ready) => {
                if 1.0 < self.options.ahead {
                    self.open_more(true);
                }
                return Ok(ready);
            }
            Found::Full => {
                self.count(Numbers::turned_away);
                return Err((Reset::Overflow, None));
            }
            Found::Wait(told, pending) => (told, pending),
        };
        let _waiting = self.breakers.numbers.as_deref().map(Numbers::waits);
        let mut waits = Waits { told, pool: self };
        self.open_more(true);
        // The pool tells everybody before it ends.
        (&mut waits.told).await.unwrap_or(Err((Reset::LocalReset, None)))
    }

    fn count(&self, what: impl FnOnce(&Numbers)) {
        if let Some(numbers) = &self.breakers.numbers {
            what(numbers);
        }
    }

    fn look(&self, stale: &mut Vec<Kept>) -> Found {
        let mut state = self.state.lock();
        if let Some(ready) = state.take(&self.options, stale) {
            return Found::Ready(ready);
        }
        let Some(pending) = self.breakers.pending.take() else { return Found::Full };
        let (tell, told) = oneshot::channel();
        state.waiting.push_back(tell);
        Found::Wait(told, pending)
    }

    /// A connection is free again: for who waits, or for later.
    fn put_back(&self, ready: Ready) {
        let closed = self.state.lock().put_back(ready, &self.options);
        if let Some(Ready::One(client)) = &closed {
            if state::is_spent(client, &self.options) {
                self.count(Numbers::spent);
            } else if state::is_old(client.born(), &self.options) {
                self.count(Numbers::old);
            }
        }
        // Whoever waits gets another in its place.
        drop(closed);
        self.sweep_later();
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.told.close();
        if let Ok(Ok(ready)) = self.told.try_recv() {
            self.pool.put_back(ready);
        }
    }
}

impl Home for Inner {
    fn take_back(&self, client: Box<h1::Client>) {
        self.put_back(Ready::One(client));
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("options", &self.inner.options).finish_non_exhaustive()
    }
}
