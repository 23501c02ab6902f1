//! The annotation `ambient.istio.io/redirection: enabled` of captured pods: by it any control plane,
//! one that starts anew or an istiod, knows who is captured.
//!
//! Nothing waits for it: capture goes on as it is when the API server is away or says no.
use culvert_control::compile::{Outside, own::RECORDED};
use culvert_dataplane::{Dataplane, PodPhase, PodStatus};
use culvert_kubernetes::{
    ask::{Refused, Resource},
    client::Client,
};
use culvert_model::name::{ObjectName, WorkloadUid};
use culvert_runtime::{alarm, backoff::Backoff, dice::dice, drain::Worker, publish::View};
use serde::de::IgnoredAny;
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time;
use tracing::{info, warn};

/// How long a pod is left alone once it was written: others may write it too, and the API server
/// tells of a change a little later.
const PACE: Duration = Duration::from_secs(3);

/// The same where the API server refuses this one pod.
const REFUSED_PACE: Duration = Duration::from_secs(60);

/// How long to wait when it does not answer, or refuses whatever it is asked.
const FIRST: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(60);

/// The node's pods as the API server has them.
pub(crate) type Marks = BTreeMap<WorkloadUid, Marked>;

/// What it has of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) name: ObjectName,
    /// Why it is not in the mesh.
    pub(crate) outside: Option<Outside>,
    /// Whether it is annotated.
    pub(crate) is: bool,
}

/// Who writes.
pub(crate) struct Marking {
    pub(crate) client: Client,
    pub(crate) marks: View<Marks>,
    pub(crate) dataplane: Dataplane,
}

/// What keeps from writing.
enum Trouble {
    /// This pod only.
    Pod(Refused),
    Everything(Refused),
}

impl Marking {
    /// Until the worker finishes, from when every pod was looked at once.
    pub(crate) fn start(mut self, worker: &Worker) {
        worker.spawn_until_finish(async move { self.keep().await });
    }

    async fn keep(&mut self) {
        self.dataplane.captured().await;
        let mut changed = self.dataplane.pods_changed();
        let mut backoff = Backoff::new(FIRST, MAX);
        let mut rests = BTreeMap::new();
        let mut is_silent = false;
        loop {
            changed.mark_unchanged();
            let marks = self.marks.pin();
            let due = due(&marks.value, &self.dataplane.pods());
            let now = Instant::now();
            rests.retain(|_, until| *until > now);
            match self.write(&marks.value, &due, &mut rests).await {
                Ok(()) => {
                    backoff.reset();
                    if std::mem::take(&mut is_silent) {
                        info!("pods are annotated as captured again");
                    }
                }
                Err(refused) => {
                    if !std::mem::replace(&mut is_silent, true) {
                        tell(&refused);
                    }
                    time::sleep(backoff.next(dice())).await;
                    continue;
                }
            }
            let rested = due.iter().filter_map(|(uid, _)| rests.get(*uid)).min().copied();
            tokio::select! {
                Ok(()) = changed.changed() => {}
                Some(_) = self.marks.newer_than(marks.generation) => {}
                () = alarm::at(rested) => {}
                else => return,
            }
        }
    }

    /// Writes whatever is due and not written a moment ago.
    async fn write(
        &self,
        marks: &Marks,
        due: &[(&WorkloadUid, bool)],
        rests: &mut BTreeMap<WorkloadUid, Instant>,
    ) -> Result<(), Refused> {
        for &(uid, mark) in due {
            let Some(pod) = marks.get(uid).filter(|_| !rests.contains_key(uid)) else { continue };
            let pace = match self.annotate(&pod.name, mark).await {
                Ok(()) => PACE,
                Err(Trouble::Pod(refused)) => {
                    tell(&refused);
                    REFUSED_PACE
                }
                Err(Trouble::Everything(refused)) => return Err(refused),
            };
            rests.insert(uid.clone(), Instant::now() + pace);
        }
        Ok(())
    }

