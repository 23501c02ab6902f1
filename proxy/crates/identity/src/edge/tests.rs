//! Both sides against each other; what a stranger's TLS makes of them is seen end to end.
use super::{
    EdgeError,
    client::{Asked, ClientSide},
    facts::TlsFacts,
    key::{self, NotAKey},
    material::Secrets,
    server::ServerSide,
};
use crate::clock::{Clock, SystemClock};
use culvert_model::http::{
    matcher::{StringMatch, StringPattern},
    secret::{Certificate, Secret, SecretRef, SecretSource},
    tls::{
        CertificateSource, CommonTls, DownstreamTls, OcspPolicy, SanKind, SanMatch, TlsVersion,
        Trust, UpstreamTls, Validation, ValidationSource,
    },
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// One with a name of its own, as authorities have.
fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let name = format!("{:x}", Sha256::digest(key.public_key_raw()));
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key).unwrap()
}

/// A certificate of these names; URIs have a colon.
fn leaf_until(
    authority: &Authority,
    names: &[&str],
    end: OffsetDateTime,
) -> (Arc<Certificate>, String) {
    let mut params = CertificateParams::default();
    let name = |name: &&str| match name.contains(':') {
        true => SanType::URI((*name).try_into().unwrap()),
        false => SanType::DnsName((*name).try_into().unwrap()),
    };
    params.subject_alt_names = names.iter().map(name).collect();
    params.not_before = end - Duration::days(2);
    params.not_after = end;
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let chain: Arc<[Arc<[u8]>]> = [Arc::from(&**certificate.der())].into();
    let pem = key.serialize_pem();
    let key = key::keep(&chain, pem.as_bytes(), None).unwrap();
    (Arc::new(Certificate { chain, key, ocsp_staple: None }), pem)
}

fn leaf(authority: &Authority, names: &[&str]) -> Arc<Certificate> {
    leaf_until(authority, names, OffsetDateTime::now_utc() + Duration::days(1)).0
}

fn under(authority: &Authority) -> Validation {
    let root: Arc<[u8]> = Arc::from(&**authority.der());
    Validation { trusted: Some(Trust::Certificates([root].into())), ..Validation::default() }
}

fn common(certificates: &[Arc<Certificate>], wanted: Option<Validation>) -> CommonTls {
    let source = |wanted| Arc::new(ValidationSource { here: Arc::new(wanted), secret: None });
    CommonTls {
        min: TlsVersion::V1_2,
        max: TlsVersion::V1_3,
        ciphers: Arc::default(),
        curves: Arc::default(),
        certificates: certificates.iter().cloned().map(CertificateSource::Inline).collect(),
        validation: wanted.map(source),
        alpn: ["h2".into(), "http/1.1".into()].into(),
    }
}

fn downstream(common: CommonTls, require_client_certificate: bool) -> DownstreamTls {
    DownstreamTls {
        common,
        require_client_certificate,
        require_sni: false,
        stateless_resumption: true,
        stateful_resumption: true,
        ticket_keys: None,
        ocsp: OcspPolicy::Lenient,
    }
}

fn upstream(common: CommonTls, sni: &str) -> UpstreamTls {
    UpstreamTls {
        common,
        sni: sni.into(),
        sni_of_endpoint: false,
        validate_sni: false,
        max_session_keys: 1,
    }
}

fn nothing(_: &SecretRef) -> Option<Secret> {
    None
}

fn server(context: &DownstreamTls) -> ServerSide {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    ServerSide::new(context, &nothing, &clock).unwrap()
}

fn client(context: &UpstreamTls) -> ClientSide {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    ClientSide::new(context, None, &nothing, &clock).unwrap()
}

/// What both know afterwards, or why one of them did not want to.
async fn shake(server: &ServerSide, client: &ClientSide) -> Result<(TlsFacts, TlsFacts), String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (accepted, connected) =
        tokio::join!(server.accept(near), client.connect(Asked::default(), far));
    let say = |error: crate::tls::HandshakeError| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match (accepted, connected) {
        (Ok((_, of_client)), Ok((_, of_server))) => Ok((of_client, of_server)),
        // Who refused knows why; a client of TLS 1.3 has finished before it is refused.
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(say(error)),
        (Err(one), Err(other)) => Err(format!("{}; {}", say(one), say(other))),
    }
}

