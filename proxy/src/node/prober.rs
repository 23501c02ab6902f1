//! Kubelet's cgroup, which is another one after each start of its service.
use culvert_kernel::Node;
use culvert_runtime::drain::Worker;
use culvert_telemetry::chain::Chain;
use std::{sync::Arc, time::Duration};
use tokio::time;
use tracing::{info, warn};

/// How often to look; kubelet takes longer from its start to its first probe.
const LOOK: Duration = Duration::from_millis(500);

/// Follows it until the worker finishes.
pub(super) fn follow(node: &Arc<Node>, worker: &Worker) {
    let (node, own) = (Arc::clone(node), worker.clone());
    worker.spawn(async move {
        let mut is_said = false;
        loop {
            tokio::select! {
                () = own.finishing() => return,
                () = time::sleep(LOOK) => {}
            }
            match node.refresh_prober() {
                Ok(true) => info!("kubelet's cgroup was made anew: its probes are known again"),
                Ok(false) => is_said = false,
                Err(error) if !is_said => {
                    is_said = true;
                    warn!(error = %Chain(&error), "kubelet's probes may be captured");
                }
                Err(_) => {}
            }
        }
    });
}
