//! Objects of the Kubernetes API, read and compiled one by one.
use super::{
    Manifests, Set,
    tell::{tell_invalid, tell_kinds, tell_notes},
};
use crate::{
    compile::{Settings, http::gateway_api, incremental::Changes},
    gateways::Gateways,
    problem::Problem,
    source::{Difference, api::Intake, documents::Documents, kinds},
    standing::Standing,
    status::{Counts, Invalid, KindStatus, Status, unix_ms},
};
use culvert_kubernetes::{
    client::Client,
    mirror::{Choice, Event, Mirror},
};
use culvert_runtime::drain::Worker;
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc, time::SystemTime};
use tokio::task;
use tracing::{debug, error, info};

/// What came of some events.
struct Heard {
    changes: Changes,
    notes: Vec<Problem>,
    counts: Counts,
    kinds: Vec<KindStatus>,
    invalid: Vec<Invalid>,
    /// `None`: as before.
    standings: Option<Arc<[Standing]>>,
    gateway_api: Arc<[gateway_api::status::Standing]>,
    /// What is known of gateways; `None`: as before.
    gateways: Option<Gateways>,
    /// The Secrets and roots that are named; `None`: as before.
    secrets: Option<BTreeSet<Choice>>,
}

impl Manifests {
    /// Waits until all kinds that exist are known: what is told before would be less than there
    /// is, and without its policies.
    pub(super) async fn of_api(
        client: &Client,
        settings: Settings,
        worker: &Worker,
    ) -> (Self, Intake, Changes) {
        let mut kinds = kinds::followed();
        info!(server = client.server(), "reading objects of the Kubernetes API");
        let (mirror, mut secrets) = Mirror::start_with(client, &kinds, &kinds::named(), worker);
        let mut intake = Intake::new(mirror);
        // Where nobody serves L7, nobody needs a certificate.
        kinds.extend(settings.l7.then(kinds::named).into_iter().flatten());
        let documents = Arc::new(Mutex::new(Documents::new(kinds)));
        let mut manifests = Self::of(Set::Api(Arc::clone(&documents)), settings);
        loop {
            let events = intake.changed().await;
            let documents = Arc::clone(&documents);
            let read = task::spawn_blocking(move || {
                let mut documents = documents.lock();
                documents.hear(events);
                documents.read();
                let secrets = documents.choose_secrets();
                (secrets, documents.is_known(), documents.kinds())
            });
            match read.await {
                Ok((chosen, is_known, kinds)) => {
                    if let Some(chosen) = chosen {
                        secrets.choose(&chosen);
                    }
                    let before = Arc::clone(&manifests.status.borrow());
                    tell_kinds(&kinds, &before.kinds);
                    let status = Status { kinds, ..Status::clone(&before) };
                    manifests.status.send_replace(Arc::new(status));
                    if is_known {
                        break;
                    }
                }
                Err(error) => error!(%error, "reading an object ended early"),
            }
        }
        manifests.secrets = Some(secrets);
        // With nothing new: everything.
        let changes = manifests.hear(Vec::new()).await.unwrap_or_default();
        (manifests, intake, changes)
    }

    /// Takes in what was told; `None` when that ended early.
    pub(super) async fn hear(&mut self, mut events: Vec<Event>) -> Option<Changes> {
        // Whatever ended early is not met again, or meets a compiler that begins anew.
        for _ in 0..2 {
            match self.step(std::mem::take(&mut events)).await {
                Ok(heard) => return Some(self.accept_heard(heard)),
                Err(error) => {
                    error!(%error, "compiling a change ended early; it begins anew");
                    self.lose();
                    if let Set::Api(documents) = &self.set {
                        documents.lock().renew();
                    }
                }
            }
        }
        self.refuse(vec![Problem::of_file(
            "<kubernetes>",
            "compiling a change ended early, twice",
        )]);
        None
    }

    /// Off the runtime's thread: a large change takes a while.
    async fn step(&self, events: Vec<Event>) -> Result<Heard, task::JoinError> {
        let Set::Api(documents) = &self.set else { return Ok(Heard::nothing()) };
        let (documents, compiler) = (Arc::clone(documents), Arc::clone(&self.compiler));
        let before = Arc::clone(&self.status.borrow());
        let step = move || {
            let mut documents = documents.lock();
            documents.hear(events);
            documents.read();
            let secrets = documents.choose_secrets();
            let Difference { gone, new } = documents.difference();
            let mut compiler = compiler.lock();
            let changes = compiler.replace(&gone, &new);
            let is_other = compiler.mesh().notes != before.notes;
            let is_news = documents.take_standings_changed() || changes.config || is_other;
            let standings = is_news.then(|| documents.standings(&compiler));
            let gateways = documents.take_gateways(&compiler);
            Heard {
                gateways,
                changes,
                notes: compiler.mesh().notes.clone(),
                counts: documents.counts(),
                kinds: documents.kinds(),
                invalid: documents.invalid(),
                standings,
                gateway_api: Arc::clone(compiler.standings()),
                secrets,
            }
        };
        task::spawn_blocking(step).await
    }

    fn accept_heard(&mut self, heard: Heard) -> Changes {
        let Heard {
            changes,
            notes,
            counts,
            kinds,
            invalid,
            standings,
            gateway_api,
            gateways,
            secrets,
        } = heard;
        if let (Some(followed), Some(named)) = (&mut self.secrets, secrets) {
            followed.choose(&named);
        }
        if let Some(standings) = standings.filter(|new| **new != **self.standings.borrow()) {
            self.standings.send_replace(standings);
        }
        if let Some(gateways) = gateways.filter(|gateways| *gateways != **self.gateways.borrow()) {
            self.gateways.send_replace(Arc::new(gateways));
        }
        let changes = self.since_lost(changes);
        let before = Arc::clone(&self.status.borrow());
        tell_notes(&notes, &before.notes);
        tell_kinds(&kinds, &before.kinds);
        tell_invalid(&invalid, &before.invalid);
        let mut status = Status {
            counts,
            notes,
            kinds,
            invalid,
            refused: None,
            standings: gateway_api,
            ..Status::clone(&before)
        };
        if changes != Changes::default() {
            status.generation += 1;
            status.since_unix_ms = unix_ms(SystemTime::now());
            let (generation, Counts { namespaces, pods, .. }) = (status.generation, counts);
            match before.generation {
                0 => info!(generation, namespaces, pods, "objects of the Kubernetes API in force"),
                _ => debug!(generation, namespaces, pods, "objects of the Kubernetes API in force"),
            }
        }
        if status != *before {
            self.status.send_replace(Arc::new(status));
        }
        changes
    }
}

impl Heard {
    fn nothing() -> Self {
        Self {
            changes: Changes::default(),
            notes: Vec::new(),
            counts: Counts::default(),
            kinds: Vec::new(),
            invalid: Vec::new(),
            standings: None,
            gateway_api: Arc::default(),
            secrets: None,
            gateways: None,
        }
    }
}
