//! Asks the API server for what there is of one kind.
use super::{
    Event,
    follow::{Do, Follow},
    wire::{self, Lines},
};
use crate::{
    client::{Client, JSON, chain},
    fault::Fault,
    kind::Kind,
    path,
    trim::{Key, Trim},
};
use bytes::Bytes;
use culvert_runtime::{dice::dice, drain::Worker};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::Deserialize;
use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tracing::{debug, info};

const BARE_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const BARE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// A watch is asked to end after this many seconds, and up to twice as many.
const WATCH: u64 = 300;

/// A watch on which not even a bookmark came for this long is begun anew, where it was.
const SILENT: Duration = Duration::from_secs(150);

/// A watch that ends sooner, and said nothing, is not begun anew at once.
const EARLY: Duration = Duration::from_secs(1);

/// How often a kind that nobody defined is looked for, where nothing says that somebody did.
const LOOK: Duration = Duration::from_secs(30);

/// A definition is served a little later than it is made.
const MAKING: Duration = Duration::from_secs(10);

/// One kind, and whoever is told of it.
pub(super) struct Task {
    client: Client,
    kind: Kind,
    trim: Trim,
    follow: Follow,
    out: Out,
    /// Rings when some kind was defined, or is no longer.
    defined: Option<watch::Receiver<()>>,
    /// When it last rang.
    rang: Option<Instant>,
}

/// Who is told.
pub(super) enum Out {
    Events(mpsc::Sender<Event>),
    /// Of an object by its name.
    One(mpsc::Sender<Event>, Key),
    /// Only that something changed.
    Bell(watch::Sender<()>),
}

/// Nobody listens any more.
type Told = ControlFlow<()>;

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
}

impl Task {
    pub(super) fn new(
        client: &Client,
        kind: Kind,
        index: usize,
        out: Out,
        defined: Option<watch::Receiver<()>>,
    ) -> Self {
        Self {
            client: client.clone(),
            trim: Trim::new(&kind),
            follow: Follow::new(index, kind.versions.len(), kind.is_custom),
            kind,
            out,
            defined,
            rang: None,
        }
    }

    pub(super) fn spawn(mut self, worker: &Worker) {
        worker.spawn_until_finish(async move { self.run().await });
    }

    /// Returns when nobody listens any more.
    async fn run(&mut self) {
        loop {
            let step = match self.follow.next() {
                Do::List { version, next, limit } => self.list(version, next, limit).await,
                Do::Watch { version, from } => self.watch(version, &from).await,
                Do::Ask => self.ask().await,
                Do::Await => {
                    self.wait_for_definition().await;
                    Ok(ControlFlow::Continue(()))
                }
            };
            let told = match step {
                Ok(told) => told,
                Err(fault) => self.fail(fault).await,
            };
            if told.is_break() {
                return;
            }
        }
    }

    async fn list(
        &mut self,
        version: usize,
        next: Option<String>,
        limit: Option<u32>,
    ) -> Result<Told, Fault> {
        let limit = limit.map(|limit| limit.to_string());
        let query = path::query([
            ("fieldSelector", self.kind.selector.as_deref()),
            ("labelSelector", self.kind.labels.as_deref()),
            ("limit", limit.as_deref()),
            ("continue", next.as_deref()),
        ]);
        let path = format!("{}{query}", self.kind.path(version));
        let accept = if self.kind.is_bare { BARE_LIST } else { JSON };
        let answer = self.client.get(&path, accept).await?;
        let page = wire::page(&answer, &self.trim, &self.kind.api_version(version))?;
        drop(answer);
        let events = self.follow.page(page);
        Ok(self.tell_all(events).await)
    }

    async fn watch(&mut self, version: usize, from: &str) -> Result<Told, Fault> {
        let seconds = (WATCH + dice() % WATCH).to_string();
        let query = path::query([
            ("fieldSelector", self.kind.selector.as_deref()),
            ("labelSelector", self.kind.labels.as_deref()),
            ("watch", Some("true")),
            ("allowWatchBookmarks", Some("true")),
            ("resourceVersion", Some(from)),
            ("timeoutSeconds", Some(&*seconds)),
        ]);
        let path = format!("{}{query}", self.kind.path(version));
        let began = Instant::now();
        let accept = if self.kind.is_bare { BARE } else { JSON };
        let body = self.client.open(&path, accept).await?;
        let opened = self.follow.opened();
        if self.tell_all(opened).await.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let (told, is_mute) = self.hear(body, &self.kind.api_version(version)).await?;
        if is_mute && began.elapsed() < EARLY {
            time::sleep(self.follow.ended_early(dice())).await;
        }
        Ok(told)
    }

