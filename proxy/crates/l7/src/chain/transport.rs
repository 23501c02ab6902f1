//! How a chain's connections begin: as they are, or with TLS.

use crate::{
    connection::Connection, handshakes::Handshakes, io::Io, network::Record, secured,
    shared::Shared, stats::Scope,
};
use arc_swap::ArcSwap;
use culvert_identity::{
    clock::Clock,
    edge::{EdgeError, facts::TlsFacts, server::ServerSide},
    tls::HandshakeError,
};
use culvert_model::http::{
    secret::{Secret, SecretRef},
    snapshot::{Snapshot, Table},
    tls::{DownstreamTls, DownstreamTransport},
};
use culvert_policy::http::facts::Certificate;
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    error::Error as _,
    fmt::Write as _,
    sync::{Arc, OnceLock},
};
use tokio::time::Instant;

pub(super) enum Transport {
    Plain,
    Tls(Box<Tls>),
}

pub(super) struct Tls {
    context: Arc<DownstreamTls>,
    clock: Arc<dyn Clock>,
    /// `None`: there has never been one that could be used.
    side: ArcSwap<Option<Side>>,
    latest: Mutex<Latest>,
    counts: Handshakes,
}

/// A server's side, with the secrets of a moment.
struct Side {
    server: ServerSide,
    /// What its first certificate says, read when somebody was shown it.
    local: OnceLock<Arc<Certificate>>,
}

/// The last try to make a side.
#[derive(Default)]
struct Latest {
    used: Vec<(Arc<str>, Option<Arc<Secret>>)>,
    trouble: Option<EdgeError>,
}

/// Why a connection did not begin.
#[derive(Debug)]
pub(super) enum Refusal {
    Timeout,
    /// There is no certificate to show.
    Unready,
    Handshake(HandshakeError),
}

impl Transport {
    pub(super) fn new(config: &DownstreamTransport, stats: &Scope, shared: &Shared) -> Self {
        let DownstreamTransport::Tls(context) = config else { return Self::Plain };
        let tls = Tls {
            context: Arc::clone(context),
            clock: Arc::clone(&shared.clock),
            side: ArcSwap::default(),
            latest: Mutex::default(),
            counts: Handshakes::new(stats),
        };
        shared.snapshot.look(|now| tls.make(now.value.secrets()));
        Self::Tls(Box::new(tls))
    }

    pub(super) fn follow(&self, snapshot: &Snapshot) {
        if let Self::Tls(tls) = self {
            tls.follow(snapshot.secrets());
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let Self::Tls(tls) = self else { return None };
        tls.latest.lock().trouble.as_ref().map(ToString::to_string)
    }

    /// The connection as its filters get it; what TLS told is written down.
    pub(super) async fn begin(&self, connection: &mut Connection, io: Io) -> Result<Io, Refusal> {
        match self {
            Self::Plain => Ok(io),
            // Over and forgotten once it is done.
            Self::Tls(tls) => Box::pin(tls.begin(connection, io)).await,
        }
    }
}

impl Tls {
    fn follow(&self, secrets: &Table<Secret>) {
        let same = |(name, before): &(Arc<str>, Option<Arc<Secret>>)| match (
            before,
            secrets.value(name),
        ) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now) || before == now,
            (None, None) => true,
            _ => false,
        };
        if self.latest.lock().used.iter().all(same) {
            return;
        }
        self.counts.updated.inc();
        self.make(secrets);
    }

    /// Makes a side; the one before stays if this one cannot be made.
    fn make(&self, secrets: &Table<Secret>) {
        let used = RefCell::new(Vec::new());
        let find = |name: &SecretRef| {
            let found = secrets.value(&name.name);
            used.borrow_mut().push((Arc::clone(&name.name), found.cloned()));
            found.map(|secret| Secret::clone(secret))
        };
        let made = ServerSide::new(&self.context, &find, &self.clock);
        let trouble = match made {
            Ok(server) => {
                self.side.store(Arc::new(Some(Side { server, local: OnceLock::new() })));
                None
            }
            Err(error) => {
                tracing::warn!(%error, "TLS of a filter chain");
                Some(error)
            }
        };
        *self.latest.lock() = Latest { used: used.into_inner(), trouble };
    }

    async fn begin(&self, connection: &mut Connection, io: Io) -> Result<Io, Refusal> {
        let side = self.side.load_full();
        let Some(side) = &*side else {
            self.counts.unready.inc();
            return Err(Refusal::Unready);
        };
        let began = Instant::now();
        let (io, facts) = side.server.accept(io).await.map_err(|error| {
            self.counts.failed(&error);
            Refusal::Handshake(error)
        })?;
        connection.handshake = Some(began.elapsed());
        self.counts.shaken(&facts);
        self.tell(side, &facts, connection);
        Ok(Io::boxed(io))
    }

    fn tell(&self, side: &Side, facts: &TlsFacts, connection: &mut Connection) {
        let local = side.local.get_or_init(|| {
            Arc::new(facts.own.as_deref().map(secured::certificate).unwrap_or_default())
        });
        let validation = self.context.common.validation.as_deref();
        let validated = validation.is_some_and(|wanted| !wanted.here.accept_untrusted);
        let known = &mut connection.facts;
        known.transport = "tls";
        let agreed = facts.alpn.as_deref().map(|name| String::from_utf8_lossy(name).into());
        known.protocols = agreed.into_iter().collect();
        known.tls = Some(Arc::new(secured::told(facts, Some(Arc::clone(local)), validated)));
    }
}

impl Refusal {
    /// What logs say of it.
    pub(super) fn record(&self) -> Record {
        let mut record = Record::default();
        match self {
            Self::Timeout => {
                record.termination = Some("transport socket timeout was reached".into());
                record.closed = Some("transport_socket_timeout".into());
            }
            Self::Unready => {
                record.downstream_failure = Some("TLS_error:|no certificate".to_owned());
            }
            Self::Handshake(error) => record.downstream_failure = Some(reason(error)),
        }
        record
    }
}

fn reason(error: &HandshakeError) -> String {
    let mut text = format!("TLS_error:|{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string does not fail.
        let _written = write!(text, ": {error}");
        cause = error.source();
    }
    text.push_str(":TLS_error_end");
    text
}
