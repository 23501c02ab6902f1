//! A key of one's own, and the request to certify it.
use crate::armor;
use culvert_model::identity::Identity;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, KeyPair,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::sign::SigningKey;
use rustls_pki_types::{CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use std::{fmt, sync::Arc};

/// A private key of a workload: ECDSA P-256, only ever in memory.
pub(crate) struct Key(KeyPair);

/// A request to certify a key for an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr(CertificateSigningRequestDer<'static>);

/// Why a key or a request could not be made; the machine's fault.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot make a key or a request to certify it: {0}")]
pub struct KeyError(String);

impl Key {
    /// Makes a new one.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(KeyError::of)
    }

    /// What an authority of this process certifies.
    pub(crate) fn pair(&self) -> &KeyPair {
        &self.0
    }

    /// Asks to certify it for `identity`: empty subject, one critical URI, signed with SHA-256.
    ///
    /// # Errors
    ///
    /// When the identity has letters that no certificate can carry.
    pub(crate) fn request(&self, identity: &Identity) -> Result<Csr, KeyError> {
        let uri = identity.to_string().try_into().map_err(KeyError::of)?;
        let mut params = CertificateParams::default();
        // rcgen marks the name critical because of the empty subject (RFC 5280 §4.1.2.6).
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(uri)];
        let request = params.serialize_request(&self.0).map_err(KeyError::of)?;
        Ok(Csr(request.into()))
    }

    /// What rustls signs with.
    ///
    /// # Errors
    ///
    /// Never, as long as rustls reads what rcgen writes.
    pub(crate) fn signing_key(&self) -> Result<Arc<dyn SigningKey>, KeyError> {
        let key = PrivatePkcs8KeyDer::from(self.0.serialized_der());
        rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key.into()).map_err(KeyError::of)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Csr {
    pub fn from_der(der: impl Into<CertificateSigningRequestDer<'static>>) -> Self {
        Self(der.into())
    }

    /// Reads the first PEM block; what is in it is checked by whoever signs.
    ///
    /// # Errors
    ///
    /// When the text is not a certificate request in PEM.
    pub fn from_pem(text: &str) -> Result<Self, NotACsr> {
        use rustls_pki_types::pem::PemObject as _;
        let read = CertificateSigningRequestDer::from_pem_slice(text.as_bytes());
        read.map(Self).map_err(|error| NotACsr(error.to_string()))
    }

    pub fn der(&self) -> &CertificateSigningRequestDer<'static> {
        &self.0
    }

    /// The one identity it asks for; `None` when it names another number of anything.
    ///
    /// Not a proof of anything: whoever signs checks the request.
    pub fn identity(&self) -> Option<Identity> {
        let asked = CertificateSigningRequestParams::from_der(&self.0).ok()?;
        match &*asked.params.subject_alt_names {
            [SanType::URI(uri)] => uri.as_str().parse().ok(),
            _ => None,
        }
    }

    /// As the Istio CA protocol sends it.
    pub fn pem(&self) -> String {
        armor::block("CERTIFICATE REQUEST", &self.0)
    }
}

/// Why a text is not a certificate request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not a certificate request in PEM: {0}")]
pub struct NotACsr(String);

impl KeyError {
    fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension};
    use x509_parser::{
        certification_request::X509CertificationRequest, cri_attributes::ParsedCriAttribute,
    };

    #[test]
    fn asks_for_one_critical_uri_and_no_subject() {
        let identity = Identity::try_new("cluster.local", "shop", "cart").unwrap();
        let csr = Key::generate().unwrap().request(&identity).unwrap();
        let csr = Csr::from_pem(&csr.pem()).unwrap();
        let (_, parsed) = X509CertificationRequest::from_der(csr.der()).unwrap();
        assert_eq!(parsed.certification_request_info.subject.iter().count(), 0);
        let mut extensions = Vec::new();
        for attribute in parsed.certification_request_info.iter_attributes() {
            if let ParsedCriAttribute::ExtensionRequest(request) = attribute.parsed_attribute() {
                extensions.extend(request.extensions.clone());
            }
        }
        assert_eq!(extensions.len(), 1);
        assert!(extensions[0].critical);
        let ParsedExtension::SubjectAlternativeName(san) = extensions[0].parsed_extension() else {
            panic!("another extension");
        };
        assert_eq!(san.general_names, [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/cart")]);
    }

    #[test]
    fn a_key_does_not_print_itself() {
        assert_eq!(format!("{:?}", Key::generate().unwrap()), "Key(..)");
    }
}
