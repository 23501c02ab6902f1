//! The control plane's own end: its certificate, kept fresh, and the TLS that shows it.
use crate::{
    ca::{Authority, AuthorityError},
    certificate::{Unusable, Validity, read, until},
    clock::Clock,
    csr::Key,
    node, renew,
    signer::Signer,
    tls::{self, HandshakeError},
    trust::TrustStore,
    verify::{Peer, Side},
};
use arc_swap::ArcSwap;
use culvert_model::identity::{Identity, NotAnIdentity};
use culvert_runtime::{
    drain::Worker,
    publish::{Generation, View},
};
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{self, Instant},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The clock is looked at this often, since it can be set and a machine can sleep.
const LOOK: Duration = Duration::from_secs(30);

/// Names under which control planes are dialled, whatever else they are called.
const USUAL: &[&str] = &[
    "localhost",
    "127.0.0.1",
    "::1",
    "culvert-control.culvert-system.svc",
    "culvert-control.culvert-system.svc.cluster.local",
    "istiod.istio-system.svc",
    "istiod.istio-system.svc.cluster.local",
];

/// Accepts TLS as the control plane; cheap to clone.
#[derive(Clone, Debug)]
pub struct Serving {
    current: Arc<Current>,
    config: Arc<ServerConfig>,
    web: Arc<ServerConfig>,
    clock: Arc<dyn Clock>,
}

/// Why the control plane has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    #[error("its own certificate cannot be made")]
    Authority(#[from] AuthorityError),
    #[error("its own key cannot be made")]
    Key(#[from] crate::csr::KeyError),
    #[error("its own certificate cannot be used")]
    Unusable(#[from] Unusable),
    #[error("its trust domain cannot be one")]
    TrustDomain(#[from] NotAnIdentity),
}

/// A connection on which the client may have shown who it is.
#[derive(Debug)]
pub struct Visited<IO> {
    pub io: TlsStream<IO>,
    /// `None`: it showed no certificate.
    pub peer: Option<Peer>,
}

/// The certificate of the moment.
#[derive(Debug)]
struct Current(ArcSwap<Shown>);

#[derive(Debug)]
struct Shown {
    signer: Signer,
    validity: Validity,
    serial: String,
}

/// What keeps the certificate fresh.
struct Keeper {
    authority: View<Arc<Authority>>,
    seen: Generation,
    identity: Identity,
    names: Vec<String>,
    trust: TrustStore,
    current: Arc<Current>,
    clock: Arc<dyn Clock>,
}

impl Serving {
    /// Makes a certificate for `names` beside the usual ones, and another in time, or when the
    /// authority is another; until the worker finishes.
    ///
    /// `trust` follows the authority's roots: whoever is under one of them is a client.
    ///
    /// # Errors
    ///
    /// When there can be no certificate to begin with.
    pub fn start(
        authority: View<Arc<Authority>>,
        names: &[String],
        trust: TrustStore,
        clock: Arc<dyn Clock>,
        worker: &Worker,
    ) -> Result<Self, ServingError> {
        let first = authority.pin();
        let trust_domain = first.value.trust_domain();
        let identity = node::control_plane(trust_domain)?;
        let usual = USUAL.iter().map(|name| (*name).to_owned());
        let mut names: Vec<_> = usual.chain(names.iter().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        believe(&trust, &first.value);
        let shown = make(&first.value, &identity, &names, &*clock)?;
        let current = Arc::new(Current(ArcSwap::from_pointee(shown)));
        let config = tls::control_server_config(
            Arc::<Current>::clone(&current),
            trust_domain,
            trust.view(),
            &clock,
        );
        let config = config.map_err(|error| Unusable::Tls(error.to_string()))?;
        let web = tls::web_server_config(Arc::<Current>::clone(&current), &clock);
        let web = web.map_err(|error| Unusable::Tls(error.to_string()))?;
        let keeper = Keeper {
            authority,
            seen: first.generation,
            identity,
            names,
            trust,
            current: Arc::clone(&current),
            clock: Arc::clone(&clock),
        };
        let finishing = worker.clone();
        worker.spawn(async move {
            tokio::select! {
                () = finishing.finishing() => {}
                () = keeper.run() => {}
            }
        });
        Ok(Self { current, config: Arc::new(config), web: Arc::new(web), clock })
    }

    /// Accepts TLS; a client that is refused is waited for a moment, so that it hears why.
    ///
    /// # Errors
    ///
    /// When TLS fails, or the client shows a certificate that we do not believe.
    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<Visited<IO>, HandshakeError> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let io = match acceptor.accept(io).into_fallible().await {
            Ok(io) => io,
            Err((error, io)) => {
                tls::hear_out(io).await;
                return Err(HandshakeError::of(error));
            }
        };
        let (_, connection) = io.get_ref();
        let peer = match connection.peer_certificates() {
            Some(chain) => Some(tls::peer(Some(chain), Side::Client, self.clock.now())?),
            None => None,
        };
        Ok(Visited { io, peer })
    }

    /// Accepts TLS of somebody who proves nothing and asks by HTTP/1.1.
    ///
    /// # Errors
    ///
    /// When TLS fails.
    pub async fn accept_web<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<TlsStream<IO>, HandshakeError> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.web));
        acceptor.accept(io).await.map_err(HandshakeError::of)
    }

    /// Of the certificate shown now.
    pub fn validity(&self) -> Validity {
        self.current.0.load().validity
    }

    /// Of the certificate shown now, in hexadecimal.
    pub fn serial(&self) -> String {
        self.current.0.load().serial.clone()
    }
}

