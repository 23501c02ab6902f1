//! What the node tells its control plane: pods captured or not and why, how far it is.
use super::discovery::Progress;
use culvert_dataplane::{Dataplane, PodPhase, PodStatus};
use culvert_model::name::{ObjectName, WorkloadUid};
use culvert_runtime::drain::Worker;
use culvert_xds::{
    report::{Pod, PodState, Sheet},
    transport::reporter::Reporter,
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;

/// What a report is made of.
pub(super) struct Told {
    pub(super) dataplane: Dataplane,
    /// Those that wait to be released.
    pub(super) leaving: watch::Receiver<BTreeSet<WorkloadUid>>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) reporter: Reporter,
}

impl Told {
    /// Reports until the worker finishes, from when every pod was looked at once.
    pub(super) async fn run(mut self, worker: Worker) {
        tokio::select! {
            () = worker.finishing() => {}
            () = self.tell() => {}
        }
    }

    async fn tell(&mut self) {
        self.dataplane.captured().await;
        let mut changed = self.dataplane.pods_changed();
        let mut captured = BTreeSet::new();
        loop {
            changed.mark_unchanged();
            let sheet = sheet(
                &self.dataplane.pods(),
                &self.leaving.borrow_and_update(),
                &mut captured,
                &self.progress.borrow_and_update(),
            );
            self.reporter.change(|told| *told = sheet);
            tokio::select! {
                Ok(()) = changed.changed() => {}
                Ok(()) = self.leaving.changed() => {}
                Ok(()) = self.progress.changed() => {}
                else => return,
            }
        }
    }
}

/// All there is to say.
///
/// `captured` is who was so before, and is so thereafter.
fn sheet(
    pods: &[PodStatus],
    leaving: &BTreeSet<WorkloadUid>,
    captured: &mut BTreeSet<WorkloadUid>,
    progress: &Progress,
) -> Sheet {
    for status in pods.iter().filter(|status| status.state == PodPhase::Captured) {
        captured.insert(WorkloadUid::new(&*status.uid));
    }
    let held = |status: &&PodStatus| status.state != PodPhase::Leaving;
    let known: BTreeSet<_> = pods.iter().filter(held).map(|status| &*status.uid).collect();
    captured.retain(|uid| known.contains(uid.as_str()));
    let pods: BTreeMap<_, _> =
        pods.iter().filter_map(|status| pod(status, leaving, captured)).collect();
    let Progress { applied, refusals } = progress.clone();
    Sheet { pods, applied, refusals }
}

/// `None`: let go already, and only its last connections run on.
fn pod(
    status: &PodStatus,
    leaving: &BTreeSet<WorkloadUid>,
    captured: &BTreeSet<WorkloadUid>,
) -> Option<(WorkloadUid, Pod)> {
    let uid = WorkloadUid::new(&*status.uid);
    let state = match &status.state {
        PodPhase::Captured | PodPhase::Pending { .. } if leaving.contains(&uid) => {
            PodState::Leaving
        }
        PodPhase::Captured => PodState::Captured,
        // Enrolled anew, and served meanwhile.
        PodPhase::Pending { .. } if captured.contains(&uid) => PodState::Captured,
        PodPhase::Pending { reason } => PodState::Pending(reason.clone()),
        PodPhase::Leaving => return None,
    };
    let name = ObjectName::new(&*status.namespace, &*status.name);
    Some((uid, Pod { name, state }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, state: PodPhase) -> PodStatus {
        PodStatus {
            uid: name.to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            ips: Vec::new(),
            state,
            connections: 0,
            kernel: culvert_dataplane::KernelCounts::default(),
        }
    }

    #[test]
    fn a_pod_that_waits_for_its_release_says_so_and_one_that_was_let_go_is_not_there() {
        let pending = PodPhase::Pending { reason: "why".to_owned() };
        let pods = [
            status("a", PodPhase::Captured),
            status("b", PodPhase::Captured),
            status("c", pending.clone()),
            status("d", PodPhase::Leaving),
            status("e", pending.clone()),
            status("f", pending),
        ];
        let leaving = ["b", "e"].map(WorkloadUid::new).into();
        let mut captured = ["f", "gone"].map(WorkloadUid::new).into();
        let sheet = sheet(&pods, &leaving, &mut captured, &Progress::default());
        assert_eq!(captured, ["a", "b", "f"].map(WorkloadUid::new).into());
        let states: Vec<_> =
            sheet.pods.iter().map(|(uid, pod)| (uid.as_str(), pod.state.clone())).collect();
        let why = || PodState::Pending("why".to_owned());
        assert_eq!(
            states,
            [
                ("a", PodState::Captured),
                ("b", PodState::Leaving),
                ("c", why()),
                ("e", PodState::Leaving),
                ("f", PodState::Captured),
            ]
        );
    }
}
