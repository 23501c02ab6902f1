//! Ends that are not ours: a plain rustls with whatever certificate a test makes for it.
use crate::world::{Mesh, START, chain, id, talk};
use culvert_identity::{
    certificate::Certificate,
    tls::{self, HandshakeError},
};
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use std::{fs, sync::Arc};
use time::OffsetDateTime;
use tokio_rustls::TlsConnector;

/// Believes every server.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A mesh, and the key and certificate of its root, for certificates nobody else would issue.
pub(crate) fn mesh_with_key() -> (Mesh, Issuer<'static, KeyPair>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let authority = culvert_identity::ca::files::kept(&path, "td", START).unwrap();
    let pem = fs::read_to_string(&path).unwrap();
    let certificate = pem.find("-----BEGIN CERT").map(|at| pem.split_at(at).1).unwrap();
    let key = KeyPair::from_pem(&pem).unwrap();
    (Mesh::of(authority), Issuer::from_ca_cert_pem(certificate, key).unwrap())
}

/// A client's configuration with a certificate for `uris`, edited.
fn client(
    signing: &Issuer<'static, KeyPair>,
    uris: &[&str],
    edit: impl FnOnce(&mut CertificateParams),
) -> ClientConfig {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let now = OffsetDateTime::from_unix_timestamp(i64::try_from(START.as_secs()).unwrap()).unwrap();
    params.not_before = now - time::Duration::HOUR;
    params.not_after = now + time::Duration::HOUR;
    params.subject_alt_names =
        uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    edit(&mut params);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, signing).unwrap().der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    builder().with_client_auth_cert(vec![leaf], key.into()).unwrap()
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
}

/// What the stranger reads, and whom the server of `own` met.
async fn visit(own: &Certificate, config: ClientConfig) -> (String, String) {
    let (a, b) = tokio::io::duplex(64 * 1024);
    let client = async {
        let name = ServerName::try_from("nobody.example").unwrap();
        let mut io = TlsConnector::from(Arc::new(config)).connect(name, a).await?;
        talk(&mut io).await
    };
    let server = async {
        let mut secured = tls::accept(own, b).await?;
        talk(&mut secured.io).await.map_err(HandshakeError::of)?;
        Ok::<_, HandshakeError>(secured.peer.identity().to_string())
    };
    let (client, server) = tokio::join!(client, server);
    let client =
        client.map_or_else(|error| HandshakeError::of(error).to_string(), |()| "ok".into());
    (client, server.unwrap_or_else(|error| chain(&error)))
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_protocol_is_taken_and_one_with_another_is_not() {
    let (mesh, signing) = mesh_with_key();
    let node = mesh.node();
    let own = node.certificate("cart").await;
    let uri = id("bank").to_string();
    let with = |alpn: &[&str]| {
        let mut config = client(&signing, &[&uri], |_| {});
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    };
    assert_eq!(visit(&own, with(&[])).await, ("ok".to_owned(), uri.clone()));
    assert_eq!(visit(&own, with(&["http/1.1", "h2"])).await, ("ok".to_owned(), uri.clone()));
    let (client, _) = visit(&own, with(&["http/1.1"])).await;
    assert_eq!(client, "the peer refused the handshake: NoApplicationProtocol");
}

#[tokio::test(start_paused = true)]
async fn the_first_readable_name_is_the_peers_and_any_of_our_domain_admits_it() {
    let (mesh, signing) = mesh_with_key();
    let node = mesh.node();
    let own = node.certificate("cart").await;
    let (bank, far) = (id("bank").to_string(), "spiffe://elsewhere/ns/a/sa/b");
    let of = |uris: &[&str]| client(&signing, uris, |_| {});
    assert_eq!(visit(&own, of(&["https://x", &bank, far])).await, ("ok".to_owned(), bank.clone()));
    assert_eq!(visit(&own, of(&[far, &bank])).await, ("ok".to_owned(), far.to_owned()));
    let unknown = "the peer refused the handshake: CertificateUnknown";
    let (client, server) = visit(&own, of(&["spiffe://td/not/a/workload"])).await;
    assert_eq!(client, unknown);
    assert_eq!(server, "the peer is not who it must be: the certificate names no SPIFFE identity");
}

#[tokio::test(start_paused = true)]
async fn a_client_with_no_certificate_or_one_for_servers_only_is_refused() {
    let (mesh, signing) = mesh_with_key();
    let node = mesh.node();
    let own = node.certificate("cart").await;
    let (client_saw, server) = visit(&own, builder().with_no_client_auth()).await;
    assert_eq!(client_saw, "the peer refused the handshake: CertificateRequired");
    assert_eq!(server, "the peer is not who it must be: there was no certificate");

    let server_only = client(&signing, &[&id("bank").to_string()], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let (_, server) = visit(&own, server_only).await;
    assert!(server.contains("the certificate chain is not valid"), "{server}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_speaks_tls_1_2_at_most_is_told_so() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mesh = Mesh::new();
    let node = mesh.node();
    let own = node.certificate("cart").await;
    let (mut a, b) = tokio::io::duplex(64 * 1024);
    a.write_all(&client_hello_of_tls_1_2()).await.unwrap();
    let server = tls::accept(&own, b).await;
    assert!(matches!(server, Err(HandshakeError::Tls(_))), "{server:?}");
    let mut answer = Vec::new();
    a.read_to_end(&mut answer).await.unwrap();
    // A fatal alert, protocol_version (RFC 8446 §6).
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 70]);
}

#[tokio::test]
async fn a_client_that_is_still_sending_when_it_is_refused_hears_why() {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };
    let mesh = Mesh::new();
    let node = mesh.node();
    let own = node.certificate("cart").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (io, _) = listener.accept().await.unwrap();
    let client = async {
        client.write_all(&client_hello_of_tls_1_2()).await.unwrap();
        client.readable().await.unwrap();
        // The verdict is there and not read: as OpenSSL does, that sends its flight piece by piece
        // and gives up when a piece cannot be sent. To a closed socket the second could not.
        client.write_all(&[0; 100]).await.unwrap();
        client.write_all(&[0; 100]).await.unwrap();
        let mut answer = [0; 7];
        client.read_exact(&mut answer).await.unwrap();
        drop(client);
        answer
    };
    let (server, answer) = tokio::join!(tls::accept(&own, io), client);
    assert!(server.is_err());
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 70]);
}

/// Offers ECDHE-ECDSA with AES-128-GCM on P-256, signed with ECDSA and SHA-256.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let extensions: &[u8] = &[
        0, 10, 0, 4, 0, 2, 0, 23, // supported_groups
        0, 13, 0, 4, 0, 2, 4, 3, // signature_algorithms
    ];
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend(extensions);
    let length = u8::try_from(hello.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], &*hello].concat()
}
