//! Endpoints that are wherever connections were bound (`ORIGINAL_DST`).
use super::{
    host::{Host, Place},
    pools::Pools,
    wire::Wire,
};
use culvert_model::http::{
    address::Address,
    cluster::Cluster,
    endpoint::{Endpoint, EndpointCheck, HealthStatus, LocalityEndpoints},
    value::Metadata,
};
use culvert_model::locality::Locality;
use parking_lot::Mutex;
use std::{collections::HashMap, net::SocketAddr, num::NonZeroU32, sync::Arc};
use tokio::time::Instant;

/// Those that were asked for lately.
#[derive(Debug, Default)]
pub(super) struct Passed(Mutex<HashMap<SocketAddr, (Instant, Arc<Place>)>>);

impl Passed {
    /// The endpoint of an address; others that nobody has used since are forgotten.
    pub(super) fn place(&self, to: SocketAddr, config: &Cluster, wire: &Arc<Wire>) -> Arc<Place> {
        let now = Instant::now();
        let mut forgotten = Vec::new();
        let mut all = self.0.lock();
        if let Some((used, place)) = all.get_mut(&to) {
            *used = now;
            return Arc::clone(place);
        }
        forgotten.extend(all.extract_if(|_, (used, place)| {
            place.host.active() == 0 && config.cleanup_interval < now.duration_since(*used)
        }));
        let place = place(to, wire);
        all.insert(to, (now, Arc::clone(&place)));
        place
    }

    pub(super) fn all(&self) -> Vec<Arc<Place>> {
        self.0.lock().values().map(|(_, place)| Arc::clone(place)).collect()
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
