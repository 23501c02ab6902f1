//! All objects of some kinds, as they are now: listed, watched, and listed again when need be.
//!
//! Each kind is followed by a task of its own: `follow` decides (pure), `wire` reads answers,
//! `task` asks. What is held here is only which objects there are, and how to know that one
//! changed; objects themselves go to whoever listens. Of some kinds only those may be followed that
//! somebody names (`chosen`).
use crate::{client::Client, fault::Fault, kind::Kind, trim::Key};
use culvert_runtime::drain::Worker;
use std::sync::Arc;
use task::{Out, Task};
use tokio::sync::{mpsc, watch};

mod chosen;
mod follow;
mod task;
mod wire;

pub use chosen::{Choice, Chosen};

/// Events that wait to be heard; whoever asks the API server waits, too, when there are more.
const WAITING: usize = 1024;

/// Follows some kinds, and tells what changes.
#[derive(Debug)]
pub struct Mirror {
    events: mpsc::Receiver<Event>,
}

/// Something that changed; `kind` counts in the list that the mirror was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is there, as it is now: one line of JSON, or why it cannot be read.
    Applied { kind: usize, key: Key, json: Result<Arc<str>, Arc<str>> },
    /// It is no longer there.
    Deleted { kind: usize, key: Key },
    /// All of the kind has been told, and what changes will be; `is_there`: somebody defined it.
    Synced { kind: usize, is_there: bool },
    /// It cannot be followed for now: what was told of it may be old.
    Unavailable { kind: usize, why: Fault },
    /// One that is followed by its name was looked for, and told of if it is there; or `why` it
    /// cannot be followed for now.
    Looked { kind: usize, key: Key, why: Option<Fault> },
}

impl Mirror {
    /// Starts to follow `kinds`, until the worker finishes.
    pub fn start(client: &Client, kinds: &[Kind], worker: &Worker) -> Self {
        let (sender, events) = mpsc::channel(WAITING);
        Self::follow(client, kinds, &sender, worker);
        Self { events }
    }

    /// The same, and with it what follows objects of `named` by their names, none to begin with:
    /// those kinds count after the others.
    pub fn start_with(
        client: &Client,
        kinds: &[Kind],
        named: &[Kind],
        worker: &Worker,
    ) -> (Self, Chosen) {
        let (sender, events) = mpsc::channel(WAITING);
        Self::follow(client, kinds, &sender, worker);
        let chosen = Chosen::new(client, (named, kinds.len()), sender, worker);
        (Self { events }, chosen)
    }

    fn follow(client: &Client, kinds: &[Kind], sender: &mpsc::Sender<Event>, worker: &Worker) {
        let (bell, defined) = watch::channel(());
        let is_custom = kinds.iter().any(|kind| kind.is_custom);
        for (index, kind) in kinds.iter().enumerate() {
            let defined = kind.is_custom.then(|| defined.clone());
            let out = Out::Events(sender.clone());
            Task::new(client, kind.clone(), index, out, defined).spawn(worker);
        }
        if is_custom {
            Task::new(client, Kind::definitions(), 0, Out::Bell(bell), None).spawn(worker);
        }
    }

    /// The next event; `None` once the worker has finished.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Takes at most `most` events, those that are there already and at least one; `false` once
    /// the worker has finished.
    ///
    /// Cancel safe.
    pub async fn take(&mut self, events: &mut Vec<Event>, most: usize) -> bool {
        self.events.recv_many(events, most).await > 0
    }
}
