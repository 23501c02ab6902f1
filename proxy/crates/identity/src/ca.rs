//! The embedded certificate authority: signs what it is asked to.
//!
//! It asks nobody whether it may: whoever calls has authorised the request before. What it sees
//! to is that a certificate says nothing but the identity it was asked to certify: of a request
//! only the key is taken.
use crate::{
    armor,
    certificate::Validity,
    csr::{Csr, Key},
    issue::Issued,
    tls,
    trust::{NotTrust, Trust},
    verify::{self, Side, VerifyError},
};
use culvert_model::identity::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer as Signing, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{fmt, time::Duration};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub mod bundle;
pub mod files;
pub mod issuer;
pub mod site;

/// How long a root that is made here is good for.
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How long a control plane's own certificate is good for.
const SERVER_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A certificate is valid from a little before it was issued, for peers whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(2 * 60);

/// An uncompressed point of P-256: a tag and two numbers of 32 bytes.
const P256_POINT: usize = 65;

/// A key that signs for one trust domain.
pub struct Authority {
    trust_domain: String,
    signing: Signing<'static, KeyPair>,
    /// The certificate of `signing`, then what leads from it to a root; without roots.
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    validity: Validity,
}

/// Why an authority could not be made or cannot sign.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("its certificates cannot be read: {0}")]
    Encoding(String),
    #[error("its private key cannot be read: {0}")]
    Key(String),
    #[error("its private key is not the one of its certificate")]
    OtherKey,
    #[error("its certificate is not one of a CA")]
    NotACa,
    #[error("its roots cannot be used")]
    Roots(#[from] NotTrust),
    #[error("its certificates do not lead to one of its roots")]
    Chain(#[source] VerifyError),
    #[error("its certificate is not valid now")]
    NotValidNow,
    #[error("it signs for {own}, not for {asked}")]
    OtherTrustDomain { own: String, asked: Identity },
    #[error("the request cannot be used: {0}")]
    Request(String),
    #[error("the request's key is not ECDSA P-256")]
    NotP256,
    #[error("the request does not name {0} and nothing else")]
    OtherName(Identity),
    #[error("signing failed: {0}")]
    Signing(String),
}

impl Authority {
    /// Makes a key and a root for it.
    ///
    /// # Errors
    ///
    /// When there is no randomness, or the trust domain cannot be written into a certificate.
    pub fn new_root(trust_domain: &str, now: UnixTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(signing_error)?;
        let mut params = params(now, ROOT_LIFE)?;
        // The number tells roots of one trust domain apart: a revocation list is found by name.
        let number = tls::dice();
        params.distinguished_name.push(DnType::OrganizationName, trust_domain);
        params.distinguished_name.push(DnType::CommonName, format!("Culvert root {number:016x}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key).map_err(signing_error)?;
        Self::assemble(trust_domain, key, vec![root.der().clone()], vec![root.der().clone()])
    }

    /// Takes a key and its certificate, what leads from it to a root, and the roots, in PEM.
    ///
    /// `roots` may hold more than the one above the key: all of them are given out, so that one
    /// can replace another.
    ///
    /// # Errors
    ///
    /// When they do not fit together.
    pub fn from_pem(
        trust_domain: &str,
        key: &str,
        chain: &[u8],
        roots: &[u8],
    ) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key).map_err(|error| AuthorityError::Key(error.to_string()))?;
        Self::assemble(trust_domain, key, certificates(chain)?, certificates(roots)?)
    }

    fn assemble(
        trust_domain: &str,
        key: KeyPair,
        chain: Vec<CertificateDer<'static>>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, AuthorityError> {
        let own = chain.first().ok_or_else(|| AuthorityError::Encoding("none".to_owned()))?;
        let validity = check_own(own, &key)?;
        let signing = Signing::from_ca_cert_der(own, key)
            .map_err(|error| AuthorityError::Encoding(error.to_string()))?;
        Trust::new(&roots)?;
        let chain = chain.into_iter().filter(|one| !roots.contains(one)).collect();
        let trust_domain = trust_domain.to_owned();
        Ok(Self { trust_domain, signing, chain, roots, validity })
    }

    /// The same, which has everybody believe `roots`: while one replaces another.
    ///
    /// # Errors
    ///
    /// When they cannot be roots.
    pub fn believing(&self, roots: &[CertificateDer<'static>]) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(&self.signing.key().serialize_pem())
            .map_err(|error| AuthorityError::Key(error.to_string()))?;
        Self::assemble(&self.trust_domain, key, self.certified(), roots.to_vec())
    }

    /// What signs, then what leads from it to a root, which is nothing where it is one itself.
    fn certified(&self) -> Vec<CertificateDer<'static>> {
        match &*self.chain {
            [] => {
                let own = |root: &&CertificateDer<'_>| check_own(root, self.signing.key()).is_ok();
                self.roots.iter().find(own).cloned().into_iter().collect()
            }
            chain => chain.to_vec(),
        }
    }

    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// Every root to believe.
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// Of its own certificate; no certificate it signs outlives it.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Certifies the key of `csr` for `identity`, for `asked` at most.
    ///
    /// # Errors
    ///
    /// When the request is not for exactly this identity or not signed by its own key, or this
    /// authority does not sign for the trust domain or is no longer valid.
    pub fn sign(
        &self,
        identity: &Identity,
        csr: &Csr,
        asked: Duration,
        now: UnixTime,
    ) -> Result<Issued, AuthorityError> {
        if identity.trust_domain() != self.trust_domain {
            let own = self.trust_domain.clone();
            return Err(AuthorityError::OtherTrustDomain { own, asked: identity.clone() });
        }
        if now.as_secs() < self.validity.not_before.as_secs() || self.validity.has_ended(now) {
            return Err(AuthorityError::NotValidNow);
        }
        let request = checked(identity, csr)?;
        let left = crate::certificate::until(now, self.validity.not_after);
        let mut params = params(now, asked.min(left))?;
        params.not_before = params.not_before.max(date(self.validity.not_before)?);
        params.subject_alt_names = request.params.subject_alt_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&request.public_key, &self.signing).map_err(signing_error)?;
        let chain = [leaf.der().clone()].into_iter().chain(self.chain.iter().cloned()).collect();
        let issued = Issued { chain, roots: self.roots.clone() };
        self.check_issued(&issued, Side::Client, now)?;
        Ok(issued)
    }

    /// Certifies `key` as that of a server which goes by `identity` and by `names`.
    pub(crate) fn sign_server(
        &self,
        key: &Key,
        identity: &Identity,
        names: &[String],
        now: UnixTime,
    ) -> Result<Issued, AuthorityError> {
        let left = crate::certificate::until(now, self.validity.not_after);
        if now.as_secs() < self.validity.not_before.as_secs() || left.is_zero() {
            return Err(AuthorityError::NotValidNow);
        }
        let mut params = params(now, SERVER_LIFE.min(left))?;
        params.not_before = params.not_before.max(date(self.validity.not_before)?);
        let uri = identity.to_string().try_into().map_err(signing_error)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_no_ip) => SanType::DnsName(name.as_str().try_into().map_err(signing_error)?),
            });
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(key.pair(), &self.signing).map_err(signing_error)?;
        let chain = [leaf.der().clone()].into_iter().chain(self.chain.iter().cloned()).collect();
        let issued = Issued { chain, roots: self.roots.clone() };
        self.check_issued(&issued, Side::Server, now)?;
        Ok(issued)
    }

    /// Its private key and all certificates in PEM: what a kept authority is read from again.
    fn to_pem(&self) -> String {
        let all: Vec<_> = self.chain.iter().chain(&self.roots).cloned().collect();
        self.signing.key().serialize_pem() + &armor::write(&all)
    }

    /// A chain that leads nowhere is our own fault: better no certificate than a useless one.
    fn check_issued(
        &self,
        issued: &Issued,
        side: Side,
        now: UnixTime,
    ) -> Result<(), AuthorityError> {
        let trust = Trust::new(&self.roots)?;
        let [leaf, intermediates @ ..] = &*issued.chain else {
            return Err(AuthorityError::Encoding("none".to_owned()));
        };
        verify::chain(&trust, leaf, intermediates, side, now).map_err(AuthorityError::Chain)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, roots, validity, .. } = self;
        f.debug_struct("Authority")
            .field("trust_domain", trust_domain)
            .field("roots", &roots.len())
            .field("validity", validity)
            .finish_non_exhaustive()
    }
}

