//! The pods of this node: which there should be, and what is done about it.
pub(crate) mod belief;
pub(crate) mod door;
pub(crate) mod doors;
pub(crate) mod peers;
pub(crate) mod pod;
pub(crate) mod sockets;
pub(crate) mod status;

mod actor;
mod gate;
mod orphans;
mod plan;
mod table;

use crate::{
    connections::ConnStatus,
    dataplane::Shared,
    pods::{
        actor::Actor,
        gate::Gate,
        plan::{Action, plan},
        pod::Pod,
        status::{Capture, PodPhase, PodStatus},
        table::Table,
    },
};
use culvert_kernel::Node;
use culvert_model::{name::WorkloadUid, pod::LocalPods};
use culvert_runtime::{
    drain::Worker,
    publish::{Generation, View},
};
use culvert_telemetry::metrics::PodSample;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;

/// Holds the pods that are wanted and lets go of the others.
#[derive(Debug)]
pub(crate) struct Pods {
    pub(crate) shared: Arc<Shared>,
    gate: Arc<Gate>,
    table: Arc<Table>,
    view: View<LocalPods>,
    /// The newest generation for which every pod has an actor that knows; `None`: none yet.
    planned: watch::Sender<Option<Generation>>,
    /// Whether no earlier process serves connections any more.
    alone: AtomicBool,
}

impl Pods {
    pub(crate) fn new(
        shared: Arc<Shared>,
        kernel: Arc<Node>,
        view: View<LocalPods>,
        worker: &Worker,
    ) -> Self {
        let (gate, table) = (Arc::new(Gate::new(kernel, worker.clone())), Arc::default());
        Self {
            shared,
            gate,
            table,
            view,
            planned: watch::Sender::new(None),
            alone: AtomicBool::new(false),
        }
    }

    /// Follows what is wanted until the process finishes.
    pub(crate) async fn run(self: Arc<Self>, worker: Worker) {
        let mut view = self.view.clone();
        let mut desired = view.pin();
        // Before anything was published nothing is known, and that is no reason to let go.
        let known = desired.generation != Generation::FIRST || !desired.value.pods.is_empty();
        let mut news = known;
        loop {
            if news {
                self.follow(&desired.value, &worker);
                self.planned.send_replace(Some(desired.generation));
                self.let_go_orphans().await;
            }
            tokio::select! {
                () = worker.finishing() => return,
                newer = view.newer_than(desired.generation) => match newer {
                    Some(newer) => desired = newer,
                    None => return worker.finishing().await,
                },
            }
            news = true;
        }
    }

    /// Waits until every pod that is wanted now is captured or has a reason why not.
    pub(crate) async fn captured(&self) {
        let mut planned = self.planned.subscribe();
        let wanted = self.view.pin().generation;
        // The sender is ours.
        drop(planned.wait_for(|planned| planned.is_some_and(|planned| wanted <= planned)).await);
        let mut changed = self.shared.changed.subscribe();
        // One after the other: each change is looked at for one pod, however many there are.
        for pod in self.table.pods() {
            drop(changed.wait_for(|()| pod.is_settled()).await);
        }
    }

    pub(crate) fn changed(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    pub(crate) fn capture(&self, uid: &WorkloadUid, netns: &Path) -> Capture {
        match self.table.pods().iter().find(|pod| pod.uid == *uid) {
            Some(pod) if pod.is_captured_in(netns) => Capture::Done,
            Some(pod) => match pod.phase() {
                PodPhase::Pending { reason } => Capture::Pending { reason },
                PodPhase::Captured | PodPhase::Leaving => Capture::Unknown,
            },
            None => Capture::Unknown,
        }
    }

    pub(crate) async fn freeze(&self) {
        self.gate.shut().await;
    }

    pub(crate) fn thaw(&self) {
        self.gate.open();
    }

    /// Cleans up what an earlier generation left of pods that nobody wants.
    pub(crate) async fn predecessor_ended(&self) {
        let mut planned = self.planned.subscribe();
        // The sender is ours.
        drop(planned.wait_for(Option::is_some).await);
        self.alone.store(true, Ordering::Relaxed);
        self.let_go_orphans().await;
    }

    /// Every pod that somebody cares for.
    pub(crate) fn all(&self) -> Vec<Arc<Pod>> {
        self.table.pods()
    }

    pub(crate) fn status(&self) -> Vec<PodStatus> {
        self.table.pods().iter().map(|pod| pod.status()).collect()
    }

    pub(crate) fn samples(&self) -> Vec<PodSample> {
        self.table.pods().iter().map(|pod| pod.sample()).collect()
    }

    pub(crate) fn connections(&self) -> Vec<ConnStatus> {
        self.table.pods().iter().flat_map(|pod| pod.connections()).collect()
    }

    fn follow(&self, desired: &LocalPods, worker: &Worker) {
        for action in plan(desired, &self.table.held()) {
            match action {
                Action::Hold(pod) | Action::Tell(pod) => {
                    let new = || Pod::new(&self.shared, &pod);
                    if let Some((pod, told)) = self.table.tell(&pod, new) {
                        let (gate, table) = (Arc::clone(&self.gate), Arc::clone(&self.table));
                        let actor = Actor::new(pod, told, gate, table, worker.clone());
                        worker.spawn(actor.run());
                    }
                }
                Action::LetGo(uid) => self.table.let_go(&uid),
            }
        }
    }

    /// Lets go of pods that an earlier generation held and nobody wants; actors adopt the others.
    async fn let_go_orphans(&self) {
        let held = self.table.held();
        let alone = self.alone.load(Ordering::Relaxed);
        // None: left to the next process.
        let _: Option<()> = self
            .gate
            .pass(move |kernel| {
                let unwanted = |uid: &WorkloadUid| !held.contains_key(uid);
                if alone {
                    orphans::finish(kernel, unwanted);
                } else {
                    orphans::release(kernel, unwanted);
                }
            })
            .await;
    }
}
