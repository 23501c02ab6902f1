//! What becomes of connections that are not HTTP, or are not looked into.
use super::{At, Clients, forward::Share};
use ipnet::IpNet;
use std::{num::NonZeroU16, sync::Arc};

/// For TLS that is passed on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRule {
    pub at: At,
    /// Names that are asked for (`a.example.com`, `*.example.com`), any of them; `*`, or none: all.
    pub hosts: Vec<Arc<str>>,
    pub matches: Vec<StreamMatch>,
    pub to: Vec<StreamShare>,
}

/// For bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpRule {
    pub at: At,
    /// Any of them; none: all.
    pub matches: Vec<StreamMatch>,
    pub to: Vec<StreamShare>,
}

/// All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamMatch {
    /// Any of them; none: all.
    pub destinations: Vec<IpNet>,
    pub port: Option<NonZeroU16>,
    /// Of connections from there; of bytes alone.
    pub source: Option<IpNet>,
    pub clients: Clients,
}

/// A share of the connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamShare {
    pub to: Share,
    pub weight: u32,
}
