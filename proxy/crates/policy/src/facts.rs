//! What a decision may depend on.
use culvert_model::identity::Identity;
use std::net::{IpAddr, SocketAddr};

/// The facts of one connection, gathered before policy is asked.
///
/// Everything a rule can mention is in here, so this is the limit of what policy can depend on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Who opened it, proven by the handshake; `None` for plain text.
    pub peer: Option<&'a Identity>,
    pub source: IpAddr,
    /// The address and port of the application, not the tunnel's.
    pub destination: SocketAddr,
}

impl<'a> Facts<'a> {
    pub fn new(peer: Option<&'a Identity>, source: IpAddr, destination: SocketAddr) -> Self {
        Self { peer, source, destination }
    }

    /// The peer without `spiffe://`.
    pub fn principal(&self) -> Option<&'a str> {
        self.peer.map(Identity::principal)
    }
}
