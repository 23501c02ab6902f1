//! Listeners by address.
use crate::listener::{Active, Others};
use arc_swap::ArcSwap;
use culvert_model::http::listener::Direction;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

/// Those of a moment; read without a lock.
#[derive(Debug, Default)]
pub(super) struct Directory(ArcSwap<Listed>);

#[derive(Debug, Default)]
struct Listed {
    all: Addresses,
    inbound: Addresses,
    /// And those that do not say.
    outbound: Addresses,
}

#[derive(Debug, Default)]
struct Addresses {
    at: HashMap<SocketAddr, Arc<Active>>,
    /// Gets what is for no other: Istio's `virtualInbound`, `virtualOutbound`.
    rest: Option<Arc<Active>>,
}

impl Directory {
    /// `all` in the order of their names.
    pub(super) fn set(&self, all: impl Iterator<Item = Arc<Active>>) {
        let mut listed = Listed::default();
        for active in all {
            listed.all.add(&active, false);
            let config = &active.config;
            match config.direction {
                // Chains say which of the pods is meant.
                Direction::Inbound => listed.inbound.add(&active, true),
                Direction::Outbound | Direction::Unspecified => {
                    listed.outbound.add(&active, config.use_original_dst);
                }
            }
        }
        self.0.store(Arc::new(listed));
    }

    /// The listener of an address, else that of its port on all addresses, else the one that gets
    /// the rest.
    pub(super) fn find(&self, at: SocketAddr, direction: Direction) -> Option<Arc<Active>> {
        let listed = self.0.load();
        let addresses = match direction {
            Direction::Unspecified => &listed.all,
            Direction::Inbound => &listed.inbound,
            Direction::Outbound => &listed.outbound,
        };
        addresses.find(at).cloned()
    }
}

impl Addresses {
    fn add(&mut self, active: &Arc<Active>, takes_rest: bool) {
        for at in active.config.addresses.iter().filter_map(|at| at.address.as_socket()) {
            self.at.insert(at, Arc::clone(active));
        }
        if takes_rest {
            self.rest.get_or_insert_with(|| Arc::clone(active));
        }
    }

    fn find(&self, at: SocketAddr) -> Option<&Arc<Active>> {
        let any: IpAddr = match at {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let found = self.at.get(&at).or_else(|| self.at.get(&SocketAddr::new(any, at.port())));
        found.or(self.rest.as_ref())
    }
}

impl Others for Directory {
    fn at(&self, address: SocketAddr) -> Option<Arc<Active>> {
        self.find(address, Direction::Unspecified)
    }
}
