//! The HTTP connection manager: the way of a request through one filter chain.
//!
//! Decode; `arrive` (is it a request, whose, and what of it is believed); route; the filters in
//! order, the router last; the filters back, in reverse; `answer` (what all responses say); the
//! codec writes; `record` (what is left behind).
//!
//! A connection keeps its manager, a request the routes that it found when it came: what changes
//! meanwhile holds for the next.
//!
//! Reading order: [`Manager`]; `codec` (which version of HTTP), `options`, `now` (the
//! configuration of a moment), `serving` (the requests of one connection), `record`, `known`
//! and `lines` (what is known of a request), `noted` (what a ledger wants to know of it), `routed`, `trace` (what traces leave on messages), `arrive`, `answer`, `date`, `deadline`, `tally` and `beside`
//! (statistics).
pub(crate) mod answer;
mod arrive;
pub(crate) mod beside;
mod codec;
mod date;
mod deadline;
mod known;
mod lines;
mod noted;
mod now;
mod options;
pub(crate) mod own;
pub(crate) mod record;
pub(crate) mod routed;
mod serving;
pub(crate) mod tally;
mod trace;

use crate::{
    connection::Connection,
    dial::Protocol,
    h1, h2,
    io::Io,
    log::Logs,
    manager::{now::Now, options::Options, serving::Serving, tally::Tally},
    network::{
        self,
        http::{Http, Managers},
    },
    shared::Shared,
    stats::{Scope, codes::Codes, tag},
};
use arc_swap::ArcSwap;
use culvert_model::http::{
    access_log::AccessLog,
    filter::{Filter, FilterConfig, HttpFilter},
    format::Operator,
    manager as model,
};
use culvert_runtime::publish::Published;
use http::HeaderValue;
use parking_lot::Mutex;
use std::{fmt, sync::Arc};

/// One filter chain's; shared by its connections.
pub struct Manager {
    config: Arc<model::Manager>,
    shared: Arc<Shared>,
    options: Options,
    tally: Tally,
    logs: Logs,
    /// Something that is printed of every request speaks of the connection to its endpoint.
    asks_for_link: bool,
    server: HeaderValue,
    /// What its requests go by.
    now: ArcSwap<Now>,
    renewing: Mutex<()>,
    /// Answers by the listener's addresses, of which there are few.
    listeners: Mutex<Vec<(Scope, Arc<Codes>)>>,
}

impl Manager {
    /// A manager for all connections of a filter chain that says `config`.
    pub fn new(config: &Arc<model::Manager>, shared: &Arc<Shared>) -> Arc<Self> {
        let published = shared.snapshot.pin();
        let tally = Tally::new(&shared.stats, &config.stat_prefix);
        let now = Now::new(config, shared, &published, None);
        Arc::new(Self {
            logs: Logs::new(&config.access_logs, &shared.sinks),
            asks_for_link: asks_for_link(config),
            options: Options::new(config),
            server: HeaderValue::from_str(&config.server.name)
                .unwrap_or(HeaderValue::from_static("envoy")),
            now: ArcSwap::from_pointee(now),
            config: Arc::clone(config),
            shared: Arc::clone(shared),
            tally,
            renewing: Mutex::default(),
            listeners: Mutex::default(),
        })
    }

    pub fn config(&self) -> &Arc<model::Manager> {
        &self.config
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(crate) const fn asks_for_link(&self) -> bool {
        self.asks_for_link
    }

    /// What we call ourselves in `server`.
    pub(crate) const fn server(&self) -> &HeaderValue {
        &self.server
    }

    /// What is counted of answers at an address of a listener.
    fn codes(&self, listener: &Scope) -> Arc<Codes> {
        let mut listeners = self.listeners.lock();
        if let Some((_, codes)) = listeners.iter().find(|(scope, _)| scope.is(listener)) {
            return Arc::clone(codes);
        }
        let scope = listener.tagged("http", tag::HTTP, &self.config.stat_prefix);
        let codes = Arc::new(Codes::new(scope, "downstream_rq"));
        listeners.push((listener.clone(), Arc::clone(&codes)));
        codes
    }

    /// Serves a connection to its end.
    pub async fn serve(self: &Arc<Self>, io: Io, connection: Arc<Connection>) {
        let Some((io, protocol)) = codec::choose(&self.config, io, &connection).await else {
            return;
        };
        let _open = self.tally.connection(protocol, connection.facts.is_secure());
        let worker = connection.worker.clone();
        let secure = connection.facts.is_secure();
        let serving = Serving::new(Arc::clone(self), connection);
        match protocol {
            Protocol::Http1 => {
                let options = self.options.h1(secure);
                let closed = h1::serve(io, &serving, options, &worker).await;
                self.tally.closed_h1(closed);
            }
            Protocol::Http2 => {
                // In a place of its own: it takes four times what a connection of HTTP/1 does.
                let served = h2::serve(io, Arc::new(serving), &self.options.h2, &worker);
                let closed = Box::pin(served).await;
                self.tally.closed_h2(&closed);
            }
        }
    }

    /// What requests go by from this moment on.
    pub(crate) fn now(&self) -> Arc<Now> {
        self.shared.snapshot.look(|published| {
            let now = self.now.load();
            if now.is_of(published) { Arc::clone(&now) } else { self.renew(published) }
        })
    }

    fn renew(&self, published: &Published<culvert_model::http::snapshot::Snapshot>) -> Arc<Now> {
        let _one = self.renewing.lock();
        let before = self.now.load_full();
        if before.is_newer_than(published) {
            return before;
        }
        let now = Now::new(&self.config, &self.shared, published, Some(&before));
        let now = Arc::new(now);
        self.now.store(Arc::clone(&now));
        now
    }
}

/// Whether its logs or its answers print what is known of connections to endpoints; changes by a
/// filter may, as a route can give it others.
fn asks_for_link(config: &model::Manager) -> bool {
    let asks = Operator::is_of_upstream_connection;
    let prints = |log: &AccessLog| log.sink.format().format.any(asks);
    let changes = |filter: &Filter| match &filter.config {
        FilterConfig::Here(HttpFilter::HeaderMutation(_)) => true,
        FilterConfig::Here(HttpFilter::Router(router)) => router.upstream_logs.iter().any(prints),
        FilterConfig::Here(_) => false,
        FilterConfig::Discovered(other) => {
            other.types.iter().any(|kind| kind.contains("header_mutation"))
        }
    };
    config.access_logs.iter().any(prints)
        || config.replies.any(asks)
        || config.filters.iter().any(changes)
}

/// A [`Manager`] as listeners have it.
struct OfListener(Arc<Manager>);

impl Http for OfListener {
    fn serve(&self, io: Io, connection: Arc<Connection>) -> network::http::Serving {
        let manager = Arc::clone(&self.0);
        Box::pin(async move { manager.serve(io, connection).await })
    }
}

/// Managers for the listeners of an engine.
pub fn managers(shared: &Arc<Shared>) -> Box<Managers> {
    let shared = Arc::clone(shared);
    Box::new(move |config| Arc::new(OfListener(Manager::new(config, &shared))))
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("prefix", &self.config.stat_prefix).finish_non_exhaustive()
    }
}
