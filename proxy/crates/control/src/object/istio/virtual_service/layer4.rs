//! Routes of connections.
use super::matches::{TcpMatch, TlsMatch};
use crate::object::{istio::destination::Destination, spanned::Spanned};
use serde::Deserialize;

/// Where connections are led.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TcpRoute {
    /// Any of them; empty: every connection.
    #[serde(rename = "match")]
    pub matches: Vec<Spanned<TcpMatch>>,
    pub route: Vec<Spanned<Share>>,
}

/// Where connections are led that begin with TLS, which is passed on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TlsRoute {
    #[serde(rename = "match")]
    pub matches: Spanned<Vec<Spanned<TlsMatch>>>,
    #[serde(default)]
    pub route: Vec<Spanned<Share>>,
}

/// A destination, and its part of all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Share {
    pub destination: Destination,
    pub weight: Option<u32>,
}
