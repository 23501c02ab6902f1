//! Whom we believe: the roots of the mesh, and what was revoked.
use culvert_runtime::publish::{self, Publisher, View};
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use std::{fmt, sync::Arc};
use webpki::CertRevocationList;

/// The roots and revocation lists of one moment.
#[derive(Clone, Default)]
pub struct Trust {
    roots: Arc<[CertificateDer<'static>]>,
    anchors: Arc<[TrustAnchor<'static>]>,
    crls: Arc<[CertRevocationList<'static>]>,
}

/// The one place where trust changes; what it says holds from the next handshake on.
#[derive(Clone, Debug)]
pub struct TrustStore {
    publisher: Arc<Mutex<Publisher<Trust>>>,
    view: View<Trust>,
}

/// Why a set of certificates cannot be roots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTrust {
    #[error("there is no root certificate")]
    NoRoots,
    #[error("root certificate {index} cannot be read: {reason}")]
    Root { index: usize, reason: String },
}

impl Trust {
    /// Believes `roots`, and knows of nothing revoked.
    ///
    /// # Errors
    ///
    /// When there are none, or one cannot be read.
    pub fn new(roots: &[CertificateDer<'static>]) -> Result<Self, NotTrust> {
        if roots.is_empty() {
            return Err(NotTrust::NoRoots);
        }
        let anchor = |(index, root): (usize, &CertificateDer<'static>)| {
            let anchor = webpki::anchor_from_trusted_cert(root);
            anchor
                .map(|anchor| anchor.to_owned())
                .map_err(|error| NotTrust::Root { index, reason: error.to_string() })
        };
        let anchors = roots.iter().enumerate().map(anchor).collect::<Result<_, _>>()?;
        Ok(Self { roots: roots.into(), anchors, crls: Arc::default() })
    }

    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// The same, and believes `roots` too.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or there is none at all.
    pub(crate) fn with(&self, roots: &[CertificateDer<'static>]) -> Result<Self, NotTrust> {
        let all: Vec<_> = self.roots.iter().chain(roots).cloned().collect();
        Ok(Self { crls: Arc::clone(&self.crls), ..Self::new(&all)? })
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    pub(crate) fn crls(&self) -> &[CertRevocationList<'static>] {
        &self.crls
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (roots, crls) = (self.roots.len(), self.crls.len());
        f.debug_struct("Trust").field("roots", &roots).field("crls", &crls).finish_non_exhaustive()
    }
}

impl Default for TrustStore {
    /// Believes nobody.
    fn default() -> Self {
        let (publisher, view) = publish::channel(Trust::default());
        Self { publisher: Arc::new(Mutex::new(publisher)), view }
    }
}

impl TrustStore {
    /// What handshakes pin, and what those wait for who re-check open connections.
    pub fn view(&self) -> View<Trust> {
        self.view.clone()
    }

    /// Believes `roots` from now on and no others; says whether that is a change.
    ///
    /// # Errors
    ///
    /// When they cannot be roots; the old ones stay.
    pub fn set_roots(&self, roots: &[CertificateDer<'static>]) -> Result<bool, NotTrust> {
        let mut publisher = self.publisher.lock();
        let now = self.view.pin();
        if same(now.value.roots(), roots) {
            return Ok(false);
        }
        let crls = Arc::clone(&now.value.crls);
        publisher.publish(Trust { crls, ..Trust::new(roots)? });
        Ok(true)
    }

    /// Replaces all revocation lists.
    pub fn set_crls(&self, crls: Vec<CertRevocationList<'static>>) {
        let mut publisher = self.publisher.lock();
        let now = self.view.pin().value.clone();
        publisher.publish(Trust { crls: crls.into(), ..now });
    }
}

/// Whether both hold the same, in whatever order.
fn same(a: &[CertificateDer<'_>], b: &[CertificateDer<'_>]) -> bool {
    let within = |a: &[CertificateDer<'_>], b: &[CertificateDer<'_>]| {
        a.iter().all(|one| b.iter().any(|other| one.as_ref() == other.as_ref()))
    };
    within(a, b) && within(b, a)
}
