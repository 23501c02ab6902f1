//! Events of pods that their node could not capture, as it reports.
//!
//! Each cause is told once, and once more while it lasts, before the API server forgets it; when
//! a node cannot capture many, one event of the node stands for them.
use super::Pace;
use crate::{control::Scene, source::documents::Documents};
use culvert_kubernetes::{
    client::Client,
    event::{Event, Regarding, Severity},
    fault::Fault,
};
use culvert_model::name::{ObjectName, WorkloadUid};
use culvert_xds::report::PodState;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time;
use tracing::warn;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(2);

/// A pod that is captured sooner is worth no word: so long may it take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The API server forgets events after an hour, as a rule.
const AGAIN: Duration = Duration::from_secs(30 * 60);

/// More pods of one node with one cause than this are told of as one.
const MANY: usize = 10;

/// Causes of one pod that are told apart.
const CAUSES: usize = 8;

/// Looks, and tells.
pub(super) struct Task {
    client: Client,
    me: String,
    scene: Arc<Mutex<Scene>>,
    documents: Arc<Mutex<Documents>>,
    notices: Notices,
    pace: Pace,
    said: Option<Fault>,
}

/// A pod that is not captured, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    pod: ObjectName,
    node: Arc<str>,
    because: String,
}

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
enum Notice {
    Pod(Pending),
    /// So many pods of a node, for one cause.
    Node {
        node: Arc<str>,
        because: String,
        pods: usize,
    },
}

/// What was told; pure.
#[derive(Debug, Default)]
struct Notices {
    pods: HashMap<WorkloadUid, Noted>,
}

#[derive(Debug)]
struct Noted {
    since: Instant,
    /// By cause, when.
    told: BTreeMap<String, Instant>,
}

impl Task {
    pub(super) fn new(
        client: &Client,
        me: &str,
        scene: Arc<Mutex<Scene>>,
        documents: Arc<Mutex<Documents>>,
    ) -> Self {
        let (client, me) = (client.clone(), me.to_owned());
        let (notices, pace) = (Notices::default(), Pace::default());
        Self { client, me, scene, documents, notices, pace, said: None }
    }

    #[expect(clippy::infinite_loop, reason = "it ends with the worker, which drops it")]
    pub(super) async fn run(mut self) {
        let mut looks = time::interval(LOOK);
        looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let pending = pending(&self.scene.lock());
            for notice in self.notices.due(&pending, Instant::now()) {
                self.pace.wait().await;
                match self.tell(&notice).await {
                    Ok(()) => self.said = None,
                    Err(fault) => self.tell_fault(fault),
                }
            }
        }
    }

    async fn tell(&self, notice: &Notice) -> Result<(), Fault> {
        let (pod, node, because, note) = match notice {
            Notice::Pod(Pending { pod, node, because }) => {
                (Some(pod), node, because, format!("node {node} cannot capture it: {because}"))
            }
            Notice::Node { node, because, pods } => {
                (None, node, because, format!("{pods} of its pods cannot be captured: {because}"))
            }
        };
        let regarding = match pod {
            // As kubelets write of nodes.
            None => {
                Regarding { api_version: "v1", kind: "Node", namespace: "", name: node, uid: node }
            }
            Some(pod) => Regarding {
                api_version: "v1",
                kind: "Pod",
                namespace: &pod.namespace,
                name: &pod.name,
                uid: &match self.uid(pod).await {
                    Some(uid) => uid,
                    None => return Ok(()),
                },
            },
        };
        let event = Event {
            regarding,
            severity: Severity::Warning,
            reason: "NotCaptured",
            action: "Capture",
            note: &note,
            cause: &cause(because),
        };
        match self.client.tell(&event, &self.me).await {
            // Gone meanwhile, with its namespace.
            Err(fault) if fault.is_absent() => Ok(()),
            told => told,
        }
    }

    /// `None`: it is gone.
    async fn uid(&self, pod: &ObjectName) -> Option<String> {
        // Held while a change is compiled.
        let (documents, pod) = (Arc::clone(&self.documents), pod.clone());
        let look = tokio::task::spawn_blocking(move || documents.lock().uid_of_pod(&pod));
        look.await.unwrap_or(None)
    }

    fn tell_fault(&mut self, fault: Fault) {
        if self.said.as_ref() != Some(&fault) {
            let missing = match fault.is_forbidden() {
                true => {
                    "; its ClusterRole needs apiGroups: [events.k8s.io], resources: [events], \
                     verbs: [create, get, patch]"
                }
                false => "",
            };
            warn!("an event of a pod that is not captured is not told: {fault}{missing}");
            self.said = Some(fault);
        }
    }
}

