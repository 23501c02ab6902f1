//! The way to a control plane: TCP, then TLS in which it proves who it is, and we may.
use crate::{
    armor,
    certificate::Certificate,
    clock::{Clock, SystemClock},
    join::{JoinError, Token},
    store::Identities,
    tls::{self, HandshakeError},
    trust::{NotTrust, Trust, TrustStore},
    verify::{NamedVerifier, ServerVerifier},
};
use culvert_model::identity::Identity;
use culvert_runtime::publish;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName};
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{net::TcpStream, time};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Nobody answers within this.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way to one control plane; cheap to clone.
#[derive(Clone, Debug)]
pub struct Way {
    /// `host:port`.
    address: Arc<str>,
    server: Server,
    anchors: Anchors,
    mesh: Option<TrustStore>,
    /// Of all clones: whoever issues certificates goes this way too.
    own: Arc<OnceLock<(Identities, Identity)>>,
    clock: Arc<dyn Clock>,
}

/// Who the control plane must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// The embedded one: [`node::control_plane`](crate::node::control_plane).
    Identity(Identity),
    /// A host name or an address in its certificate.
    Name(String),
}

/// Under which roots the control plane's certificate must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchors {
    Pem(Vec<CertificateDer<'static>>),
    /// PEM, read anew for each connection.
    File(PathBuf),
    /// A join token, read anew for each connection.
    Token(PathBuf),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the roots in {} cannot be used", .path.display())]
    Roots {
        path: PathBuf,
        #[source]
        source: armor::PemError,
    },
    #[error("{} is no good", .path.display())]
    Token {
        path: PathBuf,
        #[source]
        source: JoinError,
    },
    #[error("there is no root to believe the control plane by")]
    NoRoots(#[from] NotTrust),
    #[error("\"{0}\" is neither a host name nor an address")]
    Name(String),
    #[error("cannot connect to {address}")]
    Tcp {
        address: Arc<str>,
        #[source]
        source: io::Error,
    },
    #[error("{address} is not the control plane that it must be")]
    Tls {
        address: Arc<str>,
        #[source]
        source: HandshakeError,
    },
    #[error("TLS cannot be used")]
    Config(#[source] rustls::Error),
    #[error("{0} did not answer within {PATIENCE:?}")]
    Slow(Arc<str>),
}

impl Way {
    /// To `address`, which is `host:port`.
    pub fn new(address: &str, server: Server, anchors: Anchors) -> Self {
        let clock = Arc::new(SystemClock);
        Self { address: address.into(), server, anchors, mesh: None, own: Arc::default(), clock }
    }

    /// Believes the roots of the mesh too, once there are any: a root that replaces the one of the
    /// beginning is learnt with certificates.
    #[must_use]
    pub fn with_mesh(self, mesh: TrustStore) -> Self {
        Self { mesh: Some(mesh), ..self }
    }

    /// Shows the certificate of `identity` whenever there is a valid one, also on the ways that
    /// this one was cloned from or to. The first call counts.
    #[must_use]
    pub fn with_own(self, identities: Identities, identity: Identity) -> Self {
        if self.own.set((identities, identity)).is_err() {
            tracing::error!(address = &*self.address, "a second certificate for one way");
        }
        self
    }

    /// Goes by another clock than the machine's.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Whether there is a certificate to show now: then nothing else need prove who we are.
    pub fn shows_own(&self) -> bool {
        self.shown().is_some()
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// When nobody answers in time, or it is somebody else. That the control plane refuses our
    /// certificate shows at the first read.
    pub async fn open(&self) -> Result<TlsStream<TcpStream>, ConnectError> {
        let opened = time::timeout(PATIENCE, self.open_slowly()).await;
        opened.map_err(|_elapsed| ConnectError::Slow(Arc::clone(&self.address)))?
    }

    /// Like [`open`](Self::open), as connectors want it.
    ///
    /// # Errors
    ///
    /// As it does.
    pub async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        self.open().await.map_err(io::Error::other)
    }

    fn shown(&self) -> Option<Arc<Certificate>> {
        let (identities, identity) = self.own.get()?;
        identities.certificate_now(identity)
    }

    async fn open_slowly(&self) -> Result<TlsStream<TcpStream>, ConnectError> {
        let address = || Arc::clone(&self.address);
        let (verifier, name) = self.verifier()?;
        let own = self.shown();
        let own = own.as_ref().map(|own| own.signer());
        let config = tls::control_client_config(verifier, own, &self.clock);
        let config = Arc::new(config.map_err(ConnectError::Config)?);
        let tcp = TcpStream::connect(&*self.address).await;
        let tcp = tcp.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp));
        let tcp = tcp.map_err(|source| ConnectError::Tcp { address: address(), source })?;
        let opened = TlsConnector::from(config).connect(name, tcp).await;
        opened.map_err(|error| ConnectError::Tls {
            address: address(),
            source: HandshakeError::of(error),
        })
    }

    fn verifier(&self) -> Result<(Arc<dyn ServerCertVerifier>, ServerName<'static>), ConnectError> {
        let trust = self.trust()?;
        Ok(match &self.server {
            Server::Identity(identity) => {
                let (_, trust) = publish::channel(trust);
                let verifier = ServerVerifier::new(trust, [identity.clone()].into());
                // Never sent, and the verifier does not look at it.
                let nobody = ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                (Arc::new(verifier), nobody)
            }
            Server::Name(name) => {
                let read = ServerName::try_from(name.clone());
                let name = read.map_err(|_form| ConnectError::Name(name.clone()))?;
                (Arc::new(NamedVerifier::new(trust)), name)
            }
        })
    }

    /// The roots of the beginning and those of the mesh. The former may be gone by then.
    fn trust(&self) -> Result<Trust, ConnectError> {
        let mesh = self.mesh.as_ref().map(|mesh| mesh.view().pin().value.clone());
        let mesh = mesh.unwrap_or_default();
        match self.anchors.read() {
            Ok(roots) => Ok(mesh.with(&roots)?),
            Err(_gone) if !mesh.roots().is_empty() => Ok(mesh),
            Err(error) => Err(error),
        }
    }
}

impl Anchors {
    /// Blocks its thread for the time a few kilobytes take.
    fn read(&self) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
        let text = |path: &PathBuf| {
            let read = fs::read_to_string(path);
            read.map_err(|source| ConnectError::Read { path: path.clone(), source })
        };
        match self {
            Self::Pem(roots) => Ok(roots.clone()),
            Self::File(path) => armor::certificates(text(path)?.as_bytes())
                .map_err(|source| ConnectError::Roots { path: path.clone(), source }),
            Self::Token(path) => match Token::parse(&text(path)?) {
                Ok(token) => Ok(token.roots().to_vec()),
                Err(source) => Err(ConnectError::Token { path: path.clone(), source }),
            },
        }
    }
}
