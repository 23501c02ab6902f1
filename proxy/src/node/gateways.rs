//! Gateways in the process of a node, `culvert up`: strangers come in where the mesh is made.
use super::{Plan, feed::Feed};
use crate::{
    config::{Config, Doors},
    failure::Failure,
    gateway::{inside, mesh::Host, options::Of},
};
use culvert_kernel::Node;
use culvert_runtime::drain::Worker;
use std::sync::Arc;

/// Starts those that the settings name, as tasks of `worker`.
///
/// # Errors
///
/// When there is no way to the control plane for one of them.
pub(super) fn start(
    plan: &Plan,
    feed: &Feed,
    kernel: &Arc<Node>,
    worker: &Worker,
) -> Result<(), Failure> {
    let host = Host {
        metrics: Arc::clone(&plan.metrics),
        kernel: Some(Arc::clone(kernel)),
        data: plan.data.clone(),
    };
    for name in &plan.config.gateways.names {
        let Some(ways) = feed.source.ways_of(plan, name, worker)? else { continue };
        // The process's doors are its node's.
        let doors = Doors { admin: None, ..plan.config.doors };
        let config = Config { doors, ..plan.config.clone() };
        let last = plan.config.drain_deadline;
        inside::start(&Of { name: name.clone(), config }, ways, (&host, last), worker)?;
    }
    Ok(())
}
