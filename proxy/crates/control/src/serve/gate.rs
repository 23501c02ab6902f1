//! Who may what: a caller is the node or the gateway that it proves to be, and nobody else.
mod proofs;

pub use proofs::{Gateway, Proofs};

use super::{
    accounts::{Accounts, Holder, Proven},
    hush::Hush,
};
use culvert_identity::{
    clock::Clock,
    join::{Claims, JoinError, Whose, book::Book},
    node,
};
use culvert_model::{identity::Identity, name::ObjectName};
use culvert_runtime::publish::View;
use culvert_xds::transport::{
    discovery::{Caller, Gate, Pass},
    door::Peer,
};
use proofs::{NoToken, Token};
use std::{sync::Arc, time::Duration};
use tokio::time;
use tonic::{Status, async_trait};

/// A token's end is by the clock, which may be set: it is looked at again after this.
const LOOK: Duration = Duration::from_secs(60);

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
    pub(crate) tokens: View<Arc<Book>>,
    /// Where nodes are pods of a cluster.
    pub(crate) accounts: Option<Accounts>,
    pub(crate) trust_domain: Arc<str>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) hush: Hush,
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
    ///
    /// Nobody is asked whose a token is that comes with a node's certificate.
    pub async fn proofs(&self, peer: &Peer, bearer: Option<&str>) -> Proofs {
        let identity = self.identity(peer);
        let certificate = identity.and_then(node::name_of).map(str::to_owned);
        let token = match bearer {
            Some(bearer) => Some(self.token(bearer, peer, certificate.is_some()).await),
            None => None,
        };
        let (token, no_token) = match token {
            Some(Ok(token)) => (Some(token), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let (in_mesh, on_machine) = (identity.is_some(), peer.trusted);
        Proofs { token, no_token, certificate, in_mesh, on_machine }
    }

    /// What a caller's certificate says, if it is of this mesh.
    pub(crate) fn identity<'a>(&self, peer: &'a Peer) -> Option<&'a Identity> {
        peer.identity.as_ref().filter(|one| one.trust_domain() == &*self.trust_domain)
    }

    async fn token(&self, bearer: &str, peer: &Peer, is_known: bool) -> Result<Token, NoToken> {
        // Not held over what follows.
        let verified = {
            let book = &self.tokens.pin().value;
            book.verify(bearer, &self.trust_domain, self.clock.now())
        };
        match (verified, &self.accounts) {
            (Ok(claims), _) => self.joined(&claims),
            (Err(JoinError::Form), Some(accounts)) if Accounts::is_ours(bearer) && !is_known => {
                self.of_account(accounts.prove(bearer, peer.addr).await?)
            }
            (Err(JoinError::Form), Some(_)) => Err(NoToken::Neither),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Whom a good join token is of.
    fn joined(&self, claims: &Claims) -> Result<Token, NoToken> {
        let (namespace, name) = match claims.whose() {
            Whose::Node(node) => return Ok(Token::Join(node.to_owned())),
            Whose::Gateway { namespace, name } => (namespace, name),
        };
        Ok(Token::Gateway(self.gateway(namespace, name)?, None))
    }

    /// Whom a good token of a service account is of.
    fn of_account(&self, proven: Proven) -> Result<Token, NoToken> {
        match proven.holder.clone() {
            Holder::Node(node) => Ok(Token::Account(node, proven)),
            Holder::Gateway(ObjectName { namespace, name }) => {
                Ok(Token::Gateway(self.gateway(&namespace, &name)?, Some(proven)))
            }
        }
    }

    /// A gateway is who the service account of its name is.
    fn gateway(&self, namespace: &str, name: &str) -> Result<Gateway, NoToken> {
        let identity = Identity::try_new(&self.trust_domain, namespace, name);
        let called = format!("{namespace}/{name}");
        match identity.ok().filter(|identity| !node::is_reserved(identity)) {
            Some(identity) => Ok(Gateway { name: called, identity }),
            None => Err(NoToken::Nobody(called)),
        }
    }

    /// What the caller is let in with, having proved to be its node by `proofs`.
    pub(crate) fn pass(self: &Arc<Self>, proofs: Proofs, caller: &Caller<'_>) -> Pass {
        let (Some(bearer), Some(token)) = (caller.bearer, proofs.token) else {
            return Pass::lasting();
        };
        // That a certificate is believed is looked after for the whole connection.
        if proofs.certificate.as_deref() == Some(caller.node) || token.name() != caller.node {
            return Pass::lasting();
        }
        self.watched(bearer, token)
    }

    /// The same of a gateway, which goes by nothing but its token.
    pub(crate) fn pass_of_gateway(self: &Arc<Self>, proofs: Proofs, bearer: Option<&str>) -> Pass {
        match (bearer, proofs.token) {
            (Some(bearer), Some(token)) => self.watched(bearer, token),
            _ => Pass::lasting(),
        }
    }

    /// Good for as long as the token is.
    fn watched(self: &Arc<Self>, bearer: &str, token: Token) -> Pass {
        let (doorkeeper, node) = (Arc::clone(self), token.name().to_owned());
        let bearer = bearer.to_owned();
        let lapsed = Box::pin(async move {
            let why = doorkeeper.lapsed(&bearer, token).await.to_string();
            tracing::info!(node, why, "what a node came by is good no longer: cut off");
            Status::unauthenticated(why)
        });
        Pass { lapsed, ..Pass::lasting() }
    }

    pub(crate) fn told(&self, what: &'static str, peer: &Peer, node: &str, status: &Status) {
        let Some(unwritten) = self.hush.line(peer.addr, (what, status.code())) else { return };
        let from = peer.addr.map(|addr| addr.to_string()).unwrap_or_default();
        let reason = status.message();
        tracing::warn!(what, from, node, reason, unwritten, "a caller was turned away");
    }

    /// Resolves when `bearer` is good no longer, and says why.
    async fn lapsed(&self, bearer: &str, token: Token) -> NoToken {
        match (token, &self.accounts) {
            (Token::Account(_, proven) | Token::Gateway(_, Some(proven)), Some(accounts)) => {
                accounts.lapsed(bearer, proven).await.into()
            }
            _ => self.void(bearer).await.into(),
        }
    }

    /// The same of a join token.
    async fn void(&self, bearer: &str) -> JoinError {
        let mut books = self.tokens.clone();
        let mut book = books.pin();
        loop {
            let now = self.clock.now();
            let left = match book.value.verify(bearer, &self.trust_domain, now) {
                Ok(claims) => claims.expires.as_secs().saturating_sub(now.as_secs()),
                Err(error) => return error,
            };
            // It is good to the end of its last second.
            let left = Duration::from_secs(left.saturating_add(1)).min(LOOK);
            let newer = async {
                match books.newer_than(book.generation).await {
                    Some(newer) => newer,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                newer = newer => book = newer,
                () = time::sleep(left) => {}
            }
        }
    }
}

impl DiscoveryGate {
    fn is_open(&self, proofs: &Proofs) -> bool {
        proofs.on_machine || (self.access == Access::MeshCertificates && proofs.in_mesh)
    }
}

#[async_trait]
impl Gate for DiscoveryGate {
    async fn knock(&self, peer: &Peer, bearer: Option<&str>) -> Result<(), Status> {
        let proofs = self.doorkeeper.proofs(peer, bearer).await;
        // Workloads are told of L7, and of nothing else.
        if self.is_open(&proofs) || proofs.in_mesh || proofs.gateway().is_some() {
            return Ok(());
        }
        let admitted = proofs.must_be_a_node();
        admitted.inspect_err(|status| self.doorkeeper.told("discovery", peer, "", status))
    }

    async fn admit(&self, caller: &Caller<'_>) -> Result<Pass, Status> {
        let proofs = self.doorkeeper.proofs(caller.peer, caller.bearer).await;
        // It leads connections into the mesh as nodes do, and is waited for as they are.
        if proofs.gateway().is_some_and(|gateway| gateway.name == caller.node) {
            return Ok(self.doorkeeper.pass_of_gateway(proofs, caller.bearer));
        }
        // Whoever proves nothing may call itself what it likes: it is nobody.
        if self.is_open(&proofs) && !proofs.claims_a_node() {
            return Ok(Pass::guest());
        }
        let admitted = proofs.must_be(caller.node);
        let Caller { peer, node, .. } = caller;
        admitted.inspect_err(|status| self.doorkeeper.told("discovery", peer, node, status))?;
        Ok(self.doorkeeper.pass(proofs, caller))
    }
}

#[async_trait]
impl Gate for ReportsGate {
    async fn knock(&self, peer: &Peer, bearer: Option<&str>) -> Result<(), Status> {
        let proofs = self.0.proofs(peer, bearer).await;
        proofs.must_be_a_node().inspect_err(|status| self.0.told("report", peer, "", status))
    }

    async fn admit(&self, caller: &Caller<'_>) -> Result<Pass, Status> {
        let proofs = self.0.proofs(caller.peer, caller.bearer).await;
        let admitted = proofs.must_be(caller.node);
        let Caller { peer, node, .. } = caller;
        admitted.inspect_err(|status| self.0.told("report", peer, node, status))?;
        Ok(self.0.pass(proofs, caller))
    }
}

#[cfg(test)]
mod tests;
