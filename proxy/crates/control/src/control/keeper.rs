//! The one task that changes what everybody is told.
use super::{scene::Scene, world};
use crate::{
    announce::record::{Record, Store},
    ca::hosted::{Agents, Hosted, Hosting, Other},
    compile::{http::emit::scene::Edit, incremental::Changes, mesh::MeshConfig},
    manifests::Manifests,
    serve::{accounts::Names, l7::Hub},
    source::{Follow, News},
};
use culvert_model::{name::WorkloadUid, pod::LocalPods, snapshot::OutboundPolicy};
use culvert_runtime::{alarm, drain::Worker, publish::Publisher};
use culvert_xds::{
    report::{MeshSettings, Outbound},
    server::Worlds,
    transport::{
        nodes::{Kind, Nodes},
        reports::Event,
    },
};
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    time::{self, MissedTickBehavior},
};

/// How often another replica's record is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// When an order did not get through, it is given again after this.
const AGAIN: Duration = Duration::from_millis(100);

/// Events that are taken in one go.
const AT_ONCE: usize = 1024;

pub(super) struct Keeper {
    pub(super) manifests: Manifests,
    pub(super) follow: Follow,
    pub(super) scene: Arc<Mutex<Scene>>,
    pub(super) store: Arc<Mutex<Store>>,
    /// What is written down.
    pub(super) saved: Saved,
    pub(super) worlds: Worlds,
    pub(super) published: Publisher<Worlds>,
    pub(super) hosting: Hosting,
    pub(super) hosted: Publisher<Arc<Hosted>>,
    pub(super) agents: Publisher<Arc<Agents>>,
    pub(super) local: Publisher<LocalPods>,
    /// Gateways that there are.
    pub(super) gateways: Publisher<Arc<Names>>,
    pub(super) nodes: Nodes,
    /// Whoever follows L7 is told by it.
    pub(super) hub: Hub,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) version: &'static str,
    pub(super) life: String,
    pub(super) again: Option<Instant>,
}

/// The record as this process wrote it last.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) edits: u64,
    pub(super) record: Record,
}

/// Something to look at.
enum Wake {
    Manifests(News),
    Said(Box<Event>),
    Time,
    Look,
}

