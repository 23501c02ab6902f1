//! An authority in this process as an issuer.
use super::Authority;
use crate::{
    clock::Clock,
    issue::{Answer, IssueError, Issued, Issuer, Request},
};
use culvert_runtime::publish::{Generation, View};
use parking_lot::Mutex;
use std::sync::Arc;

/// Signs with whatever authority is published; when another is, all certificates are replaced.
#[derive(Debug)]
pub struct AuthorityIssuer {
    authority: View<Arc<Authority>>,
    clock: Arc<dyn Clock>,
    /// The authority that [`changed`](Issuer::changed) told of last.
    told: Mutex<Generation>,
}

impl AuthorityIssuer {
    pub fn new(authority: View<Arc<Authority>>, clock: Arc<dyn Clock>) -> Self {
        let told = Mutex::new(authority.pin().generation);
        Self { authority, clock, told }
    }
}

impl Issuer for AuthorityIssuer {
    fn issue<'a>(&'a self, request: &'a Request) -> Answer<'a, Result<Issued, IssueError>> {
        Box::pin(async {
            let Request { identity, csr, validity } = request;
            let authority = &self.authority.pin().value;
            let issued = authority.sign(identity, csr, *validity, self.clock.now());
            issued.map_err(|error| IssueError::Authority(Arc::new(error)))
        })
    }

    fn changed(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let told = *self.told.lock();
            let mut view = self.authority.clone();
            let Some(newer) = view.newer_than(told).await else {
                // Nobody is left who could publish another.
                return std::future::pending().await;
            };
            *self.told.lock() = newer.generation;
        })
    }
}
