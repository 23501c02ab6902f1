//! What a caller proves: by a token, by a certificate, by where it is.
use crate::serve::{
    accounts::{AccountError, Proven},
    l7::desk::Who,
};
use culvert_identity::join::JoinError;
use culvert_model::identity::Identity;
use tonic::{Code, Status};

/// What a caller proved.
#[derive(Debug, Default)]
pub struct Proofs {
    /// The node or gateway that a token is of.
    pub(super) token: Option<Token>,
    /// Why the token proves nothing.
    pub(super) no_token: Option<NoToken>,
    /// The node that a client certificate is of.
    pub(super) certificate: Option<String>,
    /// A client certificate of the mesh, be it a node's or a workload's.
    pub(super) in_mesh: bool,
    /// The connection is one that only this machine can make.
    pub(super) on_machine: bool,
}

/// A gateway: a workload that no node speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// `NAMESPACE/NAME`, which is no node's.
    pub name: String,
    pub identity: Identity,
}

/// What a token proves.
#[derive(Debug)]
pub(super) enum Token {
    Join(String),
    /// The node, by its own pod's account.
    Account(String, Proven),
    /// By a join token, or its account.
    Gateway(Gateway, Option<Proven>),
}

/// Why a token proves nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoToken {
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("it is neither a join token nor a service account's token")]
    Neither,
    #[error("{0} cannot have an identity")]
    Nobody(String),
}

impl Proofs {
    /// The nodes that the caller is, and by what; one as a rule.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let token = self.token.as_ref().and_then(Token::node);
        let certificate = self.certificate.as_deref().map(|node| (node, "client certificate"));
        token.into_iter().chain(certificate)
    }

    /// The gateway that the caller is.
    pub fn gateway(&self) -> Option<&Gateway> {
        match &self.token {
            Some(Token::Gateway(gateway, _)) => Some(gateway),
            Some(Token::Join(_) | Token::Account(..)) | None => None,
        }
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

    /// Who the caller is to those who tell nodes and workloads apart; `identity` is what its
    /// certificate says.
    pub(crate) fn who(&self, identity: Option<&Identity>) -> Who {
        if self.on_machine && !self.claims_a_node() {
            return Who::Anybody;
        }
        let nodes: Vec<String> = self.nodes().map(|(node, _)| node.to_owned()).collect();
        let identity = self.gateway().map(|gateway| &gateway.identity).or(identity);
        match (self.must_be_a_node(), identity) {
            (Ok(()), _) => Who::Node(nodes),
            (Err(_), Some(identity)) => Who::Workload(identity.clone()),
            (Err(why), None) => Who::Nobody(why),
        }
    }

    /// Whether the caller showed something that says which node it is, be it good or not.
    pub(super) fn claims_a_node(&self) -> bool {
        let other_kind =
            matches!(self.no_token, None | Some(NoToken::Join(JoinError::Form) | NoToken::Neither));
        self.nodes().next().is_some() || !other_kind
    }

    /// # Errors
    ///
    /// When the caller did not prove to be a node.
    pub fn must_be_a_node(&self) -> Result<(), Status> {
        if self.nodes().next().is_some() {
            return Ok(());
        }
        if let Some(Gateway { name, .. }) = self.gateway() {
            let why = format!("the caller is gateway {name}, and no node");
            return Err(Status::permission_denied(why));
        }
        Err(match &self.no_token {
            Some(error) => Status::new(error.code(), error.to_string()),
            None if self.in_mesh => Status::unauthenticated("the client certificate is no node's"),
            None => {
                Status::unauthenticated("there is neither a token nor a node's client certificate")
            }
        })
    }
}

impl Token {
    /// Of a node, and what it is.
    fn node(&self) -> Option<(&str, &'static str)> {
        match self {
            Self::Join(node) => Some((node, "join token")),
            Self::Account(node, _) => Some((node, "service account's token")),
            Self::Gateway(..) => None,
        }
    }

    /// Whose it is.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Join(node) | Self::Account(node, _) => node,
            Self::Gateway(Gateway { name, .. }, _) => name,
        }
    }
}

impl NoToken {
    fn code(&self) -> Code {
        match self {
            Self::Account(error) => error.code(),
            Self::Join(_) | Self::Neither | Self::Nobody(_) => Code::Unauthenticated,
        }
    }
}
