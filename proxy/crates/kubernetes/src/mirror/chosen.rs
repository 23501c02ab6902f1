//! Objects of some kinds that somebody names, each followed by itself.
//!
//! For kinds of which nothing is to be read but what is named: whoever may list and watch objects
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
    kinds: Vec<Kind>,
    /// Where they begin in the mirror's list.
    first: usize,
    events: mpsc::Sender<Event>,
    worker: Worker,
    followed: BTreeMap<Choice, Scope>,
}

/// An object, by the place of its kind in the mirror's list.
pub type Choice = (usize, Key);

impl Chosen {
    pub(super) fn new(
        client: &Client,
        (kinds, first): (&[Kind], usize),
        events: mpsc::Sender<Event>,
        worker: &Worker,
    ) -> Self {
        let (client, kinds, worker) = (client.clone(), kinds.to_vec(), worker.clone());
        Self { client, kinds, first, events, worker, followed: BTreeMap::new() }
    }

    /// Follows these from now on, and no others.
    pub fn choose(&mut self, choices: &BTreeSet<Choice>) {
        self.followed.retain(|choice, _| choices.contains(choice));
        for choice in choices {
            if !self.followed.contains_key(choice)
                && let Some(scope) = self.follow(choice)
            {
                self.followed.insert(choice.clone(), scope);
            }
        }
    }

    /// `None`: there is no such kind among them.
    fn follow(&self, (index, key): &Choice) -> Option<Scope> {
        let Key { namespace, name } = key;
        let kind = index.checked_sub(self.first).and_then(|place| self.kinds.get(place))?;
        let kind = kind.clone().within(namespace.to_string());
        let kind = kind.with_selector(format!("metadata.name={name}"));
        let scope = self.worker.scope();
        let out = Out::One(self.events.clone(), key.clone());
        Task::new(&self.client, kind, *index, out, None).spawn(&scope.worker());
        Some(scope)
    }
}
