//! The node's own pods, as Kubernetes tells of them: who they are by the API server, where they
//! are by the CNI plugin, or by a look at what runs.
//!
//! What the API server said last stays true while it is away.
mod objects;
mod scan;

use super::{
    cni::{
        book::Book,
        roster::{Own as Listed, Roster},
    },
    marks::{Marked, Marks},
};
use crate::failure::{Exit, Failure};
use culvert_cni::{
    call::PodRef,
    running::{Scene, Sought},
};
use culvert_control::{
    compile::{
        Settings,
        own::{Own, Place, Standing},
    },
    problem::Problem,
};
use culvert_kubernetes::{
    client::{Client, Reach},
    mirror::{Event, Mirror},
};
use culvert_model::pod::LocalPods;
use culvert_runtime::{
    drain::Worker,
    publish::{self, Publisher, View},
};
use objects::{Uid, kinds, name};
use scan::Scan;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time::{self, MissedTickBehavior},
};
use tracing::{info, warn};

/// How often to look for pods that nobody handed over, and whether others are where they were.
const LOOK: Duration = Duration::from_secs(1);

/// Events that are taken at once.
const MOST: usize = 512;

/// The task's state.
struct Follow {
    own: Own,
    book: Book,
    scene: Scene,
    /// Where pods are that nobody handed over, by the uid of their object.
    found: BTreeMap<String, PathBuf>,
    /// Of each kind: whether all of it was told once.
    synced: [bool; 2],
    away: BTreeSet<usize>,
    said: BTreeSet<String>,
    local: Publisher<LocalPods>,
    roster: Publisher<Roster>,
    marks: Publisher<Marks>,
    marked: Marks,
    told: Option<(LocalPods, Roster)>,
    /// Whether somebody looked around: before, a pod that an earlier process holds would be let go
    /// for not being found.
    looked: bool,
}

/// What is published of it.
#[derive(Debug)]
pub(super) struct Views {
    pub(super) local: View<LocalPods>,
    pub(super) roster: View<Roster>,
    pub(super) marks: View<Marks>,
    pub(super) client: Client,
}

/// Follows the pods of `settings.node_name` until the worker finishes; nothing is published before
/// all of them are known.
///
/// # Errors
///
/// When there is no way to an API server.
pub(super) async fn start(
    (reach, host_proc): (&Reach, &Path),
    settings: Settings,
    book: Book,
    worker: &Worker,
) -> Result<Views, Failure> {
    let client = Client::new(reach).await.map_err(|error| {
        let next = "run it as a pod with a service account, or name a file with --kubeconfig";
        Failure::of(Exit::Cannot, &error, next)
    })?;
    let scene = Scene::here(host_proc)
        .map_err(|error| Failure::of(Exit::Cannot, &error, "see that /proc is mounted"))?;
    info!(server = client.server(), "the pods of this node are those of the API server");
    let mirror = Mirror::start(&client, &kinds(&settings.node_name), worker);
    let (local, local_view) = publish::channel(LocalPods::default());
    let (roster, roster_view) = publish::channel(Roster::default());
    let (marks, marks_view) = publish::channel(Marks::default());
    let changed = book.changed();
    let follow = Follow {
        own: Own::new(settings),
        book,
        scene,
        found: BTreeMap::new(),
        synced: [false; 2],
        away: BTreeSet::new(),
        said: BTreeSet::new(),
        local,
        roster,
        marks,
        marked: Marks::new(),
        told: None,
        looked: false,
    };
    let own = worker.clone();
    worker.spawn(async move {
        tokio::select! {
            () = own.finishing() => {}
            () = follow.run(mirror, changed) => {}
        }
    });
    Ok(Views { local: local_view, roster: roster_view, marks: marks_view, client })
}

