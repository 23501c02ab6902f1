//! What a workload of the mesh shows, and whom it believes, as secrets say it: for listeners that end TLS
//! in its name and want members of the mesh.
use super::key;
use crate::{certificate::Certificate, trust::Trust};
use culvert_model::{
    http::{
        secret::{Certificate as Shown, KeyHandle},
        tls::{self, Validation},
    },
    identity::Identity,
};
use std::sync::Arc;

/// Whom the mesh believes at one moment.
#[derive(Debug)]
pub(super) struct Mesh {
    pub(super) trust: Trust,
    pub(super) domain: Arc<str>,
}

/// The certificate, whose key stays here.
#[must_use]
pub fn certificate(own: &Certificate) -> Shown {
    let chain = own.chain().iter().map(|der| Arc::from(der.as_ref())).collect();
    Shown { chain, key: key::of(own.signer()), ocsp_staple: None }
}

/// What peers are checked against: as in tunnels, the roots and revocations of `trust`, and that they
/// are of the trust domain of `own`. Another trust wants another one of these.
#[must_use]
pub fn validation(own: &Identity, trust: &Trust) -> Validation {
    let mesh = Mesh { trust: trust.clone(), domain: own.trust_domain().into() };
    let trusted = Some(tls::Trust::Kept(KeyHandle::new(Arc::new(mesh))));
    Validation { trusted, ..Validation::default() }
}
