//! Resources of every scope that is followed, kept and made.
use super::Door;
use crate::compile::http::emit::{
    Delta, Emitter, Resource, Scope,
    scene::{Changed, Edit, Scene},
};
use culvert_proto::Any;
use culvert_runtime::publish::Publisher;
use culvert_xds::{
    envoy::{kind::Kind, serve::offer::Offer},
    server::Made,
};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tracing::error;

/// What came of some work.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// For how many scopes anything is another.
    pub(super) scopes: usize,
    /// How many parts were made, whether or not they came out the same.
    pub(super) parts: usize,
}

/// What everything is made of, and what was made of it.
#[derive(Debug, Default)]
pub(super) struct Studio {
    scene: Scene,
    booths: BTreeMap<Scope, Booth>,
}

/// One scope.
#[derive(Debug)]
struct Booth {
    emitter: Emitter,
    offer: Offer,
    publisher: Publisher<Offer>,
}

impl Studio {
    /// Makes all that follows from `edits`, and what is wanted since.
    pub(super) fn work(&mut self, edits: &[Edit], generation: u64, doors: Vec<Door>) -> Work {
        let changed: Changed = edits.iter().flat_map(|edit| self.scene.apply(edit)).collect();
        let mut work = Work::default();
        if !changed.is_empty() {
            let scene = &self.scene;
            self.booths.retain(|scope, booth| {
                let followed = guarded(scope, || booth.follow(&changed, generation, scene));
                if let Some((is_new, parts)) = followed {
                    work.scopes += usize::from(is_new);
                    work.parts += parts;
                }
                // Who follows it is cut off, and asks again.
                followed.is_some()
            });
        }
        for door in doors {
            match door {
                Door::Closed(scope) => drop(self.booths.remove(&scope)),
                Door::Opened(scope, publisher) => {
                    let open = || Booth::open(&scope, publisher, generation, &self.scene);
                    if let Some(booth) = guarded(&scope, open) {
                        work.scopes += 1;
                        work.parts += booth.emitter.parts();
                        self.booths.insert(scope, booth);
                    }
                }
            }
        }
        work
    }
}

/// What fails for one scope is nothing to the others.
fn guarded<T>(scope: &Scope, make: impl FnOnce() -> T) -> Option<T> {
    let made = catch_unwind(AssertUnwindSafe(make));
    if made.is_err() {
        error!(%scope, "configuration for HTTP cannot be made");
    }
    made.ok()
}

impl Booth {
    fn open(
        scope: &Scope,
        mut publisher: Publisher<Offer>,
        generation: u64,
        scene: &Scene,
    ) -> Self {
        let emitter = Emitter::new(scope.clone(), scene);
        let mut offer = Offer::default();
        offer.generation = generation;
        offer.change(emitter.resources().values().map(|one| made(one)), []);
        publisher.publish(offer.clone());
        Self { emitter, offer, publisher }
    }

    /// Whether anything is another, and how many parts were made to find that out.
    fn follow(&mut self, changed: &Changed, generation: u64, scene: &Scene) -> (bool, usize) {
        let Delta { set, removed, made: parts } = self.emitter.follow(changed, scene);
        let is_new = self.offer.change(set.iter().map(|one| made(one)), removed);
        if is_new {
            self.offer.generation = generation;
            self.publisher.publish(self.offer.clone());
        }
        (is_new, parts.len())
    }
}

fn made(resource: &Resource) -> (Kind, Made) {
    let Resource { kind, name, version, any } = resource;
    let body = Any { type_url: any.type_url.clone(), value: any.value.clone() };
    (*kind, Made { name: Arc::clone(name), version: Arc::clone(version), body })
}
