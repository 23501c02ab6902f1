//! Whether a peer is who it must be.
//!
//! Of a server: a chain to the roots, and any of its names among the expected. Of a client: a
//! chain to the roots, and any of its names in our own trust domain; policy asks the rest.
//! Names are SPIFFE URIs; what else a certificate says is not looked at.
use crate::{tls, trust::Trust};
use culvert_model::identity::Identity;
use rustls::{CertificateError, Error, OtherError};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;
use webpki::{Cert, EndEntityCert, KeyUsage};

mod believed;

mod ends;

pub(crate) use ends::{ClientVerifier, NamedVerifier, ServerVerifier};

/// What a certificate is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) fn usage(self) -> KeyUsage {
        match self {
            Self::Client => KeyUsage::client_auth(),
            Self::Server => KeyUsage::server_auth(),
        }
    }
}

/// Who is at the other end of a handshake that succeeded.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The first of its names; what policy and telemetry go by.
    identity: Identity,
    side: Side,
    chain: Arc<[CertificateDer<'static>]>,
    /// When the handshake was: a certificate that expires later does not end the connection.
    at: UnixTime,
}

/// Why a peer is not who it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the certificate expired {} s ago", .now.as_secs().saturating_sub(.not_after.as_secs()))]
    Expired { now: UnixTime, not_after: UnixTime },
    #[error("the certificate is not valid before another {} s", .not_before.as_secs().saturating_sub(.now.as_secs()))]
    NotYetValid { now: UnixTime, not_before: UnixTime },
    #[error("the certificate or one of its issuers was revoked")]
    Revoked,
    #[error("the certificate was not issued under a trusted root")]
    UnknownIssuer,
    #[error("the certificate chain is not valid: {0}")]
    Chain(String),
    #[error("the certificate names no SPIFFE identity")]
    NoIdentity,
    #[error("the certificate is for {}, expected was {}", list(.got), list(.expected))]
    Unexpected { got: Vec<Identity>, expected: Vec<Identity> },
    #[error("the certificate is for {}, of another trust domain than {own}", list(.got))]
    OtherTrustDomain { got: Vec<Identity>, own: String },
    #[error("the certificate is not for {0}")]
    OtherName(String),
    #[error("none of the certificate's names is one that is asked for")]
    NoName,
    #[error("neither the certificate nor its key is one that is pinned")]
    NoPin,
    #[error("there was no certificate")]
    NoCertificate,
}

