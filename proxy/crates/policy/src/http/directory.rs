//! Which listener takes a connection that somebody else has accepted: listeners by address.
use culvert_model::http::listener::{Direction, Listener};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Those of a moment, each with what stands for it.
#[derive(Clone, Debug)]
pub struct Directory<T> {
    all: Addresses<T>,
    inbound: Addresses<T>,
    /// And those that do not say.
    outbound: Addresses<T>,
}

#[derive(Clone, Debug)]
struct Addresses<T> {
    at: HashMap<SocketAddr, T>,
    /// Gets what is for no other: Istio's `virtualInbound`, `virtualOutbound`.
    rest: Option<T>,
}

impl<T: Clone> Directory<T> {
    /// Adds a listener; they come in the order of their names.
    pub fn add(&mut self, config: &Listener, what: &T) {
        self.all.add(config, what, false);
        match config.direction {
            // Chains say which of the pods is meant.
            Direction::Inbound => self.inbound.add(config, what, true),
            Direction::Outbound | Direction::Unspecified => {
                self.outbound.add(config, what, config.use_original_dst);
            }
        }
    }

    /// The listener of an address, else that of its port on all addresses, else the one that gets
    /// the rest.
    pub fn find(&self, at: SocketAddr, direction: Direction) -> Option<&T> {
        let addresses = match direction {
            Direction::Unspecified => &self.all,
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        };
        addresses.find(at)
    }
}

impl<T: Clone> Addresses<T> {
    fn add(&mut self, config: &Listener, what: &T, takes_rest: bool) {
        for at in config.addresses.iter().filter_map(|at| at.address.as_socket()) {
            self.at.insert(at, what.clone());
        }
        if takes_rest {
            self.rest.get_or_insert_with(|| what.clone());
        }
    }

    fn find(&self, at: SocketAddr) -> Option<&T> {
        let any: IpAddr = match at {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let found = self.at.get(&at).or_else(|| self.at.get(&SocketAddr::new(any, at.port())));
        found.or(self.rest.as_ref())
    }
}

impl<T> Default for Directory<T> {
    fn default() -> Self {
        Self {
            all: Addresses::default(),
            inbound: Addresses::default(),
            outbound: Addresses::default(),
        }
    }
}

impl<T> Default for Addresses<T> {
    fn default() -> Self {
        Self { at: HashMap::new(), rest: None }
    }
}
