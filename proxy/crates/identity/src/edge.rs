//! TLS as Envoy's resources ask for it: certificates and trust of anybody, TLS 1.2 and 1.3.
//!
//! What the mesh speaks is [`tls`](crate::tls); here is what a gateway shows to strangers and what
//! it wants of servers outside. A side is made of a context and the secrets it names; when one of
//! them changes a new side is made, and whoever has connected stays connected. Saved sessions
//! belong to a side, so they end with the trust they were made under.
//!
//! Reading order: [`key`] (keys that come from outside), [`material`] (what a context and its secrets
//! say together), [`own`] (what a workload of the mesh shows and whom it believes, said so), `suite` (which cryptography), [`names`] and `check` (whether a peer is who it
//! must be), [`server`] and [`client`] (the two sides), [`facts`] (what is known after a handshake).

pub mod key;

pub mod material;

pub mod own;

mod suite;

pub mod names;

mod check;

pub mod server;

pub mod client;

pub mod facts;

#[cfg(test)]
mod tests;

use std::sync::Arc;

/// Why there can be no side of a context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    #[error("secret {0} is not known yet")]
    Missing(Arc<str>),
    #[error("secret {name} is not {wanted}")]
    OtherSecret { name: Arc<str>, wanted: &'static str },
    #[error("a server needs a certificate")]
    NoCertificate,
    #[error("trusted certificate {index} cannot be read: {reason}")]
    Root { index: usize, reason: String },
    #[error("revocation list {index} cannot be read: {reason}")]
    List { index: usize, reason: String },
    #[error("the system's trusted certificates cannot be read: {0}")]
    System(String),
    #[error("the private key is not one of ours")]
    ForeignKey,
    #[error("what is trusted is not told by us")]
    ForeignTrust,
    #[error("an OCSP staple is demanded (must_staple), and certificate {index} has none")]
    NoStaple { index: usize },
    #[error("none of the cipher suites {0} is spoken; of TLS 1.2 there are {known}", known = suite::KNOWN_SUITES)]
    NoSuite(String),
    #[error("none of the curves {0} is known; there are {known}", known = suite::KNOWN_CURVES)]
    NoCurve(String),
    #[error("TLS 1.2 and 1.3 are spoken, and neither is between the versions asked for")]
    NoVersion,
    #[error("TLS does not take it: {0}")]
    Tls(String),
}