impl Peer {
    /// The peer that showed `chain`, which was verified `at` that time.
    pub(crate) fn try_new(
        chain: &[CertificateDer<'_>],
        side: Side,
        at: UnixTime,
    ) -> Result<Self, VerifyError> {
        let leaf = chain.first().ok_or(VerifyError::NoCertificate)?;
        let identity = identities(leaf)?.into_iter().next().ok_or(VerifyError::NoIdentity)?;
        let chain = chain.iter().map(|der| der.clone().into_owned()).collect();
        Ok(Self { identity, side, chain, at })
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the peer would still be believed under `trust`.
    ///
    /// # Errors
    ///
    /// When its chain was revoked or its root is no longer believed; that its certificate has
    /// expired since the handshake is no error.
    pub fn recheck(&self, trust: &Trust) -> Result<(), VerifyError> {
        let (leaf, intermediates) = self.chain.split_first().ok_or(VerifyError::NoCertificate)?;
        chain(trust, leaf, intermediates, self.side, self.at)
    }
}

impl From<VerifyError> for Error {
    /// The kind decides which alert the peer gets: `certificate_unknown` for a wrong name.
    fn from(error: VerifyError) -> Self {
        Self::InvalidCertificate(match error {
            VerifyError::Expired { now, not_after } => {
                CertificateError::ExpiredContext { time: now, not_after }
            }
            VerifyError::NotYetValid { now, not_before } => {
                CertificateError::NotValidYetContext { time: now, not_before }
            }
            VerifyError::Revoked => CertificateError::Revoked,
            VerifyError::UnknownIssuer => CertificateError::UnknownIssuer,
            VerifyError::Chain(_)
            | VerifyError::NoIdentity
            | VerifyError::Unexpected { .. }
            | VerifyError::OtherTrustDomain { .. }
            | VerifyError::OtherName(_)
            | VerifyError::NoName
            | VerifyError::NoPin
            | VerifyError::NoCertificate => CertificateError::Other(OtherError(Arc::new(error))),
        })
    }
}

impl VerifyError {
    /// The error that ended a handshake on our side; `None` when it was something else.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are the same to us")]
    pub(crate) fn of(error: &Error) -> Option<Self> {
        if let Error::NoCertificatesPresented = error {
            return Some(Self::NoCertificate);
        }
        let Error::InvalidCertificate(error) = error else { return None };
        Some(match error {
            CertificateError::ExpiredContext { time, not_after } => {
                Self::Expired { now: *time, not_after: *not_after }
            }
            CertificateError::NotValidYetContext { time, not_before } => {
                Self::NotYetValid { now: *time, not_before: *not_before }
            }
            CertificateError::Revoked => Self::Revoked,
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Other(OtherError(inner)) => inner
                .downcast_ref::<Self>()
                .cloned()
                .unwrap_or_else(|| Self::Chain(inner.to_string())),
            other => Self::Chain(other.to_string()),
        })
    }
}

impl From<webpki::Error> for VerifyError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are the same to us")]
    fn from(error: webpki::Error) -> Self {
        match error {
            webpki::Error::CertExpired { time, not_after } => {
                Self::Expired { now: time, not_after }
            }
            webpki::Error::CertNotValidYet { time, not_before } => {
                Self::NotYetValid { now: time, not_before }
            }
            webpki::Error::CertRevoked => Self::Revoked,
            webpki::Error::UnknownIssuer => Self::UnknownIssuer,
            other => Self::Chain(other.to_string()),
        }
    }
}

/// Whether `leaf` leads to a root of `trust`, is valid `now`, and nothing on the way is revoked.
///
/// What no list speaks of is not revoked, and an old list still speaks.
///
/// # Errors
///
/// When not.
pub fn chain(
    trust: &Trust,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    side: Side,
    now: UnixTime,
) -> Result<(), VerifyError> {
    let usage = side.usage();
    let leaf = EndEntityCert::try_from(leaf)?;
    let (algorithms, anchors) = (tls::algorithms().all, trust.anchors());
    let path = leaf.verify_for_usage(algorithms, anchors, intermediates, now, usage, None, None)?;
    not_revoked(trust, &leaf)?;
    path.intermediate_certificates().try_for_each(|issuer| not_revoked(trust, issuer))
}

/// The same, and whether one of its names is of `trust_domain`.
///
/// # Errors
///
/// When not.
pub(crate) fn member(
    (trust, trust_domain): (&Trust, &str),
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    side: Side,
    now: UnixTime,
) -> Result<(), VerifyError> {
    chain(trust, leaf, intermediates, side, now)?;
    of_domain(leaf, trust_domain)
}

/// Whether one of the names of `leaf` is of `trust_domain`.
fn of_domain(leaf: &CertificateDer<'_>, trust_domain: &str) -> Result<(), VerifyError> {
    let got = identities(leaf)?;
    match got.iter().any(|one| one.trust_domain() == trust_domain) {
        true => Ok(()),
        false if got.is_empty() => Err(VerifyError::NoIdentity),
        false => Err(VerifyError::OtherTrustDomain { got, own: trust_domain.to_owned() }),
    }
}

/// Whether no list of the issuer of `certificate` has its number.
///
/// The lists are the operator's own files: they need no signature to be believed, only to tell
/// which of several keys of one name made them, and then the number is enough. So a list that was
/// signed with a key we do not know revokes what it names, and keeps out nobody else.
fn not_revoked(trust: &Trust, certificate: &Cert<'_>) -> Result<(), VerifyError> {
    let own = trust.crls().iter().filter(|list| list.issuer() == certificate.issuer());
    for list in own {
        if list.find_serial(certificate.serial())?.is_some() {
            return Err(VerifyError::Revoked);
        }
    }
    Ok(())
}

/// The SPIFFE identities a certificate names, in its order; other names are passed over.
pub(crate) fn identities(leaf: &CertificateDer<'_>) -> Result<Vec<Identity>, VerifyError> {
    let leaf = EndEntityCert::try_from(leaf)?;
    Ok(leaf.valid_uri_names().filter_map(|uri| uri.parse().ok()).collect())
}

/// For messages: `a`, or `a or b`, or `nobody`.
pub(crate) fn list(identities: &[Identity]) -> String {
    if identities.is_empty() {
        return "nobody".to_owned();
    }
    identities.iter().map(Identity::to_string).collect::<Vec<_>>().join(" or ")
}
