//! The gateway's own certificate, and whom the mesh believes, as the secrets of listeners that end TLS
//! as a member of the mesh does (`ISTIO_MUTUAL`): kept here, told to nobody.
use crate::node::l7::subscription::Server;
use culvert_control::gateways::own::{CERTIFICATE, SERVER, TRUST};
use culvert_identity::{certificate::Certificate, edge::own, store::Identities, trust::Trust};
use culvert_model::{
    http::{secret::Secret, source::GrpcTarget},
    identity::Identity,
};
use culvert_runtime::drain::Worker;
use culvert_xds::envoy::discover::{Own, Reach, Way};
use std::sync::Arc;
use tokio::sync::watch;

/// The server that tells what to serve, and these secrets.
#[derive(Clone, Debug)]
pub(super) struct Around {
    pub(super) server: Server,
    pub(super) own: watch::Receiver<Own>,
}

impl Reach for Around {
    fn reach(&self, target: &GrpcTarget) -> Result<Way, String> {
        self.server.reach(target)
    }

    fn own(&self, target: &GrpcTarget) -> Option<watch::Receiver<Own>> {
        let is_own = matches!(target, GrpcTarget::Cluster(name) if **name == *SERVER);
        is_own.then(|| self.own.clone())
    }
}

/// Follows both for `identity`, which is held, as a task of `worker`.
pub(super) fn follow(
    identities: Identities,
    identity: Identity,
    worker: &Worker,
) -> watch::Receiver<Own> {
    let (tell, told) = watch::channel(Own::new());
    worker.spawn_until_finish(async move {
        let mut trust = identities.trust();
        let Some(mut certificate) = identities.certified(&identity).await else { return };
        loop {
            let believed = trust.pin();
            tell.send_replace(secrets(&certificate, &believed.value));
            tokio::select! {
                newer = identities.renewed(&certificate) => match newer {
                    Some(newer) => certificate = newer,
                    None => return,
                },
                newer = trust.newer_than(believed.generation) => if newer.is_none() { return },
            }
        }
    });
    told
}

fn secrets(certificate: &Certificate, trust: &Trust) -> Own {
    let shown = Secret::Certificate(Arc::new(own::certificate(certificate)));
    let wanted = Secret::Validation(Arc::new(own::validation(certificate.identity(), trust)));
    [(CERTIFICATE.into(), shown), (TRUST.into(), wanted)].into()
}