#[tokio::test]
async fn both_ends_prove_who_they_are_and_know_it_of_each_other() {
    let authority = authority();
    let uri = "spiffe://td/ns/shop/sa/cart";
    let named = SanMatch { kind: SanKind::Uri, value: StringMatch::exact(uri) };
    let wanted = Validation { sans: [named].into(), ..under(&authority) };
    let server_context =
        downstream(common(&[leaf(&authority, &["web.example"])], Some(wanted)), true);
    for (max, version) in [(TlsVersion::V1_2, "TLSv1.2"), (TlsVersion::V1_3, "TLSv1.3")] {
        let mut own = common(&[leaf(&authority, &[uri])], Some(under(&authority)));
        own.max = max;
        let client_side = client(&upstream(own, "web.example"));
        let (of_client, of_server) = shake(&server(&server_context), &client_side).await.unwrap();
        assert_eq!((of_client.version, of_server.version), (version, version));
        assert_eq!(of_client.sni.as_deref(), Some("web.example"));
        assert_eq!(of_client.alpn.as_deref(), Some(&b"h2"[..]));
        assert_eq!(of_client.peer.unwrap().said().names.uris, [uri]);
        assert_eq!(of_server.peer.unwrap().said().names.dns, ["web.example"]);
    }
    let stranger = leaf(&authority, &["spiffe://td/ns/shop/sa/thief"]);
    let other = client(&upstream(common(&[stranger], Some(under(&authority))), "web.example"));
    let refused = shake(&server(&server_context), &other).await.unwrap_err();
    assert!(refused.contains("none of the certificate's names"), "{refused}");
    let nobody = client(&upstream(common(&[], Some(under(&authority))), "web.example"));
    let refused = shake(&server(&server_context), &nobody).await.unwrap_err();
    assert!(refused.contains("there was no certificate"), "{refused}");
}

#[tokio::test]
async fn the_name_that_is_asked_for_chooses_the_certificate() {
    let authority = authority();
    let certificates =
        [leaf(&authority, &["a.example"]), leaf(&authority, &["*.b.example", "b.example"])];
    let server = server(&downstream(common(&certificates, None), false));
    for (sni, own) in [
        ("a.example", "a.example"),
        ("www.b.example", "*.b.example"),
        ("b.example", "*.b.example"),
        ("unknown.example", "a.example"),
        ("", "a.example"),
    ] {
        let client = client(&upstream(common(&[], Some(under(&authority))), sni));
        let (_, of_server) = shake(&server, &client).await.unwrap();
        assert_eq!(of_server.peer.unwrap().said().names.dns[0], own, "{sni}");
    }
    let mut strict = upstream(common(&[], Some(under(&authority))), "unknown.example");
    strict.validate_sni = true;
    let refused = shake(&server, &client(&strict)).await.unwrap_err();
    assert!(refused.contains("none of the certificate's names"), "{refused}");
}

/// What a context wants of a server, and how it ends with this one.
#[tokio::test]
async fn a_server_is_believed_as_the_context_says() {
    let (own, other) = (authority(), authority());
    let yesterday = OffsetDateTime::now_utc() - Duration::days(1);
    let fresh = leaf(&own, &["spiffe://td/server"]);
    let (stale, _) = leaf_until(&own, &["web.example"], yesterday);
    let domain = |authority: &Authority| {
        let trust = under(authority).trusted.unwrap();
        Some(Arc::from([(Arc::from("td"), trust)]))
    };
    let pin = |certificate: &Certificate| [Sha256::digest(&certificate.chain[0]).into()].into();
    let cases: Vec<(&str, &Arc<Certificate>, Validation, Option<&str>)> = vec![
        ("own root", &fresh, under(&own), None),
        ("another root", &fresh, under(&other), Some("not issued under a trusted root")),
        ("nothing", &fresh, Validation::default(), None),
        ("its pin", &fresh, Validation { hashes: pin(&fresh), ..Validation::default() }, None),
        (
            "another pin",
            &fresh,
            Validation { hashes: pin(&stale), ..under(&own) },
            Some("neither the certificate nor its key"),
        ),
        ("expired", &stale, under(&own), Some("Expired")),
        ("allowed to be", &stale, Validation { allow_expired: true, ..under(&own) }, None),
        (
            "expired, another root",
            &stale,
            Validation { allow_expired: true, ..under(&other) },
            Some("not issued under a trusted root"),
        ),
        ("untrusted", &fresh, Validation { accept_untrusted: true, ..under(&other) }, None),
        ("domain", &fresh, Validation { domains: domain(&own), ..Validation::default() }, None),
        (
            "another's domain",
            &fresh,
            Validation { domains: domain(&other), ..Validation::default() },
            Some("not issued under a trusted root"),
        ),
        (
            "no domain",
            &stale,
            Validation { domains: domain(&own), ..Validation::default() },
            Some("no trust domain"),
        ),
        ("a short chain", &fresh, Validation { max_depth: Some(0), ..under(&own) }, None),
    ];
    for (what, certificate, wanted, refusal) in cases {
        let server = server(&downstream(common(std::slice::from_ref(certificate), None), false));
        let client = client(&upstream(common(&[], Some(wanted)), "web.example"));
        let shaken = shake(&server, &client).await;
        match refusal {
            None => assert!(shaken.is_ok(), "{what}: {shaken:?}"),
            Some(why) => {
                let error = shaken.unwrap_err();
                assert!(error.contains(why), "{what}: {error}");
            }
        }
    }
}

