//! A certificate that a site makes for itself, for gateways that are tried out.
use super::{AuthorityError, params, signing_error};
use rcgen::{
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    SanType,
};
use rustls_pki_types::UnixTime;
use std::{fmt, time::Duration};

/// The certificate of a host and its key, in PEM, as a Secret for a gateway holds them.
///
/// It is its own root: whoever is to believe it is given [`certificate`](Self::certificate). The
/// key is nobody's in the mesh.
pub struct Site {
    pub certificate: String,
    pub key: String,
}

impl Site {
    /// Certifies `host` to itself, for `life`.
    ///
    /// # Errors
    ///
    /// When there is no randomness, or a certificate cannot have the name.
    pub fn make(host: &str, life: Duration, now: UnixTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(signing_error)?;
        let mut params = params(now, life)?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.subject_alt_names = vec![SanType::DnsName(host.try_into().map_err(signing_error)?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key).map_err(signing_error)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
