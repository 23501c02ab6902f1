//! The embedded CA as a service, in the protocol of Istio's.
//!
//! A node gets certificates for its own identity and for those of the workloads that are on it, a
//! gateway for its own, and nobody for any other. Each certificate is logged, and of refusals as many as anybody reads; all are
//! counted for the status.
use crate::serve::gate::{Doorkeeper, Gateway, Proofs};
use culvert_identity::{
    ca::Authority,
    csr::Csr,
    issue::Issued,
    istio::{self, IMPERSONATED},
    node,
};
use culvert_model::identity::Identity;
use culvert_proto::{
    istio::v1::auth::{
        IstioCertificateRequest, IstioCertificateResponse,
        istio_certificate_service_server::{
            IstioCertificateService, IstioCertificateServiceServer as Stub,
        },
    },
    value::Kind,
};
use culvert_runtime::publish::View;
use culvert_xds::transport::{discovery::bearer, door::Peer};
use std::{sync::Arc, time::Duration};
use tokio::time;
use tonic::{Request, Response, Status, async_trait};

pub mod hosted;
pub mod ledger;
pub(crate) mod roots;
pub(crate) mod secret;
pub(crate) mod trouble;

use hosted::Hosted;
use ledger::{Issue, Ledger, Refusal};

/// The largest request that is read.
const LARGEST: usize = 64 * 1024;

/// For how long when nothing is said, and at most.
const USUAL: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A node may know of a pod a little before the control plane does.
const PATIENCE: Duration = Duration::from_secs(2);

/// The service.
#[derive(Clone, Debug)]
pub struct CertificateService {
    pub(crate) authority: View<Arc<Authority>>,
    pub(crate) hosted: View<Arc<Hosted>>,
    pub(crate) doorkeeper: Arc<Doorkeeper>,
    pub(crate) ledger: Ledger,
}

/// What is asked for.
struct Asked {
    identity: Identity,
    csr: Csr,
    validity: Duration,
}

impl CertificateService {
    /// As a route of a [`Door`](culvert_xds::transport::door::Door).
    #[must_use]
    pub fn into_route(self) -> Stub<Self> {
        Stub::new(self).max_decoding_message_size(LARGEST)
    }

    /// The node or gateway that asks, and by what that is known.
    async fn authorise<'a>(
        &self,
        proofs: &'a Proofs,
        identity: &Identity,
    ) -> Result<(&'a str, &'static str), Status> {
        if let Some(Gateway { name, identity: own }) = proofs.gateway() {
            return match own == identity {
                true => Ok((name, "token")),
                false => Err(Status::permission_denied(format!(
                    "gateway {name} is {own}, and not {identity}"
                ))),
            };
        }
        proofs.must_be_a_node()?;
        let is_own = |name: &str| {
            node::identity(&self.doorkeeper.trust_domain, name).is_ok_and(|own| own == *identity)
        };
        if let Some(caller) = proofs.nodes().find(|(name, _)| is_own(name)) {
            return Ok(caller);
        }
        let hosts = async {
            let mut hosted = self.hosted.clone();
            let mut now = hosted.pin();
            loop {
                let host = |(name, _): &(&str, &str)| now.value.is_on(name, identity);
                if let Some(caller) = proofs.nodes().find(host) {
                    return Some(caller);
                }
                now = hosted.newer_than(now.generation).await?;
            }
        };
        let found = match node::is_reserved(identity) {
            true => None,
            false => time::timeout(PATIENCE, hosts).await.unwrap_or(None),
        };
        found.ok_or_else(|| {
            let hosted = &self.hosted.pin().value;
            let nodes = proofs.nodes().map(|(node, _)| {
                format!(
                    "no workload of {identity} is on node {node}, which has {}",
                    hosted.told(node)
                )
            });
            Status::permission_denied(nodes.collect::<Vec<_>>().join("; "))
        })
    }

    fn sign(&self, asked: &Asked) -> Result<Issued, Status> {
        let authority = &self.authority.pin().value;
        let now = self.doorkeeper.clock.now();
        let signed = authority.sign(&asked.identity, &asked.csr, asked.validity, now);
        signed.map_err(|error| Status::invalid_argument(error.to_string()))
    }

    fn log(&self, (node, by): (&str, &'static str), asked: &Asked, issued: &Issued) {
        let (not_after, serial) = match issued.facts() {
            Ok((validity, serial)) => (validity.not_after.as_secs(), serial),
            Err(_unreadable) => (0, String::new()),
        };
        let identity = &asked.identity;
        tracing::info!(node, by, %identity, serial, not_after, "certificate issued");
        let issue = Issue { node: node.into(), identity: identity.clone(), serial, not_after };
        self.ledger.issued(issue, self.doorkeeper.clock.now().as_secs());
    }

    fn log_refusal(&self, peer: &Peer, proofs: &Proofs, asked: Option<&Asked>, status: &Status) {
        let gateway = proofs.gateway().map(|gateway| &*gateway.name);
        let names: Vec<_> = proofs.nodes().map(|(name, _)| name).chain(gateway).collect();
        let refusal = Refusal {
            at: self.doorkeeper.clock.now().as_secs(),
            from: peer.addr.map(|addr| addr.to_string()).unwrap_or_default(),
            node: names.join(" or "),
            identity: asked.map(|asked| asked.identity.to_string()).unwrap_or_default(),
            reason: status.message().to_owned(),
        };
        let line = self.doorkeeper.hush.line(peer.addr, ("certificate", status.code()));
        if let Some(unwritten) = line {
            let Refusal { from, node, identity, reason, .. } = &refusal;
            tracing::warn!(from, node, identity, reason, unwritten, "certificate refused");
        }
        self.ledger.refused(refusal);
    }
}

#[async_trait]
impl IstioCertificateService for CertificateService {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let shown = bearer(&request);
        let proofs = self.doorkeeper.proofs(&peer, shown.as_deref()).await;
        let asked = read(request.get_ref());
        let asked = asked.inspect_err(|status| self.log_refusal(&peer, &proofs, None, status))?;
        if proofs.nodes().next().is_some() || proofs.gateway().is_some() {
            peer.standing.admit();
        }
        let answer = async {
            let caller = self.authorise(&proofs, &asked.identity).await?;
            Ok((caller, self.sign(&asked)?))
        };
        match answer.await {
            Ok((caller, issued)) => {
                self.log(caller, &asked, &issued);
                let cert_chain = istio::write(&issued);
                Ok(Response::new(IstioCertificateResponse { cert_chain }))
            }
            Err(status) => {
                self.log_refusal(&peer, &proofs, Some(&asked), &status);
                Err(status)
            }
        }
    }
}

fn read(request: &IstioCertificateRequest) -> Result<Asked, Status> {
    let IstioCertificateRequest { csr, validity_duration, metadata } = request;
    let wrong = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
    let csr = Csr::from_pem(csr).map_err(|error| wrong(&error))?;
    let named = metadata.as_ref().and_then(|metadata| metadata.fields.get(IMPERSONATED));
    let identity = match named.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text.parse().map_err(|error| wrong(&error))?,
        Some(_) => return Err(wrong(&"the impersonated identity is no text")),
        None => csr.identity().ok_or_else(|| wrong(&"the request names no identity"))?,
    };
    let validity = u64::try_from(*validity_duration).unwrap_or(0);
    let validity = match validity {
        0 => USUAL,
        seconds => Duration::from_secs(seconds).min(LONGEST),
    };
    Ok(Asked { identity, csr, validity })
}
