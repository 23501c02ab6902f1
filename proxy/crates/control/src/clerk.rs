//! What is written to the Kubernetes API: what became of objects of Istio and of gateways, what
//! gateways need, and what nodes say of pods.
//!
//! The replica that holds the Lease writes the status of objects of Istio, and events of them, keeps
//! the webhook's configuration true (`hook`), and sees to gateways (`steward`). Of a pod, that replica tells to which its node
//! reports (`notices`): no other knows. Whatever is so already is not written, and nothing that is
//! written is heard of as a change.
use crate::{
    control::Scene,
    gateways::{Gateways, template::Template},
    source::{Whence, documents::Documents},
    standing::{Standing, Status, Told},
};
use culvert_identity::ca::Authority;
use culvert_kubernetes::{
    client::Client,
    event::{Event, Regarding, Severity},
    fault::Fault,
    lease::Office,
    trim::Key,
    write::{Part, Place, now},
};
use culvert_runtime::{alarm, backoff::Backoff, dice::dice, drain::Worker, publish::View};
use pace::Pace;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::{collections::HashMap, sync::Arc, time::Duration};
use steward::{Steward, build::Builder};
use tokio::{sync::watch, time};
use tracing::{debug, info, warn};

mod hook;
mod notices;
mod pace;
mod steward;

/// Which replica writes, of those that hold it.
const LEASE: &str = "culvert-control";

/// What the `ClusterRole` needs.
const LACKS: &str = "its ClusterRole needs verbs: [patch] of apiGroups: [security.istio.io], resources: \
    [authorizationpolicies/status, peerauthentications/status], and of apiGroups: \
    [networking.istio.io], resources: [destinationrules/status, gateways/status, \
    serviceentries/status, virtualservices/status, workloadentries/status]";

/// Between two tries of something that failed.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A replica of the control plane, as others are to see it.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Like no other's, not even that of an earlier process in the same place.
    pub name: String,
    /// Where the Lease is.
    pub namespace: String,
    /// Objects are judged here before the API server takes them.
    pub admits: bool,
    /// What pods of gateways look like; `None`: none are made.
    pub gateways: Option<Template>,
}

/// What there is to write about.
pub(crate) struct Matter {
    pub(crate) standings: watch::Receiver<Arc<[Standing]>>,
    pub(crate) gateways: watch::Receiver<Arc<Gateways>>,
    pub(crate) documents: Arc<Mutex<Documents>>,
    pub(crate) scene: Arc<Mutex<Scene>>,
    pub(crate) authority: View<Arc<Authority>>,
}

/// Writes what became of objects of Istio.
struct Clerk {
    client: Client,
    office: Office,
    me: String,
    standings: watch::Receiver<Arc<[Standing]>>,
    /// What is written there, when it is this replica that writes.
    known: Option<HashMap<(&'static str, Key), Entry>>,
    pace: Pace,
    backoff: Backoff,
    said: Option<Fault>,
}

/// What is known of one object's status.
struct Entry {
    uid: String,
    status: Option<Status>,
    /// It cannot be written: not tried again for the same.
    given_up: Option<Standing>,
}

/// How the writing of one status ended.
enum Written {
    Done,
    /// Something else is to be written by now, or by somebody else.
    Stale,
}

/// Starts to write, until the worker finishes; `None`: there is nobody to, or nothing to write to.
pub(crate) fn start(
    whence: &Whence,
    replica: Option<&Replica>,
    matter: Option<Matter>,
    worker: &Worker,
) -> Option<Office> {
    let Whence::Kubernetes(client) = whence else { return None };
    let (Replica { name, namespace, admits, gateways: template }, matter) = (replica?, matter?);
    let office = Office::run_for(client, (namespace, LEASE), name, worker);
    let Matter { standings, gateways, documents, scene, authority } = matter;
    let clerk = Clerk {
        client: client.clone(),
        office: office.clone(),
        me: name.clone(),
        standings,
        known: None,
        pace: Pace::default(),
        backoff: Backoff::new(RETRY.0, RETRY.1),
        said: None,
    };
    worker.spawn_until_finish(clerk.run());
    let notices = notices::Task::new(client, name, scene, documents);
    worker.spawn_until_finish(notices.run());
    let steward = Steward::new(client, office.clone(), gateways);
    let builder = template.as_ref().map(|template| {
        Builder::new(client, office.clone(), template.clone(), authority.clone(), worker)
    });
    worker.spawn_until_finish(steward.run(builder));
    if *admits {
        let hook = hook::Hook::new(client, office.clone(), authority, worker);
        worker.spawn_until_finish(hook.run());
    }
    Some(office)
}

impl Clerk {
    async fn run(mut self) {
        let mut again = None;
        loop {
            tokio::select! {
                _ = self.office.changed() => {}
                Ok(()) = self.standings.changed() => {}
                () = alarm::at(again) => {}
            }
            again = None;
            if !self.office.is_held() {
                self.known = None;
                continue;
            }
            match self.round().await {
                Ok(()) => {
                    self.backoff.reset();
                    self.said = None;
                }
                Err(fault) => {
                    again = Some(time::Instant::now() + self.backoff.next(dice()));
                    self.tell_fault(fault);
                }
            }
        }
    }

    /// Writes whatever is not written as it is to be.
    async fn round(&mut self) -> Result<(), Fault> {
        loop {
            let standings = Arc::clone(&self.standings.borrow_and_update());
            if self.known.is_none() {
                self.known = Some(self.read(&standings).await?);
            }
            let is_new = self.round_of(&standings).await?;
            if !is_new {
                return Ok(());
            }
        }
    }