/// What every certificate starts from: a random number, and valid for `life` from `now`.
fn params(now: UnixTime, life: Duration) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // Positive and never zero (RFC 5280 §4.1.2.2).
    let mut number = [tls::dice().to_be_bytes(), tls::dice().to_be_bytes()].concat();
    number[0] = number[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&number));
    params.not_before = date(now)? - BACKDATED;
    params.not_after = date(now)? + life;
    Ok(params)
}

/// The request, when it is one for `identity` and nothing else.
fn checked(
    identity: &Identity,
    csr: &Csr,
) -> Result<CertificateSigningRequestParams, AuthorityError> {
    // Checks the signature too, so that nobody gets a certificate for another's key.
    let request = CertificateSigningRequestParams::from_der(csr.der())
        .map_err(|error| AuthorityError::Request(error.to_string()))?;
    let key = rcgen::PublicKeyData::der_bytes(&request.public_key);
    if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 || key.len() != P256_POINT {
        return Err(AuthorityError::NotP256);
    }
    match &*request.params.subject_alt_names {
        [SanType::URI(uri)] if uri.as_str() == identity.to_string() => Ok(request),
        _ => Err(AuthorityError::OtherName(identity.clone())),
    }
}

/// The validity of an authority's own certificate, when it is one, and of this key.
fn check_own(own: &CertificateDer<'_>, key: &KeyPair) -> Result<Validity, AuthorityError> {
    let (_, parsed) = X509Certificate::from_der(own)
        .map_err(|error| AuthorityError::Encoding(error.to_string()))?;
    if !parsed.is_ca() {
        return Err(AuthorityError::NotACa);
    }
    if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return Err(AuthorityError::OtherKey);
    }
    Ok(Validity::of(&parsed))
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    armor::certificates(text).map_err(|error| AuthorityError::Encoding(error.to_string()))
}

fn date(time: UnixTime) -> Result<OffsetDateTime, AuthorityError> {
    let seconds = i64::try_from(time.as_secs()).map_err(signing_error)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(signing_error)
}

fn signing_error(error: impl fmt::Display) -> AuthorityError {
    AuthorityError::Signing(error.to_string())
}

#[cfg(test)]
mod tests;
