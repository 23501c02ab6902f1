//! What a decision may depend on.
use culvert_model::identity::Identity;
use std::{
    cell::OnceCell,
    net::{IpAddr, SocketAddr},
};

/// The facts of one connection, gathered before policy is asked.
///
/// Everything a rule can mention is in here, so this is the limit of what policy can depend on.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Who opened it, proven by the handshake; `None` for plain text.
    pub peer: Option<&'a Identity>,
    pub source: IpAddr,
    /// The address and port of the application, not the tunnel's.
    pub destination: SocketAddr,
    /// The peer as rules write it, made when the first rule asks for it.
    principal: OnceCell<String>,
}

impl<'a> Facts<'a> {
    pub fn new(peer: Option<&'a Identity>, source: IpAddr, destination: SocketAddr) -> Self {
        Self { peer, source, destination, principal: OnceCell::new() }
    }

    /// The peer without `spiffe://`.
    pub fn principal(&self) -> Option<&str> {
        self.peer.map(|peer| {
            &**self.principal.get_or_init(|| {
                let (domain, namespace) = (peer.trust_domain(), peer.namespace());
                [domain, "/ns/", namespace, "/sa/", peer.service_account()].concat()
            })
        })
    }
}