    /// Takes lines in until the watch ends; whether there was none comes with it.
    async fn hear(&mut self, mut body: Body, api_version: &str) -> Result<(Told, bool), Fault> {
        let (mut lines, mut is_mute) = (Lines::default(), true);
        // However it ends: nothing is lost, and it is begun anew where it was.
        while let Some(data) = self.data(&mut body).await {
            lines.push(&data)?;
            while let Some(line) = lines.next() {
                is_mute = false;
                let line = wire::line(&line, &self.trim, api_version)?;
                let event = self.follow.line(line)?;
                if self.tell_all(event).await.is_break() {
                    return Ok((ControlFlow::Break(()), is_mute));
                }
            }
        }
        Ok((ControlFlow::Continue(()), is_mute))
    }

    /// More of a watch; `None`: it ended, or nothing comes any more.
    async fn data(&self, body: &mut Body) -> Option<Bytes> {
        let why = match time::timeout(SILENT, body.frame()).await {
            Ok(Some(Ok(frame))) => return Some(frame.into_data().unwrap_or_default()),
            Ok(Some(Err(error))) => chain(&error),
            Ok(None) => return None,
            Err(_) => "it is silent".to_owned(),
        };
        debug!(kind = self.kind.kind, why, "a watch is begun anew");
        None
    }

    /// Asks what is served, for what is not there may only not be there yet: an API server that
    /// has just started, or something in front of it that does not know better, says so too.
    async fn ask(&mut self) -> Result<Told, Fault> {
        let version = self.served().await?;
        let (wait, events) = self.follow.answered(version, Instant::now());
        let told = self.tell_all(events).await;
        time::sleep(wait).await;
        Ok(told)
    }

    /// The best version that is served.
    async fn served(&self) -> Result<Option<usize>, Fault> {
        let garbled = |error: serde_json::Error| Fault::Garbled(error.to_string());
        let answer = self.client.get("/apis", JSON).await?;
        let Groups { groups } = serde_json::from_slice(&answer).map_err(garbled)?;
        let Some(group) = groups.iter().find(|group| group.name == self.kind.group) else {
            return Ok(None);
        };
        for (index, version) in self.kind.versions.iter().enumerate() {
            if group.versions.iter().all(|served| served.version != *version) {
                continue;
            }
            let path = format!("/apis/{}", self.kind.api_version(index));
            let answer = self.client.get(&path, JSON).await?;
            let Resources { resources } = serde_json::from_slice(&answer).map_err(garbled)?;
            if resources.iter().any(|resource| resource.name == self.kind.plural) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    async fn wait_for_definition(&mut self) {
        let rang_lately = self.rang.is_some_and(|at| at.elapsed() < MAKING);
        let wait = if rang_lately { EARLY / 4 } else { LOOK };
        let rings = async {
            match &mut self.defined {
                // Without a bell there is only the clock.
                Some(bell) => match bell.changed().await {
                    Ok(()) => {}
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        if time::timeout(wait, rings).await.is_ok() {
            self.rang = Some(Instant::now());
        }
        self.follow.woken();
    }

    async fn fail(&mut self, fault: Fault) -> Told {
        let (wait, event) = self.follow.failed(fault, dice());
        let told = self.tell_all(event).await;
        time::sleep(wait).await;
        told
    }

    async fn tell_all(&self, events: impl IntoIterator<Item = Event>) -> Told {
        for event in events {
            match &self.out {
                Out::Events(events) => {
                    if events.send(event).await.is_err() {
                        return ControlFlow::Break(());
                    }
                }
                Out::One(events, key) => {
                    let event = match event {
                        Event::Synced { kind, .. } => {
                            Event::Looked { kind, key: key.clone(), why: None }
                        }
                        Event::Unavailable { kind, why } => {
                            Event::Looked { kind, key: key.clone(), why: Some(why) }
                        }
                        other @ (Event::Applied { .. }
                        | Event::Deleted { .. }
                        | Event::Looked { .. }) => other,
                    };
                    if events.send(event).await.is_err() {
                        return ControlFlow::Break(());
                    }
                }
                Out::Bell(bell) => {
                    if let Event::Unavailable { why, .. } = &event {
                        let why = why.in_words(&self.kind);
                        info!("definitions of kinds are looked for, not watched: {why}");
                    }
                    bell.send_replace(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}