#[test]
fn names_are_compared_by_their_kind() {
    let authority = authority();
    let certificate = leaf(&authority, &["*.shop.example", "spiffe://td/a"]);
    let names = super::names::Names::of(&certificate.chain[0]).unwrap();
    let is = |kind: SanKind, pattern: StringPattern| {
        names.are(&SanMatch { kind, value: StringMatch::new(pattern, false) })
    };
    assert!(is(SanKind::Dns, StringPattern::Exact("web.shop.example".into())));
    assert!(!is(SanKind::Dns, StringPattern::Exact("a.web.shop.example".into())));
    assert!(!is(SanKind::Dns, StringPattern::Exact(".shop.example".into())));
    assert!(is(SanKind::Uri, StringPattern::Prefix("spiffe://td/".into())));
    assert!(!is(SanKind::Dns, StringPattern::Prefix("spiffe://td/".into())));
    assert!(is(SanKind::Any, StringPattern::Exact("spiffe://td/a".into())));
    assert!(!is(SanKind::Email, StringPattern::Suffix("example".into())));
}

#[test]
fn a_key_that_does_not_fit_is_refused_where_it_comes_in() {
    let authority = authority();
    let (certificate, pem) = leaf_until(&authority, &["a"], OffsetDateTime::now_utc());
    let other = KeyPair::generate().unwrap().serialize_pem();
    let keep = |pem: &str| key::keep(&certificate.chain, pem.as_bytes(), None).map(drop);
    assert_eq!(keep(&pem), Ok(()));
    assert_eq!(keep(&other), Err(NotAKey::OtherCertificate));
    let encrypted = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(keep(&encrypted), Err(NotAKey::Encrypted));
    assert!(matches!(keep("none"), Err(NotAKey::Pem(_))));
}

#[test]
fn what_a_side_lacks_is_said_by_its_name() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let new = |context: &DownstreamTls, secrets: &dyn Secrets| {
        ServerSide::new(context, secrets, &clock).map(drop).unwrap_err().to_string()
    };
    let none = downstream(common(&[], None), false);
    assert_eq!(new(&none, &nothing), EdgeError::NoCertificate.to_string());
    let named = SecretRef { name: "web".into(), source: SecretSource::Static };
    let mut by_name = none;
    by_name.common.certificates = [CertificateSource::Secret(named)].into();
    assert_eq!(new(&by_name, &nothing), "secret web is not known yet");
    let other = |_: &SecretRef| Some(Secret::Validation(Arc::default()));
    assert_eq!(new(&by_name, &other), "secret web is not a certificate");
    let mut old = downstream(common(&[leaf(&authority(), &["a"])], None), false);
    old.common.ciphers = ["AES128-SHA".into(), "[RC4-MD5|DES-CBC3-SHA]".into()].into();
    assert!(new(&old, &nothing).starts_with("none of the cipher suites AES128-SHA, [RC4-MD5|"));
    old.common.ciphers = ["AES128-SHA".into(), "ECDHE-RSA-AES128-GCM-SHA256".into()].into();
    assert!(ServerSide::new(&old, &nothing, &clock).is_ok());
    old.common.max = TlsVersion::V1_1;
    assert_eq!(new(&old, &nothing), EdgeError::NoVersion.to_string());
}