    async fn annotate(&self, pod: &ObjectName, mark: bool) -> Result<(), Trouble> {
        let resource = Resource::core("pods").within(&*pod.namespace).named(&*pod.name);
        let value = mark.then_some("enabled");
        let change = json!({ "metadata": { "annotations": { RECORDED: value } } });
        match self.client.change::<IgnoredAny>(&resource, &change).await {
            Ok(_) => Ok(()),
            Err(refused) => match refused.fault.code() {
                // It is gone.
                Some(404) => Ok(()),
                None | Some(401 | 403 | 429 | 500..) => Err(Trouble::Everything(refused)),
                Some(_) => Err(Trouble::Pod(refused)),
            },
        }
    }
}

fn tell(refused: &Refused) {
    let Refused { of, fault, .. } = refused;
    let lacks = refused.lacks().unwrap_or_default();
    warn!(%of, %fault, lacks, "captured pods are not annotated; their capture does not need it");
}

/// Whose annotation is to change, and whether it is to be there.
fn due<'a>(marks: &'a Marks, pods: &[PodStatus]) -> Vec<(&'a WorkloadUid, bool)> {
    let phases: BTreeMap<_, _> = pods.iter().map(|pod| (&*pod.uid, &pod.state)).collect();
    let wanted = marks.iter().map(|(uid, pod)| {
        let phase = phases.get(uid.as_str()).copied();
        (uid, pod.is, wanted(pod, phase))
    });
    wanted.filter(|(_, is, wanted)| is != wanted).map(|(uid, _, wanted)| (uid, wanted)).collect()
}

/// Whether a pod is to be annotated; `phase`: what the kernel has of it.
fn wanted(pod: &Marked, phase: Option<&PodPhase>) -> bool {
    match (pod.outside, phase) {
        (None, Some(PodPhase::Captured)) => true,
        // In the mesh, and not captured for the moment: once captured, always meant to be. Or held
        // until everybody knows that it left.
        (None, _) | (Some(_), Some(_)) => pod.is,
        // Who captures it says so; and nobody reaches it any more.
        (Some(Outside::Istio | Outside::Over), None) => pod.is,
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PENDING: PodPhase = PodPhase::Pending { reason: String::new() };

    fn pod(outside: Option<Outside>, is: bool) -> Marked {
        Marked { name: ObjectName::new("shop", "cart"), outside, is }
    }

    #[test]
    fn who_is_captured_is_annotated_and_stays_so_while_it_is_in_the_mesh() {
        assert!(wanted(&pod(None, false), Some(&PodPhase::Captured)));
        for phase in [None, Some(&PENDING)] {
            assert!(wanted(&pod(None, true), phase) && !wanted(&pod(None, false), phase));
        }
    }

    #[test]
    fn who_left_is_annotated_until_it_is_let_go() {
        let left = pod(Some(Outside::Namespace), true);
        assert!(
            wanted(&left, Some(&PodPhase::Captured)) && wanted(&left, Some(&PodPhase::Leaving))
        );
        assert!(!wanted(&left, None), "also when it was let go by a process before this one");
    }

    #[test]
    fn what_another_mesh_says_of_its_pods_is_left_alone() {
        for outside in [Outside::Istio, Outside::Over] {
            assert!(wanted(&pod(Some(outside), true), None));
            assert!(!wanted(&pod(Some(outside), false), None));
        }
    }

    #[test]
    fn only_what_differs_is_due() {
        let uid = WorkloadUid::new;
        let marks: Marks = [
            (uid("a"), pod(None, true)),
            (uid("b"), pod(None, false)),
            (uid("c"), pod(Some(Outside::PodDeclines), true)),
            (uid("d"), pod(Some(Outside::PodDeclines), false)),
        ]
        .into();
        let status = |uid: &str| PodStatus {
            uid: uid.to_owned(),
            namespace: String::new(),
            name: String::new(),
            ips: Vec::new(),
            state: PodPhase::Captured,
            connections: 0,
            kernel: culvert_dataplane::KernelCounts::default(),
        };
        let due = due(&marks, &[status("a"), status("b")]);
        assert_eq!(due, [(&uid("b"), true), (&uid("c"), false)]);
    }
}
