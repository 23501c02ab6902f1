//! Resources as an engine has them that was told of them.
use super::{Emitter, Resource};
use culvert_model::http::snapshot::{self, Snapshot};
use culvert_xds::envoy::{
    decode::{self, Nothing, Wrong},
    kind::Kind,
};
use std::sync::Arc;

impl Emitter {
    /// Read by our own decoder; secrets are left out.
    ///
    /// # Errors
    ///
    /// What an engine of ours would refuse.
    pub fn decoded(&self) -> Result<Snapshot, Wrong> {
        let mut told = Snapshot::default();
        for resource in self.resources.values() {
            let Resource { kind, name, version, any } = &**resource;
            let (name, bytes) = (Arc::clone(name), &any.value);
            let version = Arc::clone(version);
            match kind {
                Kind::Cluster => {
                    let value = Arc::new(decode::cluster(bytes, &Nothing)?);
                    told.clusters_mut().insert(name, snapshot::Resource { version, value });
                }
                Kind::Endpoint => {
                    let value = Arc::new(decode::assignment(bytes)?);
                    told.assignments_mut().insert(name, snapshot::Resource { version, value });
                }
                Kind::Listener => {
                    let value = Arc::new(decode::listener(bytes, &Nothing)?);
                    told.listeners_mut().insert(name, snapshot::Resource { version, value });
                }
                Kind::Route => {
                    let value = Arc::new(decode::routes(bytes, &Nothing)?);
                    told.routes_mut().insert(name, snapshot::Resource { version, value });
                }
                Kind::Secret | Kind::Extension | Kind::Runtime => {}
            }
        }
        Ok(told)
    }
}
