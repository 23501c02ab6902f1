//! Whether a peer is who a context says it must be.
use super::{EdgeError, names::Names, own, suite};
use crate::verify::{self, Side, VerifyError};
use culvert_model::http::tls::{Revoked, Trust, Validation};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, ServerName, TrustAnchor, UnixTime,
};
use sha2::{Digest as _, Sha256};
use std::{fmt, sync::Arc};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Checks peers of one side.
pub(super) struct Checker {
    wanted: Validation,
    roots: Roots,
    lists: Vec<CertRevocationList<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    mandatory: bool,
    /// A server must have the name that it was asked by.
    sni_is_name: bool,
}

/// Whom a chain must lead to.
enum Roots {
    /// To anybody.
    Nobody,
    Of(Vec<TrustAnchor<'static>>),
    /// By trust domain.
    Domains(Vec<(Arc<str>, Vec<TrustAnchor<'static>>)>),
    /// To whom the mesh believes.
    Mesh(Arc<own::Mesh>),
}

/// What webpki and rustls have no word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    #[error("the certificate is of no trust domain that is known")]
    Domain,
    #[error("the certificate chain is longer than allowed")]
    Depth,
}

impl Checker {
    /// One that wants what `wanted` says, of which nothing is in other secrets any more.
    pub(super) fn new(wanted: Validation, provider: &CryptoProvider) -> Result<Self, EdgeError> {
        let roots = match (&wanted.domains, &wanted.trusted) {
            (Some(domains), _) => {
                let of =
                    |(name, trust): &(Arc<str>, Trust)| Ok((Arc::clone(name), anchors(trust)?));
                Roots::Domains(domains.iter().map(of).collect::<Result<_, EdgeError>>()?)
            }
            (None, Some(Trust::Kept(mesh))) => {
                Roots::Mesh(mesh.downcast().ok_or(EdgeError::ForeignTrust)?)
            }
            (None, Some(trust)) => Roots::Of(anchors(trust)?),
            (None, None) => Roots::Nobody,
        };
        let lists = match &wanted.revoked {
            Some(Revoked::Lists(lists)) => {
                lists.iter().enumerate().map(list).collect::<Result<_, _>>()?
            }
            Some(Revoked::File(_)) | None => Vec::new(),
        };
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { wanted, roots, lists, algorithms, mandatory: true, sni_is_name: false })
    }

    /// Clients may have no certificate.
    pub(super) fn optional(self) -> Self {
        Self { mandatory: false, ..self }
    }

    /// Servers must have the name they are asked by.
    pub(super) fn by_sni(self, sni_is_name: bool) -> Self {
        Self { sni_is_name, ..self }
    }

    fn check(
        &self,
        (leaf, between): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        side: Side,
        sni: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), Error> {
        match self.judge((leaf, between), side, sni, now) {
            Err(_) if self.wanted.accept_untrusted => Ok(()),
            judged => judged,
        }
    }

    fn judge(
        &self,
        (leaf, between): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        side: Side,
        sni: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let usage = side.usage();
        let read = EndEntityCert::try_from(leaf).map_err(refused)?;
        self.pinned(leaf, &read)?;
        match &self.roots {
            Roots::Nobody => {}
            Roots::Of(anchors) => self.chain(&read, (leaf, between), (anchors, usage, now))?,
            Roots::Domains(domains) => {
                let domain = read.valid_uri_names().find_map(trust_domain);
                let found = domains.iter().find(|(name, _)| domain == Some(name));
                let (_, anchors) = found.ok_or_else(|| unfit(Unfit::Domain))?;
                self.chain(&read, (leaf, between), (anchors, usage, now))?;
            }
            Roots::Mesh(mesh) => {
                verify::member((&mesh.trust, &mesh.domain), leaf, between, side, now)?;
                // What else is asked of the chain.
                if !self.lists.is_empty() || self.wanted.max_depth.is_some() {
                    let anchors = mesh.trust.anchors();
                    self.chain(&read, (leaf, between), (anchors, usage, now))?;
                }
            }
        }
        let by_sni = sni.filter(|_| self.sni_is_name);
        if self.wanted.sans.is_empty() && by_sni.is_none() {
            return Ok(());
        }
        let names = Names::of(leaf).ok_or(CertificateError::BadEncoding)?;
        let is_named =
            self.wanted.sans.is_empty() || self.wanted.sans.iter().any(|wanted| names.are(wanted));
        let is_asked = by_sni.is_none_or(|sni| names.has_host(&sni.to_str()));
        if is_named && is_asked { Ok(()) } else { Err(VerifyError::NoName.into()) }
    }

    fn pinned(&self, leaf: &CertificateDer<'_>, read: &EndEntityCert<'_>) -> Result<(), Error> {
        let Validation { spki, hashes, .. } = &self.wanted;
        if spki.is_empty() && hashes.is_empty() {
            return Ok(());
        }
        let is =
            |pins: &[[u8; 32]], bytes: &[u8]| pins.iter().any(|pin| *pin == *Sha256::digest(bytes));
        match is(hashes, leaf) || is(spki, &read.subject_public_key_info()) {
            true => Ok(()),
            false => Err(VerifyError::NoPin.into()),
        }
    }

    fn chain(
        &self,
        read: &EndEntityCert<'_>,
        (leaf, between): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        (anchors, usage, now): (&[TrustAnchor<'_>], KeyUsage, UnixTime),
    ) -> Result<(), Error> {
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let depth = match self.wanted.only_leaf_crl {
            true => RevocationCheckDepth::EndEntity,
            false => RevocationCheckDepth::Chain,
        };
        // Fails without lists only: then nothing is revoked.
        let revocation = RevocationOptionsBuilder::new(&lists).ok();
        let revocation = revocation.map(|options| options.with_depth(depth).build());
        let at = |now| {
            read.verify_for_usage(
                self.algorithms.all,
                anchors,
                between,
                now,
                usage,
                revocation,
                None,
            )
        };
        let path = match at(now) {
            Err(webpki::Error::CertExpired { .. }) if self.wanted.allow_expired => {
                at(last_moment(leaf).ok_or(CertificateError::BadEncoding)?)
            }
            path => path,
        };
        let path = path.map_err(refused)?;
        let length = path.intermediate_certificates().count();
        match self.wanted.max_depth.and_then(|most| usize::try_from(most).ok()) {
            Some(most) if most < length => Err(unfit(Unfit::Depth)),
            Some(_) | None => Ok(()),
        }
    }
}

fn anchors(trust: &Trust) -> Result<Vec<TrustAnchor<'static>>, EdgeError> {
    let ders: Vec<CertificateDer<'static>> = match trust {
        Trust::Certificates(ders) => super::key::certificates(ders),
        Trust::System => suite::system_roots().map_err(EdgeError::System)?,
        Trust::File(name) => return Err(EdgeError::Missing(Arc::clone(&name.name))),
        Trust::Kept(_) => return Err(EdgeError::ForeignTrust),
    };
    let anchor = |(index, der): (usize, &CertificateDer<'static>)| {
        let anchor = webpki::anchor_from_trusted_cert(der);
        anchor
            .map(|anchor| anchor.to_owned())
            .map_err(|error| EdgeError::Root { index, reason: error.to_string() })
    };
    ders.iter().enumerate().map(anchor).collect()
}

fn list((index, der): (usize, &Arc<[u8]>)) -> Result<CertRevocationList<'static>, EdgeError> {
    let der = CertificateRevocationListDer::from(&**der);
    OwnedCertRevocationList::from_der(&der)
        .map(Into::into)
        .map_err(|error| EdgeError::List { index, reason: error.to_string() })
}