/// What nodes say that report to this replica.
fn pending(scene: &Scene) -> BTreeMap<WorkloadUid, Pending> {
    let wanted = scene.members.iter().filter(|(_, wanted)| wanted.enrolled);
    let all = wanted.filter_map(|(uid, wanted)| {
        let Some(PodState::Pending(because)) = scene.announcer.said(uid) else { return None };
        let (pod, node) = (wanted.member.name.clone(), Arc::clone(&wanted.member.node));
        Some((uid.clone(), Pending { pod, node, because: because.to_string() }))
    });
    all.collect()
}

/// Without what differs each time: numbers.
fn cause(because: &str) -> String {
    because.chars().filter(|char| !char.is_ascii_digit()).collect()
}

impl Notices {
    /// What is to be told now, of which it is taken for told.
    fn due(&mut self, pending: &BTreeMap<WorkloadUid, Pending>, now: Instant) -> Vec<Notice> {
        self.pods.retain(|uid, _| pending.contains_key(uid));
        let mut due: BTreeMap<(Arc<str>, String), Vec<&Pending>> = BTreeMap::new();
        for (uid, one) in pending {
            let new = || Noted { since: now, told: BTreeMap::new() };
            let noted = self.pods.entry(uid.clone()).or_insert_with(new);
            let cause = cause(&one.because);
            if now < noted.since + PATIENCE {
                continue;
            }
            let is_new = match noted.told.get(&cause) {
                Some(told) => now >= *told + AGAIN,
                None => noted.told.len() < CAUSES,
            };
            if is_new {
                noted.told.insert(cause.clone(), now);
                due.entry((Arc::clone(&one.node), cause)).or_default().push(one);
            }
        }
        let mut notices = Vec::new();
        for ((node, _), of_one) in due {
            match (&*of_one, of_one.len()) {
                ([first, ..], pods) if pods > MANY => {
                    notices.push(Notice::Node { node, because: first.because.clone(), pods });
                }
                (few, _) => {
                    notices.extend(few.iter().map(|one| Notice::Pod(Pending::clone(one))));
                }
            }
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(
        names: impl IntoIterator<Item = usize>,
        because: &str,
    ) -> BTreeMap<WorkloadUid, Pending> {
        let one = |number| {
            let pod = ObjectName::new("shop", format!("p{number}"));
            let uid = WorkloadUid::pod("Kubernetes", &pod);
            (uid, Pending { pod, node: "worker-1".into(), because: because.to_owned() })
        };
        names.into_iter().map(one).collect()
    }

    #[test]
    fn a_cause_is_told_once_and_again_before_it_is_forgotten() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let stuck = |try_: u32| pods([1], &format!("no namespace, try {try_}"));
        assert_eq!(notices.due(&stuck(1), start), []);
        assert_eq!(notices.due(&stuck(2), start + PATIENCE).len(), 1);
        assert_eq!(notices.due(&stuck(3), start + PATIENCE * 2), []);
        let other = pods([1], "no permission");
        assert_eq!(notices.due(&other, start + PATIENCE * 2).len(), 1);
        assert_eq!(notices.due(&stuck(4), start + PATIENCE * 3), []);
        assert_eq!(notices.due(&stuck(5), start + PATIENCE + AGAIN).len(), 1);
        // Captured, and stuck again later: a new story.
        assert_eq!(notices.due(&BTreeMap::new(), start + AGAIN * 2), []);
        assert_eq!(notices.due(&stuck(1), start + AGAIN * 3), []);
        assert_eq!(notices.due(&stuck(1), start + AGAIN * 3 + PATIENCE).len(), 1);
    }

    #[test]
    fn many_of_a_node_are_one() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let many = pods(0..=MANY, "no permission");
        notices.due(&many, start);
        let told = notices.due(&many, start + PATIENCE);
        let expected = Notice::Node {
            node: "worker-1".into(),
            because: "no permission".into(),
            pods: MANY + 1,
        };
        assert_eq!(told, [expected]);
    }

    #[test]
    fn a_pod_that_says_something_else_each_time_is_not_told_of_forever() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let told: usize = (0..100_u8)
            .map(|round| {
                let because = "x".repeat(usize::from(round));
                notices.due(&pods([1], &because), start + PATIENCE * u32::from(round)).len()
            })
            .sum();
        assert_eq!(told, CAUSES);
    }
}
