//! What there is to say of a connection to an endpoint.
//!
//! Known once it is open, kept beside it, and looked at only by requests of which somebody prints it.
use crate::secured;
use culvert_identity::edge::facts::TlsFacts;
use culvert_model::path::Path;
use culvert_policy::http::facts::Tls;
use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{net::TcpStream, time::Instant};

/// One connection's.
#[derive(Debug)]
pub struct Link {
    pub id: u64,
    /// Our end of it; `None` where ends have no addresses.
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    /// The way it takes; of a mesh, which opened it.
    pub path: Path,
    secured: Option<Secured>,
}

#[derive(Debug)]
struct Secured {
    facts: TlsFacts,
    told: OnceLock<Tls>,
}

/// Learns by which connection a request went.
#[derive(Debug, Default)]
pub struct Learns(OnceLock<(Arc<Link>, Instant)>);

impl Link {
    /// Between these ends.
    pub fn new(local: Option<SocketAddr>, remote: Option<SocketAddr>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);

        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, local, remote, path: Path::Plain, secured: None }
    }

    pub fn of(tcp: &TcpStream) -> Self {
        Self::new(tcp.local_addr().ok(), tcp.peer_addr().ok())
    }

    /// Opened by a mesh, that way.
    #[must_use]
    pub(crate) fn through(self, path: Path) -> Self {
        Self { path, ..self }
    }

    /// With TLS over it.
    #[must_use]
    pub fn secured(self, facts: TlsFacts) -> Self {
        Self { secured: Some(Secured { facts, told: OnceLock::new() }), ..self }
    }

    /// What TLS proved; read from certificates when somebody asks first.
    pub fn tls(&self) -> Option<&Tls> {
        let Secured { facts, told } = self.secured.as_ref()?;
        Some(told.get_or_init(|| {
            let own = facts.own.as_deref().map(|own| Arc::new(secured::certificate(own)));
            secured::told(facts, own, true)
        }))
    }

    /// The name that was asked for.
    pub fn server_name(&self) -> Option<&str> {
        self.secured.as_ref()?.facts.sni.as_deref()
    }
}

impl Learns {
    /// It goes by this one; the first counts.
    pub fn by(&self, link: &Arc<Link>) {
        let _later = self.0.set((Arc::clone(link), Instant::now()));
    }

    pub fn link(&self) -> Option<&Arc<Link>> {
        self.0.get().map(|(link, _)| link)
    }

    /// When the connection was there.
    pub fn ready(&self) -> Option<Instant> {
        self.0.get().map(|(_, ready)| *ready)
    }
}