    /// Returns whether there are newer ones to be looked at.
    async fn round_of(&mut self, standings: &[Standing]) -> Result<bool, Fault> {
        let Some(known) = &mut self.known else { return Ok(false) };
        if known.len() > standings.len() {
            let there: HashMap<_, _> = standings.iter().map(|one| (one.place(), ())).collect();
            known.retain(|place, _| there.contains_key(place));
        }
        for standing in standings {
            if self.is_settled(standing) {
                continue;
            }
            self.pace.wait().await;
            match self.write(standing).await? {
                Written::Done => {}
                Written::Stale => return Ok(false),
            }
            if self.standings.has_changed().unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_settled(&self, standing: &Standing) -> bool {
        let entry = self.known.as_ref().and_then(|known| known.get(&standing.place()));
        let entry = entry.filter(|entry| entry.uid == standing.uid);
        entry.is_some_and(|entry| {
            entry.given_up.as_ref() == Some(standing) || standing.is_told(entry.status.as_ref())
        })
    }

    /// What the status of all objects says now.
    async fn read(
        &self,
        standings: &[Standing],
    ) -> Result<HashMap<(&'static str, Key), Entry>, Fault> {
        let kinds = standings.iter().map(|one| (one.kind, one.plural, one.api_version.as_str()));
        let all = listed::<Told>(&self.client, kinds).await?;
        let known = all.into_iter().map(|(kind, Told { metadata, status })| {
            let key = Key { namespace: metadata.namespace.into(), name: metadata.name.into() };
            ((kind, key), Entry { uid: metadata.uid, status, given_up: None })
        });
        Ok(known.collect())
    }

    async fn write(&mut self, standing: &Standing) -> Result<Written, Fault> {
        let entry = self.known.as_ref().and_then(|known| known.get(&standing.place()));
        let entry = entry.filter(|entry| entry.uid == standing.uid);
        let before = entry.and_then(|entry| entry.status.clone());
        let Some(leave) = self.office.enter().await else { return Ok(Written::Stale) };
        let Standing { plural, api_version, key, .. } = standing;
        let place = Place { api_version, plural, namespace: &key.namespace, name: &key.name };
        let fields = standing.written(before.as_ref(), &now());
        let written = self.client.apply(&place, Part::Status, &fields).await;
        drop(leave);
        let mut entry = Entry { uid: standing.uid.clone(), status: None, given_up: None };
        match written {
            Ok(answer) => {
                let told: Told = serde_json::from_value(answer).unwrap_or_default();
                entry.status = told.status;
                if !standing.is_told(entry.status.as_ref()) {
                    // As if it were: what the API server does not keep is not written again.
                    entry.given_up = Some(standing.clone());
                }
            }
            Err(fault) if is_final(&fault) => {
                entry.given_up = Some(standing.clone());
                tell_given_up(standing, &fault);
            }
            Err(fault) => return Err(fault),
        }
        if let Some(known) = &mut self.known {
            known.insert(standing.place(), entry);
        }
        self.tell(standing, before.as_ref()).await;
        Ok(Written::Done)
    }

    /// Tells of what is wrong with an object, unless it was so before.
    async fn tell(&mut self, standing: &Standing, before: Option<&Status>) {
        let Some(trouble) = standing.trouble() else { return };
        if before.is_some_and(|status| status.says(&trouble)) {
            return;
        }
        self.pace.wait().await;
        let Some(_leave) = self.office.enter().await else { return };
        let Standing { kind, api_version, key, uid, .. } = standing;
        let regarding =
            Regarding { api_version, kind, namespace: &key.namespace, name: &key.name, uid };
        let event = Event {
            regarding,
            severity: Severity::Warning,
            reason: trouble.reason,
            action: "Enforce",
            note: &trouble.message,
            cause: &trouble.message,
        };
        if let Err(fault) = self.client.tell(&event, &self.me).await {
            debug!(%fault, kind, object = %standing.name(), "an event was not told");
        }
    }

    fn tell_fault(&mut self, fault: Fault) {
        if self.said.as_ref() != Some(&fault) {
            let missing = if fault.is_forbidden() { format!("; {LACKS}") } else { String::new() };
            warn!("the status of objects of Istio is not written: {fault}{missing}");
            self.said = Some(fault);
        }
    }
}

/// All objects of some kinds, of which those that are the same come one after the other: each a
/// kind, its plural and the version by which it is followed.
async fn listed<T: DeserializeOwned>(
    client: &Client,
    kinds: impl Iterator<Item = (&'static str, &'static str, &str)>,
) -> Result<Vec<(&'static str, T)>, Fault> {
    let mut kinds: Vec<_> = kinds.collect();
    kinds.dedup();
    let mut all = Vec::new();
    for (kind, plural, api_version) in kinds {
        let place = Place { api_version, plural, namespace: "", name: "" };
        all.extend(client.list::<T>(&place).await?.into_iter().map(|one| (kind, one)));
    }
    Ok(all)
}

/// Whether the same would not be taken later, either.
fn is_final(fault: &Fault) -> bool {
    matches!(fault.code(), Some(400 | 404 | 409 | 413 | 422))
}

fn tell_given_up(standing: &Standing, fault: &Fault) {
    let (kind, object) = (standing.kind, standing.name());
    match fault {
        fault if fault.is_absent() => debug!(kind, %object, "gone before its status was written"),
        fault if fault.is_conflict() => {
            info!(kind, %object, "its status is somebody else's, and left alone: {fault}");
        }
        fault => warn!(kind, %object, "its status cannot be written: {fault}"),
    }
}
