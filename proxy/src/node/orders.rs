//! What the control plane orders.
use super::discovery::Discovery;
use culvert_model::name::WorkloadUid;
use culvert_runtime::drain::Worker;
use culvert_xds::report::Order;
use tokio::sync::mpsc;
use tracing::{debug, info};

/// Who does what is ordered.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) node: String,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) discovery: Discovery,
    pub(super) released: mpsc::Sender<Vec<WorkloadUid>>,
}

impl Orders {
    /// Until the worker finishes.
    pub(super) async fn follow(mut self, worker: Worker) {
        loop {
            let order = tokio::select! {
                () = worker.finishing() => return,
                order = self.orders.recv() => order,
            };
            let Some(order) = order else { return };
            match order {
                Order::Welcome { version, life } => info!(version, life, "reports are heard"),
                Order::Mesh(settings) => self.discovery.set_mesh(&self.node, &settings),
                Order::Release(uids) => {
                    // Nobody to hear it: the process ends.
                    drop(self.released.send(uids).await);
                }
                Order::Announced(uids) => {
                    debug!(pods = uids.len(), "announced as reached by HBONE");
                }
            }
        }
    }
}
