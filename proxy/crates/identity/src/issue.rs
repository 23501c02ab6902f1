//! Who is asked for certificates: an open set.
use crate::{
    ca::AuthorityError,
    certificate::{self, Unusable, Validity},
    csr::{Csr, KeyError},
};
use culvert_model::identity::Identity;
use rustls_pki_types::CertificateDer;
use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

/// A future as trait objects return it.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whoever turns requests into certificates: the embedded CA, files, the Istio CA protocol, ...
pub trait Issuer: fmt::Debug + Send + Sync {
    /// Asks once; whoever called tries again later, with a back-off.
    ///
    /// Cancel safe: a dropped call has at worst issued a certificate that nobody holds.
    fn issue<'a>(&'a self, request: &'a Request) -> Answer<'a, Result<Issued, IssueError>>;

    /// Resolves when certificates issued so far should be replaced, because the issuer's own
    /// certificate or its roots changed.
    ///
    /// The default never does: what renewal brings is soon enough.
    /// Cancel safe. Asked anew after each time it resolved.
    fn changed(&self) -> Answer<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub identity: Identity,
    pub csr: Csr,
    /// For how long; the issuer may give less.
    pub validity: Duration,
}

/// What comes back.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The leaf, then what leads from it to a root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Every root to believe from now on, also while one replaces another.
    pub roots: Vec<CertificateDer<'static>>,
}

impl Issued {
    /// Validity and serial number of the leaf, as tools print it.
    ///
    /// # Errors
    ///
    /// When there is no leaf, or it cannot be read.
    pub fn facts(&self) -> Result<(Validity, String), Unusable> {
        certificate::read(self.chain.first().ok_or(Unusable::Empty)?)
    }
}

/// Why there is no certificate.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IssueError {
    #[error("cannot reach the issuer")]
    Unreachable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    #[error("the issuer refused: {0}")]
    Refused(String),
    #[error("the issuer did not answer within {0:?}")]
    Slow(Duration),
    #[error("the issuer's answer cannot be read: {0}")]
    Answer(String),
    #[error("the issuer's answer cannot be used")]
    Unusable(#[from] Unusable),
    #[error("the embedded CA cannot sign")]
    Authority(#[from] Arc<AuthorityError>),
    #[error("no request could be made")]
    Key(#[from] KeyError),
}
