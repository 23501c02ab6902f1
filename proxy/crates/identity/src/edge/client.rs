//! A client's side.
use super::{
    EdgeError,
    check::Checker,
    facts::TlsFacts,
    material::{self, Secrets},
    suite,
};
use crate::{
    clock::{Clock, TlsTime},
    tls::HandshakeError,
};
use culvert_model::http::tls::{UpstreamTls, Validation};
use rustls::{
    ClientConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption},
    sign::CertifiedKey,
};
use rustls_pki_types::ServerName;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How connections to the endpoints of a cluster begin.
#[derive(Clone)]
pub struct ClientSide {
    config: Arc<ClientConfig>,
    own: Arc<[Arc<CertifiedKey>]>,
    sni: Arc<str>,
    sni_of_endpoint: bool,
}

/// What one connection says of its server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// Instead of the context's: of the request's host (`auto_sni`).
    pub sni: Option<&'a str>,
    /// The endpoint's own host name.
    pub endpoint: Option<&'a str>,
}

/// The first certificate that the server can check.
#[derive(Debug)]
struct Certificates(Arc<[Arc<CertifiedKey>]>);

impl ClientSide {
    /// The side of a context and the secrets that it names; `alpn` counts in place of the
    /// context's.
    ///
    /// # Errors
    ///
    /// When a secret is missing or another one than it must be, or asks for what there is not.
    pub fn new(
        context: &UpstreamTls,
        alpn: Option<&[&str]>,
        secrets: &dyn Secrets,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, EdgeError> {
        let UpstreamTls { common, sni, sni_of_endpoint, validate_sni, max_session_keys } = context;
        let own: Arc<[_]> = material::certificates(common, secrets)?.into();
        let (provider, versions) = suite::of(common)?;
        let validation = common.validation.as_deref();
        let validation = validation.map(|from| material::validation(from, secrets)).transpose()?;
        let wanted = validation.unwrap_or_else(Validation::default);
        let checker = Checker::new(wanted, &provider)?.by_sni(*validate_sni);
        let time = Arc::new(TlsTime(Arc::clone(clock)));
        let config = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(&versions)
            .map_err(|error| EdgeError::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(checker));
        let mut config = match own.is_empty() {
            true => config.with_no_client_auth(),
            false => config.with_client_cert_resolver(Arc::new(Certificates(Arc::clone(&own)))),
        };
        config.alpn_protocols = match alpn {
            Some(alpn) => alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
            None => common.alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
        };
        config.resumption = match usize::try_from(*max_session_keys) {
            Ok(0) | Err(_) => Resumption::disabled(),
            Ok(sessions) => Resumption::in_memory_sessions(sessions),
        };
        let (sni, sni_of_endpoint) = (Arc::clone(sni), *sni_of_endpoint);
        Ok(Self { config: Arc::new(config), own, sni, sni_of_endpoint })
    }

    /// Opens TLS on a connection.
    ///
    /// # Errors
    ///
    /// When the server is not who it must be, or TLS fails.
    pub async fn connect<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        asked: Asked<'_>,
        io: IO,
    ) -> Result<(TlsStream<IO>, TlsFacts), HandshakeError> {
        let of_endpoint = asked.endpoint.filter(|_| self.sni_of_endpoint);
        let sni = of_endpoint.or(asked.sni).unwrap_or(&self.sni);
        // An address is never sent as a name.
        let nobody = ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let name = ServerName::try_from(sni.to_owned()).unwrap_or(nobody);
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let io = connector.connect(name, io).await.map_err(HandshakeError::of)?;
        let (_, tls) = io.get_ref();
        let facts = TlsFacts::of(tls, Some(sni), self.own.first().map(|own| &own.cert[..]));
        Ok((io, facts))
    }
}

impl ResolvesClientCert for Certificates {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let Self(all) = self;
        all.iter().find(|certified| certified.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSide").field("sni", &self.sni).finish_non_exhaustive()
    }
}
