//! The pools of one endpoint: one for each way in which its connections may differ.
use super::{door::Door, greeting::Ends, host::Host, wire::Wire};
use crate::pool::{Pool, Speaks};
use culvert_model::{
    http::{
        address::Address,
        endpoint::{Endpoint, LocalityEndpoints},
    },
    party::Party,
};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

/// Above so many, pools without connections are let go.
const MANY: usize = 64;

/// What connections of one pool have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) high: bool,
    /// By the request's version, where the cluster goes by it.
    pub(super) two: bool,
    pub(super) sni: Option<Arc<str>>,
    pub(super) ends: Option<Ends>,
    /// As whom a node opens them.
    pub(super) party: Option<Arc<Party>>,
}

/// Those of one endpoint, reached by one wire.
pub(super) struct Pools {
    wire: Arc<Wire>,
    way: usize,
    host: Arc<Host>,
    to: Arc<[Address]>,
    hostname: Arc<str>,
    /// The pool of most requests.
    plain: OnceLock<Arc<Pool>>,
    others: RwLock<HashMap<Key, Arc<Pool>>>,
}

impl Pools {
    pub(super) fn new(
        wire: &Arc<Wire>,
        host: &Arc<Host>,
        endpoint: &Endpoint,
        locality: &LocalityEndpoints,
    ) -> Self {
        let first = std::iter::once(&host.address);
        Self {
            wire: Arc::clone(wire),
            way: wire.way_of(endpoint, locality),
            host: Arc::clone(host),
            to: first.chain(&*endpoint.more_addresses).cloned().collect(),
            hostname: Arc::clone(&endpoint.hostname),
            plain: OnceLock::new(),
            others: RwLock::default(),
        }
    }

    /// Whether they are those that [`Self::new`] would make.
    pub(super) fn serve(
        &self,
        wire: &Arc<Wire>,
        endpoint: &Endpoint,
        locality: &LocalityEndpoints,
    ) -> bool {
        Arc::ptr_eq(&self.wire, wire)
            && self.hostname == endpoint.hostname
            && self.to.get(1..) == Some(&*endpoint.more_addresses)
            && self.way == wire.way_of(endpoint, locality)
    }

    pub(super) fn pool(&self, key: Key) -> Arc<Pool> {
        if key == Key::default() {
            return Arc::clone(self.plain.get_or_init(|| self.make(key)));
        }
        if let Some(pool) = self.others.read().get(&key) {
            return Arc::clone(pool);
        }
        let mut gone = Vec::new();
        let mut others = self.others.write();
        if others.len() >= MANY {
            gone.extend(
                others
                    .extract_if(|_, pool| Arc::strong_count(pool) == 1 && pool.connections() == 0),
            );
        }
        let pool = others.entry(key.clone()).or_insert_with(|| self.make(key));
        Arc::clone(pool)
    }

    /// How connections are opened; `speaks` is `None` for what is no HTTP, `to` for the endpoint's
    /// own addresses.
    pub(super) fn door(
        &self,
        key: Key,
        speaks: Option<Speaks>,
        to: Option<Arc<[Address]>>,
    ) -> Door {
        let (to, hostname) =
            (to.unwrap_or_else(|| Arc::clone(&self.to)), Arc::clone(&self.hostname));
        let (wire, host) = (Arc::clone(&self.wire), Arc::clone(&self.host));
        Door { wire, host, way: self.way, to, hostname, key, speaks, alpn: Arc::default() }
    }

    /// Whether connections differ by who is downstream.
    pub(super) fn greets(&self) -> bool {
        self.wire.ways.get(self.way).is_some_and(|way| way.greeting.is_some())
    }

    pub(super) fn is_secure(&self) -> bool {
        self.wire.ways.get(self.way).is_some_and(|way| way.tls.is_some())
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        let plain = self.plain.get().map_or(0, |pool| pool.connections());
        plain + self.others.read().values().map(|pool| pool.connections()).sum::<usize>()
    }

    fn make(&self, key: Key) -> Arc<Pool> {
        let speaks = self.wire.speaks(key.two);
        let [default, high] = &*self.wire.limits;
        let breakers = if key.high { high } else { default }
            .breakers(Arc::clone(&self.wire.tally.traffic().connections));
        let door = Arc::new(self.door(key, Some(speaks), None));
        let worker = self.wire.deps.worker.clone();
        Arc::new(Pool::new(door, self.wire.options(speaks), breakers, worker))
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").field("to", &self.to).finish_non_exhaustive()
    }
}
