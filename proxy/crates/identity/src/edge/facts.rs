//! What is known after a handshake.
use super::names::Names;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::{CommonState, HandshakeKind, NamedGroup, ProtocolVersion};
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, sync::Arc};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// How a connection is secured, and who is at its other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3`, as Envoy writes it.
    pub version: &'static str,
    /// `TLS_AES_128_GCM_SHA256`, as IANA writes it.
    pub cipher: Option<String>,
    /// Of the key exchange, as OpenSSL writes it; empty if there was none.
    pub group: &'static str,
    /// An earlier session goes on.
    pub resumed: bool,
    pub sni: Option<Arc<str>>,
    pub alpn: Option<Arc<[u8]>>,
    /// The peer's certificate; `None`: it showed none.
    pub peer: Option<Arc<Shown>>,
    /// Our own.
    pub own: Option<Arc<Shown>>,
}

/// A chain that was shown, the leaf first; what it says is read when somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(Box<[CertificateDer<'static>]>);

/// What a certificate says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub names: Names,
    /// RFC 2253.
    pub subject: String,
    pub issuer: String,
    /// In lower-case hexadecimal.
    pub serial: String,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
}

impl TlsFacts {
    pub(super) fn of(
        tls: &CommonState,
        sni: Option<&str>,
        own: Option<&[CertificateDer<'static>]>,
    ) -> Self {
        let shown = |chain: &[CertificateDer<'_>]| {
            Arc::new(Shown(chain.iter().map(|der| der.clone().into_owned()).collect()))
        };
        Self {
            version: match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                Some(_) | None => "TLSv1.3",
            },
            cipher: tls.negotiated_cipher_suite().map(|suite| iana(suite.suite().as_str())),
            group: tls.negotiated_key_exchange_group().map_or("", |group| name(group.name())),
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
            sni: sni.filter(|sni| !sni.is_empty()).map(Into::into),
            alpn: tls.alpn_protocol().map(Into::into),
            peer: tls.peer_certificates().map(shown),
            own: own.map(shown),
        }
    }
}

impl Shown {
    /// Of DER, the leaf first.
    pub fn new<'a>(chain: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(chain.into_iter().map(|der| CertificateDer::from(der.to_vec())).collect())
    }

    /// DER, the leaf first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }

    fn leaf(&self) -> &[u8] {
        self.chain().next().unwrap_or_default()
    }

    /// SHA-256 of the leaf, in lower-case hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(self.leaf()))
    }

    /// SHA-1 of the leaf, for those who still compare it.
    #[must_use]
    pub fn fingerprint_sha1(&self) -> String {
        hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, self.leaf()).as_ref())
    }

    /// What the leaf says; nothing, if it cannot be read.
    #[must_use]
    pub fn said(&self) -> Said {
        let Ok((_, read)) = X509Certificate::from_der(self.leaf()) else { return Said::default() };
        Said {
            names: Names::of(self.leaf()).unwrap_or_default(),
            subject: rfc2253(read.subject()),
            issuer: rfc2253(read.issuer()),
            serial: hex(read.raw_serial()),
            not_before: read.validity().not_before.timestamp(),
            not_after: read.validity().not_after.timestamp(),
        }
    }

    /// PEM, with every byte that is no letter or digit escaped, as in `x-forwarded-client-cert`.
    #[must_use]
    pub fn escaped_pem(&self, whole_chain: bool) -> String {
        let most = if whole_chain { self.0.len() } else { 1 };
        let pem: String =
            self.chain().take(most).map(|der| crate::armor::block("CERTIFICATE", der)).collect();
        pem.bytes().fold(String::new(), |mut out, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    out.push(char::from(byte));
                }
                // Writing to a string cannot fail.
                _ => _ = write!(out, "%{byte:02X}"),
            }
            out
        })
    }
}

/// The last of a name first, as RFC 2253 wants it.
fn rfc2253(name: &x509_parser::x509::X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for rdn in name.iter_rdn() {
        let one = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            let oid = attribute.attr_type();
            let short = x509_parser::objects::oid2abbrev(oid, x509_parser::objects::oid_registry());
            let kind = short.map_or_else(|_| oid.to_id_string(), str::to_owned);
            format!("{kind}={}", escape(attribute.as_str().unwrap_or_default()))
        };
        parts.push(rdn.iter().map(one).collect::<Vec<_>>().join("+"));
    }
    parts.reverse();
    parts.join(",")
}

fn escape(value: &str) -> String {
    value.chars().fold(String::new(), |mut out, c| {
        if matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

/// rustls has `TLS13_` where IANA has `TLS_`.
fn iana(suite: Option<&str>) -> String {
    suite.unwrap_or("unknown").replacen("TLS13_", "TLS_", 1)
}

fn name(group: NamedGroup) -> &'static str {
    match group.as_str() {
        Some("secp256r1") => "P-256",
        Some("secp384r1") => "P-384",
        Some("secp521r1") => "P-521",
        Some(other) => other,
        None => "unknown",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string cannot fail.
        _ = write!(out, "{byte:02x}");
        out
    })
}
