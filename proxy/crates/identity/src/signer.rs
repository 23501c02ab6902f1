//! A key that can be used and not had.
use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::CertificateDer;
use std::sync::Arc;

/// Signs with a key that stays in this crate, and shows the certificate to it.
#[derive(Clone, Debug)]
pub struct Signer(Arc<CertifiedKey>);

impl Signer {
    pub(crate) fn new(certified: CertifiedKey) -> Self {
        Self(Arc::new(certified))
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
    }

    /// The leaf, then what leads from it to a root.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }
}

impl ResolvesClientCert for Signer {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Signer {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