impl Keeper {
    async fn run(mut self) {
        let mut backoff = renew::backoff();
        let mut due = self.due();
        let mut retry = None;
        loop {
            let wake =
                retry.unwrap_or_else(|| Instant::now() + until(self.clock.now(), due).min(LOOK));
            tokio::select! {
                () = time::sleep_until(wake) => {}
                Some(newer) = self.authority.newer_than(self.seen) => {
                    self.seen = newer.generation;
                    // Believed before anything is shown: a client may be ahead of us.
                    believe(&self.trust, &newer.value);
                    due = self.clock.now();
                }
            }
            if self.clock.now().as_secs() < due.as_secs() {
                continue;
            }
            let authority = Arc::clone(&self.authority.pin().value);
            match make(&authority, &self.identity, &self.names, &*self.clock) {
                Ok(shown) => {
                    tracing::info!(
                        serial = shown.serial,
                        "the control plane's own certificate is a new one"
                    );
                    self.current.0.store(Arc::new(shown));
                    due = self.due();
                    retry = None;
                    backoff.reset();
                }
                Err(error) => {
                    let wait = backoff.next(tls::dice());
                    tracing::warn!(%error, again_in = ?wait, "the control plane's own certificate was not renewed");
                    retry = Some(Instant::now() + wait);
                }
            }
        }
    }

    fn due(&self) -> rustls_pki_types::UnixTime {
        renew::due(self.current.0.load().validity, self.clock.now(), tls::dice())
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().signer.certified())
    }
}

fn believe(trust: &TrustStore, authority: &Authority) {
    match trust.set_roots(authority.roots()) {
        Ok(true) => {
            tracing::info!(roots = authority.roots().len(), "the authority has other roots");
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "the authority's roots are not used"),
    }
}

fn make(
    authority: &Authority,
    identity: &Identity,
    names: &[String],
    clock: &dyn Clock,
) -> Result<Shown, ServingError> {
    let key = Key::generate()?;
    let issued = authority.sign_server(&key, identity, names, clock.now())?;
    let (validity, serial) = read(issued.chain.first().ok_or(Unusable::Empty)?)?;
    let signer = Signer::new(CertifiedKey::new(issued.chain, key.signing_key()?));
    Ok(Shown { signer, validity, serial })
}
