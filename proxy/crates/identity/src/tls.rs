//! Mutual TLS 1.3 between workloads.
//!
//! No names are sent, nothing is resumed: who is asked stands in the certificate, and every
//! handshake is checked against the trust of its moment, revocations included. Tunnels live long
//! enough to make a saved handshake worth little.
use crate::{
    certificate::Certificate,
    clock::{Clock, TlsTime},
    signer::Signer,
    trust::Trust,
    verify::{ClientVerifier, Peer, ServerVerifier, Side, VerifyError},
};
use culvert_model::identity::Identity;
use culvert_runtime::publish::View;
use rustls::{
    AlertDescription, ClientConfig, Error, ServerConfig,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs},
    server::{NoServerSessionStorage, ResolvesServerCert},
    version::TLS13,
};
use rustls_pki_types::{ServerName, UnixTime};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// The application protocol of tunnels.
pub const ALPN: &[u8] = b"h2";

/// How long a refused client may take to read our alert.
pub const LINGER: Duration = Duration::from_secs(1);

/// What a refused client may still send; more is not read.
const LAST_WORDS: u64 = 64 * 1024;

/// The cryptography of the mesh; post-quantum where the peer can, else classical.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            // Processors compute SHA-256 themselves; SHA-384 took 7 % of a handshake.
            aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
            aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ],
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    })
});

/// A connection whose other end is known.
#[derive(Debug)]
pub struct Secured<IO> {
    pub io: IO,
    pub peer: Peer,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// We did not believe the peer.
    #[error("the peer is not who it must be")]
    Peer(#[from] VerifyError),
    /// The peer did not believe us, or could not agree with us.
    #[error("the peer refused the handshake: {}", alert(*.0))]
    Refused(AlertDescription),
    #[error("the TLS handshake failed")]
    Tls(#[source] Error),
    #[error("the connection broke during the TLS handshake")]
    Io(#[source] io::Error),
}

/// Opens TLS as the workload of `own` to a server that must be one of the `expected`.
///
/// # Errors
///
/// When it is another, or TLS fails. TLS 1.3 lets a client finish before the server has judged
/// its certificate: that it was refused shows at the first read.
pub async fn connect<IO: AsyncRead + AsyncWrite + Unpin>(
    own: &Certificate,
    expected: Arc<[Identity]>,
    io: IO,
) -> Result<Secured<client::TlsStream<IO>>, HandshakeError> {
    let connector = TlsConnector::from(own.client_config(expected));
    // Never sent, and the verifier does not look at it.
    let nobody = ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let io = connector.connect(nobody, io).await.map_err(HandshakeError::of)?;
    let (_, tls) = io.get_ref();
    let peer =
        peer(tls.peer_certificates(), Side::Server, now(&own.server_config().time_provider))?;
    Ok(Secured { io, peer })
}

/// Accepts TLS as the workload of `own`.
///
/// A client that is refused is waited for up to [`LINGER`], so that it hears why.
///
/// # Errors
///
/// When the client has no certificate of our trust domain, or TLS fails.
pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
    own: &Certificate,
    io: IO,
) -> Result<Secured<server::TlsStream<IO>>, HandshakeError> {
    let acceptor = TlsAcceptor::from(Arc::clone(own.server_config()));
    let io = match acceptor.accept(io).into_fallible().await {
        Ok(io) => io,
        Err((error, io)) => {
            hear_out(io).await;
            return Err(HandshakeError::of(error));
        }
    };
    let (_, tls) = io.get_ref();
    let peer =
        peer(tls.peer_certificates(), Side::Client, now(&own.server_config().time_provider))?;
    Ok(Secured { io, peer })
}

impl HandshakeError {
    /// What ended a handshake, or the first read after it.
    pub fn of(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match tls {
            Some(tls) => Self::of_tls(tls.clone()),
            None => Self::Io(error),
        }
    }

    /// What TLS itself ended a connection with, be it the handshake's or later; `None`: something
    /// else did.
    pub fn within(error: &io::Error) -> Option<Self> {
        let tls = error.get_ref()?.downcast_ref::<Error>()?;
        Some(Self::of_tls(tls.clone()))
    }

    /// Whether a certificate was revoked, ours or the peer's.
    pub fn is_revoked(&self) -> bool {
        match self {
            Self::Peer(why) => matches!(why, VerifyError::Revoked),
            Self::Refused(alert) => *alert == AlertDescription::CertificateRevoked,
            Self::Tls(_) | Self::Io(_) => false,
        }
    }

    pub(crate) fn of_tls(error: Error) -> Self {
        if let Error::AlertReceived(alert) = error {
            return Self::Refused(alert);
        }
        match VerifyError::of(&error) {
            Some(peer) => Self::Peer(peer),
            None => Self::Tls(error),
        }
    }
}

/// What every signature is checked with.
pub(crate) fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> =
        LazyLock::new(|| PROVIDER.signature_verification_algorithms);
    &ALGORITHMS
}

/// 64 random bits for jitter; zeros where there is no randomness.
pub(crate) fn dice() -> u64 {
    let mut bytes = [0; 8];
    match PROVIDER.secure_random.fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => 0,
    }
}

