//! Transport security on both sides.
use super::{
    matcher::StringMatch,
    secret::{Certificate, KeyHandle, SecretRef},
};
use std::sync::Arc;

/// How connections of a filter chain begin.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum DownstreamTransport {
    #[default]
    Plain,
    Tls(Arc<DownstreamTls>),
}

/// How connections to an endpoint begin.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum UpstreamTransport {
    #[default]
    Plain,
    Tls(Arc<UpstreamTls>),
    /// A PROXY header first.
    ProxyProtocol {
        version: ProxyVersion,
        inner: Arc<Self>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    V1,
    V2,
}

/// A server's side.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as Envoy has them")]
pub struct DownstreamTls {
    pub common: CommonTls,
    pub require_client_certificate: bool,
    pub require_sni: bool,
    /// With tickets, as Envoy has it unless told otherwise.
    pub stateless_resumption: bool,
    pub stateful_resumption: bool,
    /// Keys shared between proxies; `None`: our own.
    pub ticket_keys: Option<SecretRef>,
    pub ocsp: OcspPolicy,
}

/// When a certificate may be used without a fresh staple.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OcspPolicy {
    #[default]
    Lenient,
    Strict,
    Must,
}

/// A client's side.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamTls {
    pub common: CommonTls,
    /// Empty: none is sent, unless it follows from the request or the endpoint.
    pub sni: Arc<str>,
    /// The SNI is the endpoint's hostname (`auto_host_sni`).
    pub sni_of_endpoint: bool,
    /// The SNI must be among the server's names (`auto_sni_san_validation`).
    pub validate_sni: bool,
    /// Envoy: 1; 0: no resumption.
    pub max_session_keys: u32,
}

/// What both sides say.
#[derive(Clone, Debug, PartialEq)]
pub struct CommonTls {
    /// Envoy: 1.2.
    pub min: TlsVersion,
    /// Envoy: a server 1.3, a client 1.2; ours is 1.3 for both.
    pub max: TlsVersion,
    /// As they are written (`ECDHE-ECDSA-AES128-GCM-SHA256`); empty: ours.
    pub ciphers: Arc<[Arc<str>]>,
    pub curves: Arc<[Arc<str>]>,
    pub certificates: Arc<[CertificateSource]>,
    /// `None`: whoever is at the other end, nothing is checked.
    pub validation: Option<Arc<ValidationSource>>,
    /// In the order of preference.
    pub alpn: Arc<[Arc<str>]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateSource {
    Inline(Arc<Certificate>),
    Secret(SecretRef),
}

/// What the peer's certificate is checked against: what is said here, and what a secret says.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidationSource {
    /// Where both say something, a list is joined and the secret's value counts.
    pub here: Arc<Validation>,
    pub secret: Option<SecretRef>,
}

/// What a peer's certificate must be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    pub trusted: Option<Trust>,
    /// Any of them.
    pub sans: Arc<[SanMatch]>,
    /// SHA-256 of its key; any of them.
    pub spki: Arc<[[u8; 32]]>,
    /// SHA-256 of the certificate; any of them, or of `spki`.
    pub hashes: Arc<[[u8; 32]]>,
    /// Revocation lists.
    pub revoked: Option<Revoked>,
    pub only_leaf_crl: bool,
    pub allow_expired: bool,
    /// A peer that cannot be verified is let in all the same.
    pub accept_untrusted: bool,
    /// At most so many between leaf and root.
    pub max_depth: Option<u32>,
    /// By trust domain, of the SPIFFE validator; counts in place of `trusted`.
    pub domains: Option<TrustDomains>,
}

/// What is trusted, by trust domain.
pub type TrustDomains = Arc<[(Arc<str>, Trust)]>;

/// Certificates that are trusted.
#[derive(Clone, Debug, PartialEq)]
pub enum Trust {
    /// DER.
    Certificates(Arc<[Arc<[u8]>]>),
    File(SecretRef),
    /// What the operating system trusts.
    System,
    /// What the mesh trusts, with its revocations; `identity` knows what that is.
    Kept(KeyHandle),
}

/// Revocation lists.
#[derive(Clone, Debug, PartialEq)]
pub enum Revoked {
    /// DER.
    Lists(Arc<[Arc<[u8]>]>),
    File(SecretRef),
}

/// One name that a certificate may have.
#[derive(Clone, Debug, PartialEq)]
pub struct SanMatch {
    pub kind: SanKind,
    pub value: StringMatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SanKind {
    /// Of any kind: the deprecated form.
    Any,
    Email,
    Dns,
    Uri,
    Ip,
    /// Another name, by its OID.
    Other(Arc<str>),
}
