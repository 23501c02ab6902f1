//! Objects of one kind that somebody names, each followed by itself.
//!
//! For a kind of which nothing is to be read but what is named: whoever may list and watch objects
//! by their names (`resourceNames`) may do this.
use super::{
    Event,
    task::{Out, Task},
};
use crate::{client::Client, kind::Kind, trim::Key};
use culvert_runtime::drain::{Scope, Worker};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

/// Follows them; what was told before of one that is named no more may still be heard.
#[derive(Debug)]
pub struct Chosen {
    client: Client,
    kind: Kind,
    index: usize,
    events: mpsc::Sender<Event>,
    worker: Worker,
    followed: BTreeMap<Key, Scope>,
}

impl Chosen {
    pub(super) fn new(
        client: &Client,
        kind: Kind,
        index: usize,
        events: mpsc::Sender<Event>,
        worker: &Worker,
    ) -> Self {
        let (client, worker) = (client.clone(), worker.clone());
        Self { client, kind, index, events, worker, followed: BTreeMap::new() }
    }

    /// Follows these from now on, and no others.
    pub fn choose(&mut self, keys: &BTreeSet<Key>) {
        self.followed.retain(|key, _| keys.contains(key));
        for key in keys {
            if !self.followed.contains_key(key) {
                self.followed.insert(key.clone(), self.follow(key));
            }
        }
    }

    fn follow(&self, key: &Key) -> Scope {
        let Key { namespace, name } = key;
        let kind = self.kind.clone().within(namespace.to_string());
        let kind = kind.with_selector(format!("metadata.name={name}"));
        let scope = self.worker.scope();
        let out = Out::One(self.events.clone(), key.clone());
        Task::new(&self.client, kind, self.index, out, None).spawn(&scope.worker());
        scope
    }
}