impl Keeper {
    pub(super) async fn run(mut self, owner: Worker) {
        let mut changes = self.nodes.changes();
        let mut looks = time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (waiting, until) = {
                let scene = self.scene.lock();
                let wake = scene.announcer.wake(Instant::now());
                (scene.announcer.is_waiting(), wake.into_iter().chain(self.again).min())
            };
            let wake = tokio::select! {
                biased;
                () = owner.finishing() => return,
                news = self.follow.changed() => Wake::Manifests(news),
                Some(event) = self.events.recv() => Wake::Said(Box::new(event)),
                Ok(()) = changes.changed(), if waiting => Wake::Time,
                () = alarm::at(until) => Wake::Time,
                _ = looks.tick() => Wake::Look,
            };
            let changed = match wake {
                Wake::Manifests(news) => self.manifests.take(news).await.unwrap_or_default(),
                Wake::Said(event) => {
                    self.hear(*event);
                    Changes::default()
                }
                Wake::Time => Changes::default(),
                Wake::Look => {
                    let is_unsaved = self.scene.lock().unsaved.is_some();
                    if !self.learn().await && !is_unsaved {
                        continue;
                    }
                    Changes::default()
                }
            };
            self.again = None;
            self.advance(changed).await;
        }
    }

    /// Does all that follows from `changes` and from what nodes said and accepted.
    pub(super) async fn advance(&mut self, mut changes: Changes) {
        self.scene.lock().change(&changes, Instant::now());
        let generation = self.manifests.status().borrow().generation;
        if changes.l7.iter().any(|edit| matches!(edit, Edit::Plan(_))) {
            self.gateways.publish(Arc::new(self.manifests.gateway_names()));
        }
        self.hub.follow(std::mem::take(&mut changes.l7), generation);
        self.settle(&changes);
        loop {
            let acked = self.nodes.acked(Kind::Addresses);
            let step = self.scene.lock().announcer.step(Instant::now(), &acked);
            // Written down before anybody hears of it.
            self.save().await;
            let is_new = self.publish(&changes, &step.shown);
            let mut scene = self.scene.lock();
            let sequence = self.worlds.addresses.sequence();
            scene.announcer.published(sequence, Instant::now());
            let is_last = !is_new && step.shown.is_empty() && step.orders.is_empty();
            for (node, order) in step.orders {
                if !scene.give(&node, order) {
                    self.again = Some(Instant::now() + AGAIN);
                }
            }
            if is_last || self.again.is_some() {
                return;
            }
            changes = Changes::default();
        }
    }

    fn hear(&mut self, first: Event) {
        let mut scene = self.scene.lock();
        scene.hear(first, (self.version, &self.life));
        for _ in 1..AT_ONCE {
            let Ok(event) = self.events.try_recv() else { return };
            scene.hear(event, (self.version, &self.life));
        }
    }

    /// What is no matter of resources.
    fn settle(&mut self, changes: &Changes) {
        if changes.local {
            self.local.publish(self.manifests.with_mesh(|mesh| mesh.local.clone()));
        }
        let (config, services, policies) = self
            .manifests
            .with_mesh(|mesh| (Arc::clone(&mesh.config), mesh.services.len(), mesh.policies.len()));
        let mut scene = self.scene.lock();
        (scene.services, scene.policies) = (services, policies);
        scene.set_settings(settings(&config));
        let (mut other, hosting) = (Other::default(), &mut self.hosting);
        self.manifests.with_mesh(|mesh| {
            for uid in changes.members.keys().chain(changes.expected.keys()) {
                let now = (mesh.members.get(uid), mesh.expected.get(uid));
                other |= hosting.change(uid, now.0.map(|one| &**one), now.1.map(|one| &**one));
            }
        });
        if other.hosted {
            self.hosted.publish(Arc::new(self.hosting.hosted.clone()));
        }
        if other.agents {
            self.agents.publish(Arc::new(self.hosting.agents.clone()));
        }
    }

    fn publish(&mut self, changes: &Changes, shown: &BTreeSet<WorkloadUid>) -> bool {
        let changed = world::change(&mut self.worlds, &self.scene.lock(), changes, shown);
        if changed {
            self.published.publish(self.worlds.clone());
        }
        changed
    }

    /// Writes down what changed of what is announced.
    async fn save(&mut self) {
        let (edits, record) = {
            let scene = self.scene.lock();
            if scene.announcer.edits() == self.saved.edits {
                return;
            }
            (scene.announcer.edits(), scene.announcer.record())
        };
        let before = std::mem::take(&mut self.saved.record);
        let store = Arc::clone(&self.store);
        let save = move || {
            let saved = match before == record {
                true => Ok(()),
                false => store.lock().save(&before, &record),
            };
            (before, record, saved)
        };
        let Ok((before, record, saved)) = tokio::task::spawn_blocking(save).await else { return };
        match saved {
            Ok(()) => {
                self.saved = Saved { edits, record };
                self.scene.lock().unsaved = None;
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                // Tried again with the next look; nodes that report are told the same anyway.
                self.saved.record = before;
                let said = self.scene.lock().unsaved.replace(error.to_string());
                if said != Some(error.to_string()) {
                    tracing::error!(%error, cause, "what is announced is not written down");
                }
            }
        }
    }

    /// Whether another replica wrote something down.
    async fn learn(&mut self) -> bool {
        let store = Arc::clone(&self.store);
        let news = tokio::task::spawn_blocking(move || store.lock().news()).await;
        match news {
            Ok(Ok(Some(record))) => {
                self.scene.lock().announcer.learn(record, Instant::now());
                true
            }
            Ok(Ok(None)) | Err(_) => false,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what other replicas announce cannot be read");
                false
            }
        }
    }
}

fn settings(config: &MeshConfig) -> MeshSettings {
    MeshSettings {
        outbound: match config.outbound {
            OutboundPolicy::AllowAny => Outbound::AllowAny,
            OutboundPolicy::RegistryOnly => Outbound::RegistryOnly,
        },
        network: config.network.to_string(),
        trust_domain: config.trust_domain.to_string(),
    }
}