pub(crate) fn server_config(
    signer: &Signer,
    own: &Identity,
    trust: View<Trust>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, Error> {
    let time = Arc::new(TlsTime(Arc::clone(clock)));
    let mut config = ServerConfig::builder_with_details(Arc::clone(&PROVIDER), time)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(ClientVerifier::new(trust, own)))
        .with_cert_resolver(Arc::new(signer.clone()));
    config.ignore_client_order = true;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // For `channel`, which opens and seals the records itself.
    config.enable_secret_extraction = true;
    Ok(config)
}

/// For a control plane's own certificate: clients may show one, and need not.
pub(crate) fn control_server_config(
    certificate: Arc<dyn ResolvesServerCert>,
    trust_domain: &str,
    trust: View<Trust>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, Error> {
    let time = Arc::new(TlsTime(Arc::clone(clock)));
    let clients = ClientVerifier::optional(trust, trust_domain);
    let mut config = ServerConfig::builder_with_details(Arc::clone(&PROVIDER), time)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(clients))
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For whoever asks by HTTP/1.1 and proves nothing.
pub(crate) fn web_server_config(
    certificate: Arc<dyn ResolvesServerCert>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, Error> {
    let time = Arc::new(TlsTime(Arc::clone(clock)));
    let mut config = ServerConfig::builder_with_details(Arc::clone(&PROVIDER), time)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Towards a control plane: it proves who it is, we may.
pub(crate) fn control_client_config(
    control_plane: Arc<dyn ServerCertVerifier>,
    own: Option<&Signer>,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, Error> {
    let time = Arc::new(TlsTime(Arc::clone(clock)));
    let config = ClientConfig::builder_with_details(Arc::clone(&PROVIDER), time)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(control_plane);
    let mut config = match own {
        Some(own) => config.with_client_cert_resolver(Arc::new(own.clone())),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Believes no server: [`Certificate::client_config`] says which are expected.
pub(crate) fn client_config(
    signer: &Signer,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, Error> {
    let time = Arc::new(TlsTime(Arc::clone(clock)));
    let (_, nobody) = culvert_runtime::publish::channel(Trust::default());
    let verifier = ServerVerifier::new(nobody, Arc::default());
    let mut config = ClientConfig::builder_with_details(Arc::clone(&PROVIDER), time)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(signer.clone()));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.enable_secret_extraction = true;
    Ok(config)
}

/// Closes without losing the alert that was sent last.
///
/// A client may still be sending when it is refused, and a socket that is closed with something
/// unread is reset: the reset would overtake the alert.
pub(crate) async fn hear_out(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let last = async {
        io.shutdown().await?;
        tokio::io::copy(&mut (&mut io).take(LAST_WORDS), &mut tokio::io::sink()).await
    };
    // The handshake has failed already; how this ends changes nothing.
    drop(time::timeout(LINGER, last).await);
}

pub(crate) fn peer(
    chain: Option<&[rustls_pki_types::CertificateDer<'_>]>,
    side: Side,
    at: UnixTime,
) -> Result<Peer, VerifyError> {
    Peer::try_new(chain.unwrap_or_default(), side, at)
}

/// Our clock never fails to tell.
pub(crate) fn now(time: &Arc<dyn rustls::time_provider::TimeProvider>) -> UnixTime {
    time.current_time().unwrap_or_else(|| UnixTime::since_unix_epoch(Duration::ZERO))
}

/// The name of an alert as the standard writes it.
fn alert(alert: AlertDescription) -> String {
    alert.as_str().unwrap_or("unknown alert").to_owned()
}
