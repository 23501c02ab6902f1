//! Certificates, trust and other secrets, without the bytes of any private key.
use std::{any::Any, fmt, sync::Arc};

use super::source::{ConfigSource, WatchedFile};

/// What a name of SDS stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Secret {
    Certificate(Arc<Certificate>),
    Validation(Arc<super::tls::Validation>),
    Generic(Arc<Generic>),
    TicketKeys(TicketKeys),
}

/// A certificate chain, and a handle of its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// DER, the leaf first.
    pub chain: Arc<[Arc<[u8]>]>,
    pub key: KeyHandle,
    /// DER.
    pub ocsp_staple: Option<Arc<[u8]>>,
}

/// A private key, or whatever else `identity` keeps; whoever gave it out knows what is inside.
#[derive(Clone)]
pub struct KeyHandle(Arc<dyn Any + Send + Sync>);

/// A secret that is neither a key nor trust; only filters that ask for it see it.
#[derive(Clone, PartialEq)]
pub struct Generic(pub Arc<[u8]>);

/// Keys of TLS tickets, the first for new ones; kept where [`KeyHandle`]s are.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketKeys(pub KeyHandle);

/// Names a secret, and says where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretRef {
    /// Its key in the snapshot; of files, made from their paths.
    pub name: Arc<str>,
    pub source: SecretSource,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretSource {
    /// One of the bootstrap.
    Static,
    Sds(ConfigSource),
    Certificate(CertificateFiles),
    /// Trusted certificates.
    Trust(WatchedFile),
    /// Revocation lists.
    Revoked(WatchedFile),
}

/// PEM files, read again when a file is renamed in their directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateFiles {
    pub chain: Arc<str>,
    pub key: Arc<str>,
    pub ocsp_staple: Option<Arc<str>>,
    /// `None`: the files' own directories.
    pub directory: Option<Arc<str>>,
}

impl KeyHandle {
    pub fn new(key: Arc<dyn Any + Send + Sync>) -> Self {
        Self(key)
    }

    /// What is inside, for whoever gave it out.
    pub fn downcast<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.0).downcast().ok()
    }
}

/// The key is the chain's: where that is the same, it is, whatever handle it has.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        let Self { chain, key: _, ocsp_staple } = self;
        *chain == other.chain && *ocsp_staple == other.ocsp_staple
    }
}

/// The same key only if it is the same handle.
impl PartialEq for KeyHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for KeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHandle")
    }
}

impl fmt::Debug for Generic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generic")
    }
}
