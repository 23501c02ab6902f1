//! Who may what: a caller is the node that it proves to be, and nobody else.
use culvert_identity::{
    clock::Clock,
    join::{JoinError, Key},
    node,
};
use culvert_xds::transport::{
    discovery::{Caller, Gate},
    door::Peer,
};
use std::sync::Arc;
use tonic::Status;

/// Whom discovery is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nodes, each by its own name.
    #[default]
    Nodes,
    /// And whoever has a certificate of the mesh.
    MeshCertificates,
}

/// Looks at proofs.
#[derive(Debug)]
pub struct Doorkeeper {
    pub(crate) key: Key,
    pub(crate) trust_domain: Arc<str>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a caller proved.
#[derive(Debug, Default)]
pub struct Proofs {
    /// The node that a join token is for.
    token: Option<String>,
    /// Why the token proves nothing.
    no_token: Option<JoinError>,
    /// The node that a client certificate is of.
    certificate: Option<String>,
    /// A client certificate of the mesh, be it a node's or a workload's.
    in_mesh: bool,
    /// The connection is one that only this machine can make.
    on_machine: bool,
}

/// For discovery.
#[derive(Debug)]
pub(crate) struct DiscoveryGate {
    pub(crate) doorkeeper: Arc<Doorkeeper>,
    pub(crate) access: Access,
}

/// For reports: they move others.
#[derive(Debug)]
pub(crate) struct ReportsGate(pub(crate) Arc<Doorkeeper>);

impl Doorkeeper {
    /// What a caller proves by what it is and shows.
    pub fn proofs(&self, peer: &Peer, bearer: Option<&str>) -> Proofs {
        let identity = peer.identity.as_ref();
        let identity = identity.filter(|one| one.trust_domain() == &*self.trust_domain);
        let verified =
            bearer.map(|bearer| self.key.verify(bearer, &self.trust_domain, self.clock.now()));
        let (token, no_token) = match verified {
            Some(Ok(claims)) => (Some(claims.node), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        Proofs {
            token,
            no_token,
            certificate: identity.and_then(node::name_of).map(str::to_owned),
            in_mesh: identity.is_some(),
            on_machine: peer.trusted,
        }
    }
}

impl Proofs {
    /// The nodes that the caller is, and by what; one as a rule.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let token = self.token.as_deref().map(|node| (node, "join token"));
        let certificate = self.certificate.as_deref().map(|node| (node, "client certificate"));
        token.into_iter().chain(certificate)
    }

    /// Whether the caller is `node`.
    ///
    /// # Errors
    ///
    /// When it proved to be nobody, or another.
    pub fn must_be(&self, node: &str) -> Result<(), Status> {
        if self.nodes().any(|(proven, _)| proven == node) {
            return Ok(());
        }
        self.must_be_a_node()?;
        let proven: Vec<_> = self.nodes().map(|(node, by)| format!("{node} by its {by}")).collect();
        let proven = proven.join(" and ");
        Err(Status::permission_denied(format!("the caller is node {proven}, not {node}")))
    }

    /// # Errors
    ///
    /// When the caller did not prove to be a node.
    pub fn must_be_a_node(&self) -> Result<(), Status> {
        if self.nodes().next().is_some() {
            return Ok(());
        }
        Err(Status::unauthenticated(match &self.no_token {
            Some(error) => error.to_string(),
            None if self.in_mesh => "the client certificate is no node's".to_owned(),
            None => "there is neither a join token nor a node's client certificate".to_owned(),
        }))
    }
}

impl DiscoveryGate {
    fn is_open(&self, proofs: &Proofs) -> bool {
        proofs.on_machine || (self.access == Access::MeshCertificates && proofs.in_mesh)
    }
}

impl Gate for DiscoveryGate {
    fn knock(&self, peer: &Peer, bearer: Option<&str>) -> Result<(), Status> {
        let proofs = self.doorkeeper.proofs(peer, bearer);
        if self.is_open(&proofs) {
            return Ok(());
        }
        proofs.must_be_a_node().inspect_err(|status| told("discovery", peer, "", status))
    }

    fn admit(&self, caller: &Caller<'_>) -> Result<(), Status> {
        let proofs = self.doorkeeper.proofs(caller.peer, caller.bearer);
        if self.is_open(&proofs) {
            return Ok(());
        }
        let admitted = proofs.must_be(caller.node);
        admitted.inspect_err(|status| told("discovery", caller.peer, caller.node, status))
    }
}

impl Gate for ReportsGate {
    fn knock(&self, peer: &Peer, bearer: Option<&str>) -> Result<(), Status> {
        let proofs = self.0.proofs(peer, bearer);
        proofs.must_be_a_node().inspect_err(|status| told("report", peer, "", status))
    }

    fn admit(&self, caller: &Caller<'_>) -> Result<(), Status> {
        let admitted = self.0.proofs(caller.peer, caller.bearer).must_be(caller.node);
        admitted.inspect_err(|status| told("report", caller.peer, caller.node, status))
    }
}

fn told(what: &'static str, peer: &Peer, node: &str, status: &Status) {
    let from = peer.addr.map(|addr| addr.to_string()).unwrap_or_default();
    tracing::warn!(what, from, node, reason = status.message(), "a caller was turned away");
}
