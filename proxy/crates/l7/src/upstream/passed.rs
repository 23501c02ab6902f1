//! Endpoints that are wherever connections were bound (`ORIGINAL_DST`).
use super::{
    host::{Host, Place},
    pools::Pools,
    wire::Wire,
};
use culvert_model::http::{
    address::Address,
    endpoint::{Endpoint, LocalityEndpoints},
};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    net::SocketAddr,
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
            self.wire.deps.worker.spawn_until_finish(clean(Arc::downgrade(self), within));
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
    let endpoint = Arc::new(Endpoint::at(address));
    let locality = Arc::<LocalityEndpoints>::default();
    let pools = Arc::new(Pools::new(wire, &host, &endpoint, &locality));
    Arc::new(Place { host, endpoint, locality, pools })
}
