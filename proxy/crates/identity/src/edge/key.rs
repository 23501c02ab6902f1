//! Private keys that come from outside, and those of the mesh for whoever serves strangers with them.
//!
//! Whoever decodes a secret hands the key over at once and keeps the handle.
use crate::signer::Signer;
use culvert_model::http::secret::KeyHandle;
use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    sign::{CertifiedKey, SigningKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::sync::Arc;

/// What is inside a handle.
#[derive(Debug)]
struct Kept(Arc<dyn SigningKey>);

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    #[error("the key is encrypted; give it without a password (openssl pkey -in KEY -out PLAIN)")]
    Encrypted,
    #[error("not a private key in PEM: {0}")]
    Pem(String),
    #[error(
        "the key is of a kind that is not used: RSA, P-256, P-384, P-521 and Ed25519 are ({0})"
    )]
    Kind(String),
    #[error("the key is not that of the certificate")]
    OtherCertificate,
}

/// Takes in the key of a chain of DER certificates, the leaf first.
///
/// # Errors
///
/// When it is none (PKCS#1, PKCS#8, SEC1), is encrypted, or belongs to another certificate.
pub fn keep(
    chain: &[Arc<[u8]>],
    pem: &[u8],
    password: Option<&[u8]>,
) -> Result<KeyHandle, NotAKey> {
    if password.is_some() || pem.windows(9).any(|window| window == b"ENCRYPTED") {
        return Err(NotAKey::Encrypted);
    }
    let der =
        PrivateKeyDer::from_pem_slice(pem).map_err(|error| NotAKey::Pem(error.to_string()))?;
    let key = any_supported_type(&der).map_err(|error| NotAKey::Kind(error.to_string()))?;
    let certified = CertifiedKey::new(certificates(chain), Arc::clone(&key));
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(KeyHandle::new(Arc::new(Kept(key))))
        }
        Err(_) => Err(NotAKey::OtherCertificate),
    }
}

/// The key of a workload of the mesh.
pub(super) fn of(signer: &Signer) -> KeyHandle {
    KeyHandle::new(Arc::new(Kept(Arc::clone(&signer.certified().key))))
}

/// The key of a handle that came from here.
pub(super) fn signing(handle: &KeyHandle) -> Option<Arc<dyn SigningKey>> {
    handle.downcast::<Kept>().map(|kept| Arc::clone(&kept.0))
}

pub(super) fn certificates(chain: &[Arc<[u8]>]) -> Vec<CertificateDer<'static>> {
    chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
}