impl Follow {
    async fn run(mut self, mut mirror: Mirror, mut changed: watch::Receiver<()>) {
        let (tell, mut scanned) = mpsc::channel(1);
        let mut scan = Scan::default();
        let mut looks = time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = Vec::new();
        loop {
            tokio::select! {
                more = mirror.take(&mut events, MOST) => {
                    if !more {
                        return;
                    }
                    events.drain(..).for_each(|event| self.note(event));
                }
                Ok(()) = changed.changed() => {}
                Some(found) = scanned.recv() => {
                    self.looked = true;
                    self.not_found(&scan.sought, &found);
                    scan.end(found.is_empty(), Instant::now());
                    self.found.extend(found);
                }
                _ = looks.tick() => {}
            }
            if self.synced.contains(&false) {
                continue;
            }
            self.found.retain(|_, netns| netns.exists());
            let sought = self.publish();
            if scan.begins(&sought, Instant::now()) {
                let (scene, tell) = (self.scene.clone(), tell.clone());
                tokio::task::spawn_blocking(move || tell.blocking_send(scene.find(&sought)));
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Applied { kind, key, json: Ok(json) } => {
                let name = name(kind, &key);
                if let Err(problems) = self.own.apply(&name, &Uid::of(&json), &json) {
                    self.problems(&problems);
                }
            }
            Event::Applied { key, json: Err(why), .. } => {
                // What was known of it stays.
                self.say(format!("{}/{}: {why}", key.namespace, key.name));
            }
            Event::Deleted { kind, key } => self.own.remove(&name(kind, &key)),
            Event::Synced { kind, .. } => {
                if let Some(synced) = self.synced.get_mut(kind) {
                    *synced = true;
                }
                if self.away.remove(&kind) && self.away.is_empty() {
                    info!("the API server is back");
                }
            }
            // Nothing is followed by its name.
            Event::Looked { .. } => {}
            Event::Unavailable { kind, why } => {
                if self.away.is_empty() {
                    warn!(%why, "the API server does not tell of this node's pods: what it said last stays true");
                }
                self.away.insert(kind);
            }
        }
    }

    /// Publishes what changed; returns those of whom nobody knows where they are.
    fn publish(&mut self) -> Vec<Sought> {
        let sought = self.own.pods().filter(|pod| pod.enrolled && !pod.ips.is_empty());
        let sought = sought.filter(|pod| self.place(*pod).is_none()).map(|pod| Sought {
            uid: pod.uid.to_string(),
            ips: pod.ips.iter().map(|ip| ip.value).collect(),
        });
        let sought: Vec<_> = sought.collect();
        if !self.looked && !sought.is_empty() {
            return sought;
        }
        self.looked = true;
        let (local, problems) = self.own.local(|pod| self.place(pod));
        self.problems(&problems);
        let roster = self.list();
        let told = self.told.as_ref();
        let (old_local, old_roster) = told.map(|(local, roster)| (local, roster)).unzip();
        // Pods first: who is told to be wanted can be looked for.
        if old_local != Some(&local) {
            self.local.publish(local.clone());
        }
        if old_roster != Some(&roster) {
            self.roster.publish(roster.clone());
        }
        self.told = Some((local, roster));
        let marks = self.marks();
        if self.marked != marks {
            self.marks.publish(marks.clone());
            self.marked = marks;
        }
        sought
    }

    /// Where a pod is: as it was handed over, else as it was found.
    fn place(&self, pod: Standing<'_>) -> Option<Place> {
        let name = pod.name;
        let asked = PodRef {
            namespace: name.namespace.to_string(),
            name: name.name.to_string(),
            uid: pod.uid.to_string(),
        };
        if let Some(handed) = self.book.of(&asked).filter(|handed| handed.netns.exists()) {
            let (netns, ips) = (handed.netns.clone(), handed.addresses.clone());
            return Some(Place { netns, ips });
        }
        self.found.get(&**pod.uid).map(|netns| Place { netns: netns.clone(), ips: Vec::new() })
    }

    fn marks(&self) -> Marks {
        let pods = self.own.pods().map(|Standing { name, outside, recorded, .. }| {
            (self.own.uid_of(name), Marked { name: name.clone(), outside, is: recorded })
        });
        pods.collect()
    }

    fn list(&self) -> Roster {
        let namespaces = self.own.namespaces();
        let pods = self.own.pods().map(|Standing { name, uid, enrolled, .. }| {
            (name.clone(), Listed { object: Arc::clone(uid), enrolled })
        });
        Roster {
            namespaces: namespaces.map(|(name, enrols)| (Arc::clone(name), enrols)).collect(),
            // One that was made a moment ago may be told of in a moment.
            whole: false,
            pods: pods.collect(),
        }
    }

    /// Says of whom even a look around did not tell where they are.
    fn not_found(&mut self, sought: &[Sought], found: &BTreeMap<String, PathBuf>) {
        let lost: Vec<_> = sought.iter().filter(|pod| !found.contains_key(&pod.uid)).collect();
        let names = self.own.pods().filter(|known| lost.iter().any(|pod| *pod.uid == **known.uid));
        let names: Vec<_> =
            names.map(|pod| format!("{}/{}", pod.name.namespace, pod.name.name)).collect();
        for name in names {
            self.say(format!(
                "pod {name} is in the mesh and not captured: its network namespace is not seen; mount /run/netns of the host with mountPropagation HostToContainer, or its /proc and name that host_proc"
            ));
        }
    }

    fn problems(&mut self, problems: &[Problem]) {
        for problem in problems {
            self.say(problem.in_one_line());
        }
    }

    /// Says what is wrong with an object, once.
    fn say(&mut self, wrong: String) {
        if !self.said.contains(&wrong) {
            warn!("{wrong}");
            self.said.insert(wrong);
        }
    }
}

#[cfg(test)]
mod tests;
