//! Endpoints that are wherever connections were bound (`ORIGINAL_DST`).
use super::{
    host::{Host, Place},
    pools::Pools,
    wire::Wire,
};
use culvert_model::http::{
    address::Address,
    endpoint::{Endpoint, EndpointCheck, HealthStatus, LocalityEndpoints},
    value::Metadata,
};
use culvert_model::locality::Locality;
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time;

/// Those that were asked for lately.
#[derive(Debug)]
pub(super) struct Passed {
    wire: Arc<Wire>,
    known: RwLock<HashMap<SocketAddr, Entry>>,
    /// Somebody cleans up.
    cleaning: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    place: Arc<Place>,
    /// Since somebody cleaned up.
    used: AtomicBool,
}

impl Passed {
    pub(super) fn new(wire: &Arc<Wire>) -> Self {
        let (wire, known) = (Arc::clone(wire), RwLock::default());
        Self { wire, known, cleaning: AtomicBool::new(false) }
    }

    /// The endpoint of an address, forgotten when nobody has asked for it `within` so long.
    pub(super) fn place(self: &Arc<Self>, to: SocketAddr, within: Duration) -> Arc<Place> {
        if let Some(entry) = self.known.read().get(&to) {
            entry.used.store(true, Ordering::Relaxed);
            return Arc::clone(&entry.place);
        }
        let place = {
            let mut known = self.known.write();
            let new = || Entry { place: place(to, &self.wire), used: AtomicBool::new(true) };
            Arc::clone(&known.entry(to).or_insert_with(new).place)
        };
        self.wire.tally.members(&self.all(), true);
        if !self.cleaning.swap(true, Ordering::AcqRel) {
            let (passed, worker) = (Arc::downgrade(self), self.wire.deps.worker.clone());
            self.wire.deps.worker.spawn(async move {
                tokio::select! {
                    () = clean(passed, within) => {}
                    () = worker.finishing() => {}
                }
            });
        }
        place
    }

    pub(super) fn all(&self) -> Vec<Arc<Place>> {
        self.known.read().values().map(|entry| Arc::clone(&entry.place)).collect()
    }

    /// Whether there is something left.
    fn forget(&self) -> bool {
        let (gone, left) = {
            let mut known = self.known.write();
            let idle = |entry: &mut Entry| {
                !entry.used.swap(false, Ordering::Relaxed) && entry.place.host.active() == 0
            };
            let gone: Vec<_> = known.extract_if(|_, entry| idle(entry)).collect();
            if known.is_empty() {
                self.cleaning.store(false, Ordering::Release);
            }
            (gone, !known.is_empty())
        };
        if !gone.is_empty() {
            self.wire.tally.members(&self.all(), true);
        }
        left
    }
}

/// Until nothing is left.
async fn clean(passed: Weak<Passed>, every: Duration) {
    loop {
        time::sleep(every).await;
        if !passed.upgrade().is_some_and(|passed| passed.forget()) {
            return;
        }
    }
}

fn place(to: SocketAddr, wire: &Arc<Wire>) -> Arc<Place> {
    let address = Address::Socket(to);
    let host = Arc::new(Host::new(address.clone(), wire.deps.now()));
    let endpoint = Arc::new(Endpoint {
        address,
        more_addresses: Arc::default(),
        hostname: "".into(),
        health: HealthStatus::Unknown,
        weight: NonZeroU32::MIN,
        metadata: Metadata::default(),
        check: EndpointCheck::default(),
    });
    let locality = Arc::new(LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: None,
        metadata: Metadata::default(),
        endpoints: Arc::default(),
    });
    let pools = Arc::new(Pools::new(wire, &host, &endpoint, &locality));
    Arc::new(Place { host, endpoint, locality, pools })
}
