//! A server's side.
use super::{
    EdgeError,
    check::Checker,
    facts::TlsFacts,
    material::{self, Secrets},
    names::Names,
    suite,
};
use crate::{clock::Clock, clock::TlsTime, tls::HandshakeError};
use culvert_model::http::tls::{DownstreamTls, OcspPolicy, Validation};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{
        Acceptor, ClientHello, NoClientAuth, NoServerSessionStorage, ResolvesServerCert,
        ServerSessionMemoryCache, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};
use std::{fmt, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

/// Sessions that are remembered.
const SESSIONS: usize = 4096;

/// How connections of a filter chain begin.
#[derive(Clone)]
pub struct ServerSide {
    config: Arc<ServerConfig>,
    /// For clients none of whose protocols we have: as Envoy does, we speak without one.
    without_protocols: Arc<ServerConfig>,
    own: Arc<[Arc<CertifiedKey>]>,
    require_sni: bool,
}

/// The certificates of a side, and the names that each is for.
#[derive(Debug)]
struct Certificates(Vec<(Names, Arc<CertifiedKey>)>);

impl ServerSide {
    /// The side of a context and the secrets that it names.
    ///
    /// # Errors
    ///
    /// When a secret is missing or another one than it must be, or asks for what there is not.
    pub fn new(
        context: &DownstreamTls,
        secrets: &dyn Secrets,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, EdgeError> {
        let DownstreamTls { common, require_client_certificate, require_sni, .. } = context;
        let own = material::certificates(common, secrets)?;
        if own.is_empty() {
            return Err(EdgeError::NoCertificate);
        }
        let unstapled = own.iter().position(|certificate| certificate.ocsp.is_none());
        if let (OcspPolicy::Must, Some(index)) = (context.ocsp, unstapled) {
            return Err(EdgeError::NoStaple { index });
        }
        let (provider, versions) = suite::of(common)?;
        let validation = common.validation.as_deref();
        let validation = validation.map(|from| material::validation(from, secrets)).transpose()?;
        let clients: Arc<dyn ClientCertVerifier> = match (validation, require_client_certificate) {
            (None, false) => Arc::new(NoClientAuth),
            (None, true) => Arc::new(Checker::new(Validation::default(), &provider)?),
            (Some(wanted), true) => Arc::new(Checker::new(wanted, &provider)?),
            (Some(wanted), false) => Arc::new(Checker::new(wanted, &provider)?.optional()),
        };
        let with_names = |certified: &Arc<CertifiedKey>| {
            let leaf = certified.cert.first().and_then(|leaf| Names::of(leaf));
            (leaf.unwrap_or_default(), Arc::clone(certified))
        };
        let certificates = Certificates(own.iter().map(with_names).collect());
        let time = Arc::new(TlsTime(Arc::clone(clock)));
        let mut config = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&versions)
            .map_err(|error| EdgeError::Tls(error.to_string()))?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = common.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        resume(&mut config, context)?;
        let mut without = config.clone();
        without.alpn_protocols.clear();
        let without_protocols = Arc::new(without);
        Ok(Self {
            config: Arc::new(config),
            without_protocols,
            own: own.into(),
            require_sni: *require_sni,
        })
    }

    /// Accepts a connection.
    ///
    /// # Errors
    ///
    /// When TLS fails; the client was told why.
    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<(TlsStream<IO>, TlsFacts), HandshakeError> {
        let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), io);
        let begun = match (&mut acceptor).await {
            Ok(begun) => begun,
            Err(error) => {
                if let Some(io) = acceptor.take_io() {
                    crate::tls::hear_out(io).await;
                }
                return Err(HandshakeError::of(error));
            }
        };
        let config = Arc::clone(self.config_for(&begun.client_hello()));
        let io = match begun.into_stream(config).into_fallible().await {
            Ok(io) => io,
            Err((error, io)) => {
                crate::tls::hear_out(io).await;
                return Err(HandshakeError::of(error));
            }
        };
        let (_, tls) = io.get_ref();
        if self.require_sni && tls.server_name().is_none() {
            return Err(HandshakeError::Tls(rustls::Error::General(
                "the client named no server".to_owned(),
            )));
        }
        let facts = TlsFacts::of(tls, tls.server_name(), self.own.first().map(|own| &own.cert[..]));
        Ok((io, facts))
    }
}

impl ServerSide {
    fn config_for(&self, hello: &ClientHello<'_>) -> &Arc<ServerConfig> {
        let Some(mut offered) = hello.alpn() else { return &self.config };
        let ours = &self.config.alpn_protocols;
        if offered.any(|one| ours.iter().any(|own| own == one)) {
            &self.config
        } else {
            &self.without_protocols
        }
    }
}

fn resume(config: &mut ServerConfig, context: &DownstreamTls) -> Result<(), EdgeError> {
    config.session_storage = match context.stateful_resumption {
        true => ServerSessionMemoryCache::new(SESSIONS),
        false => Arc::new(NoServerSessionStorage {}),
    };
    if context.stateless_resumption {
        // Tickets of other proxies are not read: a client that changes proxies shakes hands anew.
        config.ticketer = Ticketer::new().map_err(|error| EdgeError::Tls(error.to_string()))?;
    }
    if !context.stateless_resumption && !context.stateful_resumption {
        config.send_tls13_tickets = 0;
    }
    Ok(())
}

impl ResolvesServerCert for Certificates {
    /// The first that is for the name and that the client can check; else the first it can check.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let Self(all) = self;
        let schemes = hello.signature_schemes();
        let fits = |certified: &CertifiedKey| certified.key.choose_scheme(schemes).is_some();
        let mut fitting = all.iter().filter(|(_, certified)| fits(certified)).peekable();
        let first = fitting.peek().map(|(_, certified)| certified).or(all.first().map(|(_, c)| c));
        let named = hello.server_name().and_then(|host| {
            fitting.find(|(names, _)| names.has_host(host)).map(|(_, certified)| certified)
        });
        named.or(first).cloned()
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSide").field("certificates", &self.own.len()).finish_non_exhaustive()
    }
}
