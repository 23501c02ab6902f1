//! Both ends of TLS, with the certificates of all cases.
use crate::{backend::Stream, case};
use rustls::{
    ClientConfig, CommonState, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// Names that certificates have by their files.
const NAMES: &[&str] = &["server", "other", "client", "second", "stranger"];

fn chain(folder: &Path, name: &str) -> Vec<CertificateDer<'static>> {
    let file = CertificateDer::pem_file_iter(folder.join(format!("{name}.pem")));
    file.unwrap().map(Result::unwrap).collect()
}

fn key(folder: &Path, name: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap()
}

fn roots(folder: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(chain(folder, "ca").remove(0)).unwrap();
    roots
}

/// A server of the case: shows `server`, takes certificates of the authority, and none.
pub(crate) fn acceptor(folder: &Path) -> TlsAcceptor {
    let verifier: Arc<dyn ClientCertVerifier> =
        WebPkiClientVerifier::builder(Arc::new(roots(folder)))
            .allow_unauthenticated()
            .build()
            .unwrap();
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(folder, "server"), key(folder, "server"))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// What a server sees of a connection.
pub(crate) fn facts(connection: &rustls::ServerConnection) -> Value {
    json!({
        "sni": connection.server_name(),
        "alpn": connection.alpn_protocol().map(crate::plain::text),
        "client": peer(connection),
    })
}

/// The file's name of the other end's certificate.
fn peer(connection: &CommonState) -> Option<String> {
    let shown = connection.peer_certificates()?.first()?;
    let folder = crate::certificates::folder(&crate::run::folder());
    let is = |name: &&&str| chain(&folder, name).first() == Some(shown);
    Some(NAMES.iter().find(is).map_or("unknown", |name| *name).to_owned())
}

/// A client that takes any certificate of the authority, whatever its name; or how it ended.
pub(crate) async fn connect(
    stream: TcpStream,
    tls: &case::Tls,
    folder: &Path,
) -> Result<impl Stream + use<>, String> {
    let versions: &[_] = if tls.old { &[&rustls::version::TLS12] } else { rustls::ALL_VERSIONS };
    let builder = ClientConfig::builder_with_protocol_versions(versions);
    let verifier = Arc::new(any_name::AnyName::new(roots(folder)));
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &tls.client {
        Some(name) => {
            builder.with_client_auth_cert(chain(folder, name), key(folder, name)).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = tls.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    config.enable_sni = tls.sni.is_some();
    let name = tls.sni.clone().unwrap_or_else(|| "case.test".to_owned());
    let name = ServerName::try_from(name).unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream: TlsStream<TcpStream> = connected.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => "TLS refused".to_owned(),
        _ => "TLS closed".to_owned(),
    })?;
    Ok(stream)
}

/// The file's name of the certificate that whoever answers at `port` shows for `sni`.
pub(crate) async fn shown(port: u16, sni: &str, folder: &Path) -> Option<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let verifier = Arc::new(any_name::AnyName::new(roots(folder)));
    let builder = ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier);
    let config = builder.with_no_client_auth();
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    peer(stream.get_ref().1)
}

mod any_name {
    //! A verifier that asks who signed and not for whom.
    use rustls::{
        DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        pki_types::{CertificateDer, ServerName, UnixTime},
    };
    use std::sync::Arc;

    #[derive(Debug)]
    pub(super) struct AnyName(Arc<WebPkiServerVerifier>);

    impl AnyName {
        pub(super) fn new(roots: RootCertStore) -> Self {
            Self(WebPkiServerVerifier::builder(Arc::new(roots)).build().unwrap())
        }
    }

    impl ServerCertVerifier for AnyName {
        fn verify_server_cert(
            &self,
            end: &CertificateDer<'_>,
            between: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            ocsp: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
            match self.0.verify_server_cert(end, between, name, ocsp, now) {
                Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                    Ok(ServerCertVerified::assertion())
                }
                other => other,
            }
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls12_signature(message, certificate, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls13_signature(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_verify_schemes()
        }
    }
}