fn trust_domain(uri: &str) -> Option<&str> {
    let id = uri.strip_prefix("spiffe://")?;
    Some(id.split_once('/').map_or(id, |(domain, _)| domain))
}

/// When a certificate is good for the last time.
fn last_moment(der: &[u8]) -> Option<UnixTime> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    let seconds = u64::try_from(read.validity().not_after.timestamp()).ok()?;
    Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
}

fn unfit(why: Unfit) -> Error {
    CertificateError::Other(OtherError(Arc::new(why))).into()
}

fn refused(error: webpki::Error) -> Error {
    use webpki::Error as Why;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others have no word in TLS")]
    let known = match error {
        Why::CertExpired { .. } => CertificateError::Expired,
        Why::CertNotValidYet { .. } => CertificateError::NotValidYet,
        Why::CertRevoked => CertificateError::Revoked,
        Why::UnknownIssuer => CertificateError::UnknownIssuer,
        Why::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Why::BadDer | Why::BadDerTime => CertificateError::BadEncoding,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    known.into()
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// What both traits say of signatures.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            rustls::crypto::verify_tls12_signature(message, cert, signed, &self.algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            rustls::crypto::verify_tls13_signature(message, cert, signed, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Checker {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check((leaf, between), Side::Server, Some(name), now)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Checker {
    /// None: a client knows itself which certificate it has for us.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check((leaf, between), Side::Client, None, now)?;
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}
