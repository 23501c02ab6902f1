//! What engines of nodes, gateways and Envoys are told, made for each scope that somebody follows.
//!
//! One task makes everything. What changes while it works gathers, and is made in one go; so nobody
//! waits for anybody, and whoever listens always gets the newest. A scope's resources are made once
//! for all who follow it, and forgotten when nobody does.
//!
//! Reading order: [`Hub`] (who follows what), `studio` (how it is made), [`scope`] (what somebody
//! who asks is told of), [`desk`] (who may be told).
use crate::compile::http::emit::{Scope, scene::Edit};
use culvert_runtime::{
    drain::Worker,
    publish::{self, Publisher, View},
};
use culvert_xds::envoy::serve::offer::Offer;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{sync::Notify, task};
use tracing::{debug, error};

pub(crate) mod desk;
mod scope;
mod studio;

use studio::{Studio, Work};

/// Who follows what; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hub(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// There is something to do.
    wake: Notify,
    /// Of the manifests that everything is made of that was published.
    generation: AtomicU64,
    /// How many parts were made so far.
    parts: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    scopes: BTreeMap<Scope, Followed>,
    todo: Todo,
}

/// A scope that somebody follows.
#[derive(Debug)]
struct Followed {
    by: usize,
    offer: View<Offer>,
}

/// What there is to do, in this order.
#[derive(Debug, Default)]
struct Todo {
    edits: Vec<Edit>,
    /// Of the manifests with these edits.
    generation: u64,
    doors: Vec<Door>,
}

/// Whether a scope is to be made from now on.
#[derive(Debug)]
enum Door {
    Opened(Scope, Publisher<Offer>),
    Closed(Scope),
}

/// Held by whoever follows a scope.
#[derive(Debug)]
pub(super) struct Lease {
    hub: Hub,
    scope: Scope,
}

impl Hub {
    /// Takes changes in, which make manifests of this generation of those before.
    pub(crate) fn follow(&self, edits: Vec<Edit>, generation: u64) {
        let mut state = self.0.state.lock();
        if edits.is_empty() && state.todo.generation == generation {
            return;
        }
        state.todo.edits.extend(edits);
        state.todo.generation = generation;
        drop(state);
        self.0.wake.notify_one();
    }

    /// The generation of which everybody's resources are that are told.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// How many parts of what is told were made so far, for all who follow: a change makes few anew.
    pub(crate) fn parts_made(&self) -> u64 {
        self.0.parts.load(Ordering::Relaxed)
    }

    /// What is told of `scope`, from the second generation on, as long as the lease is held.
    pub(super) fn subscribe(&self, scope: Scope) -> (View<Offer>, Lease) {
        let mut state = self.0.state.lock();
        let State { scopes, todo } = &mut *state;
        let followed = scopes.entry(scope.clone()).or_insert_with(|| {
            let (publisher, offer) = publish::channel(Offer::default());
            todo.doors.push(Door::Opened(scope.clone(), publisher));
            Followed { by: 0, offer }
        });
        followed.by += 1;
        let offer = followed.offer.clone();
        drop(state);
        self.0.wake.notify_one();
        (offer, Lease { hub: self.clone(), scope })
    }

    /// Makes what is followed, until the worker finishes.
    pub(crate) async fn run(self, worker: Worker) {
        let mut studio = Studio::default();
        loop {
            tokio::select! {
                () = worker.finishing() => return,
                () = self.0.wake.notified() => {}
            }
            let Todo { edits, generation, doors } = {
                let todo = &mut self.0.state.lock().todo;
                let generation = todo.generation;
                std::mem::replace(todo, Todo { generation, ..Todo::default() })
            };
            let work = move || {
                let work = studio.work(&edits, generation, doors);
                (studio, work)
            };
            // Off the runtime's thread: a large change takes a while.
            match task::spawn_blocking(work).await {
                Ok((back, Work { scopes, parts })) => {
                    debug!(generation, scopes, parts, "configuration for HTTP is made");
                    studio = back;
                    let parts = u64::try_from(parts).unwrap_or(u64::MAX);
                    self.0.parts.fetch_add(parts, Ordering::Relaxed);
                    self.0.generation.store(generation, Ordering::Release);
                }
                Err(error) => {
                    error!(%error, "making configuration for HTTP ended early: it stays as it is until this process is started anew");
                    return;
                }
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.hub.0.state.lock();
        let Some(followed) = state.scopes.get_mut(&self.scope) else { return };
        followed.by -= 1;
        if followed.by == 0 {
            state.scopes.remove(&self.scope);
            state.todo.doors.push(Door::Closed(self.scope.clone()));
            drop(state);
            self.hub.0.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
