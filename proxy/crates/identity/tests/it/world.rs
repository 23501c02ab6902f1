//! What the tests are made of: an authority, nodes that hold certificates, and their clock.
use culvert_identity::{
    ca::{Authority, issuer::AuthorityIssuer},
    certificate::Certificate,
    clock::Clock,
    issue::Issuer,
    keeper::{self, Parties, Settings},
    store::Identities,
    tls::{self, HandshakeError},
    trust::TrustStore,
    verify::Peer,
};
use culvert_model::identity::Identity;
use culvert_runtime::{
    drain::Drain,
    publish::{self, Publisher, View},
};
use rustls_pki_types::UnixTime;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When the tests begin.
pub(crate) const START: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

/// Tokio's clock as a wall clock, `ahead` of the others.
#[derive(Debug)]
pub(crate) struct TestClock {
    began: Instant,
    ahead: Duration,
}

/// One node: its certificates, and its trust.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) identities: Identities,
    pub(crate) trust: TrustStore,
    pub(crate) drain: Drain,
}

/// An authority and the means to replace it.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) authority: Publisher<Arc<Authority>>,
    pub(crate) view: View<Arc<Authority>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        let since = self.began.elapsed() + self.ahead;
        UnixTime::since_unix_epoch(Duration::from_secs(START.as_secs()) + since)
    }
}

impl Mesh {
    pub(crate) fn new() -> Self {
        Self::of(Authority::new_root("td", START).unwrap())
    }

    pub(crate) fn of(authority: Authority) -> Self {
        let (authority, view) = publish::channel(Arc::new(authority));
        Self { authority, view, clock: clock(Duration::ZERO) }
    }

    pub(crate) fn issuer(&self) -> Arc<dyn Issuer> {
        Arc::new(AuthorityIssuer::new(self.view.clone(), Arc::clone(&self.clock)))
    }

    /// A node of this mesh.
    pub(crate) fn node(&self) -> Node {
        Node::new(self.issuer(), Arc::clone(&self.clock))
    }
}

impl Node {
    pub(crate) fn new(issuer: Arc<dyn Issuer>, clock: Arc<dyn Clock>) -> Self {
        let (drain, trust) = (Drain::default(), TrustStore::default());
        let parties = Parties { issuer, trust: trust.clone(), clock };
        let identities = keeper::start(parties, Settings::default(), &drain.worker());
        Self { identities, trust, drain }
    }

    pub(crate) async fn certificate(&self, sa: &str) -> Arc<Certificate> {
        self.identities.certificate(&id(sa)).await.unwrap()
    }
}

/// A clock that tells [`START`] now, or what is `ahead` of it.
pub(crate) fn clock(ahead: Duration) -> Arc<dyn Clock> {
    Arc::new(TestClock { began: Instant::now(), ahead })
}

pub(crate) fn id(sa: &str) -> Identity {
    Identity::try_new("td", "shop", sa).unwrap()
}

/// What each end made of a handshake; a client learns with its first read that it was refused.
pub(crate) struct Met {
    pub(crate) client: Result<Peer, HandshakeError>,
    pub(crate) server: Result<Peer, HandshakeError>,
}

impl Met {
    /// Both ends as text: who was met, or why not.
    pub(crate) fn text(&self) -> (String, String) {
        (text(&self.client), text(&self.server))
    }
}

/// `client` opens TLS to `server`, which must be one of `expected`; each sends the other a word.
pub(crate) async fn meet(client: &Certificate, expected: &[Identity], server: &Certificate) -> Met {
    let (a, b) = tokio::io::duplex(64 * 1024);
    let client = async {
        let secured = tls::connect(client, expected.into(), a).await?;
        let mut io = secured.io;
        talk(&mut io).await.map_err(HandshakeError::of)?;
        Ok(secured.peer)
    };
    let server = async {
        let secured = tls::accept(server, b).await?;
        let mut io = secured.io;
        talk(&mut io).await.map_err(HandshakeError::of)?;
        Ok(secured.peer)
    };
    let (client, server) = tokio::join!(client, server);
    Met { client, server }
}

/// Sends a word and reads the other's.
pub(crate) async fn talk(
    io: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
) -> io::Result<()> {
    io.write_all(b"word").await?;
    io.flush().await?;
    let mut word = [0; 4];
    io.read_exact(&mut word).await?;
    assert_eq!(&word, b"word");
    Ok(())
}

pub(crate) fn text(met: &Result<Peer, HandshakeError>) -> String {
    match met {
        Ok(peer) => peer.identity().to_string(),
        Err(error @ (HandshakeError::Io(_) | HandshakeError::Refused(_))) => error.to_string(),
        Err(error) => chain(error),
    }
}

/// An error and its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
