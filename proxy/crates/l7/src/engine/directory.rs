//! Listeners by name and by address.
use crate::listener::{Active, Others};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Those of a moment; read without a lock.
#[derive(Debug, Default)]
pub(super) struct Directory(ArcSwap<Listed>);

#[derive(Debug, Default)]
struct Listed {
    names: HashMap<Arc<str>, Arc<Active>>,
    addresses: HashMap<SocketAddr, Arc<Active>>,
}

impl Directory {
    pub(super) fn set(&self, all: impl Iterator<Item = Arc<Active>>) {
        let mut listed = Listed::default();
        for active in all {
            for at in active.config.addresses.iter().filter_map(|at| at.address.as_socket()) {
                listed.addresses.insert(at, Arc::clone(&active));
            }
            listed.names.insert(Arc::clone(&active.config.name), active);
        }
        self.0.store(Arc::new(listed));
    }

    pub(super) fn named(&self, name: &str) -> Option<Arc<Active>> {
        self.0.load().names.get(name).cloned()
    }

    /// The listener of an address, else that of its port on all addresses.
    pub(super) fn find(&self, at: SocketAddr) -> Option<Arc<Active>> {
        let listed = self.0.load();
        let any: IpAddr = match at {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut found = listed.addresses.get(&at);
        found = found.or_else(|| listed.addresses.get(&SocketAddr::new(any, at.port())));
        found.cloned()
    }
}

impl Others for Directory {
    fn at(&self, address: SocketAddr) -> Option<Arc<Active>> {
        self.find(address)
    }
}
