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
    /// Makes all that follows from `edits`, and what is wanted since; says for how many scopes
    /// anything is another.
    pub(super) fn work(&mut self, edits: &[Edit], generation: u64, doors: Vec<Door>) -> usize {
        let changed: Changed = edits.iter().flat_map(|edit| self.scene.apply(edit)).collect();
        let mut made = 0;
        if !changed.is_empty() {
            let scene = &self.scene;
            self.booths.retain(|scope, booth| {
                let followed = guarded(scope, || booth.follow(&changed, generation, scene));
                made += usize::from(followed == Some(true));
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
                        made += 1;
                        self.booths.insert(scope, booth);
                    }
                }
            }
        }
        made
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

    fn follow(&mut self, changed: &Changed, generation: u64, scene: &Scene) -> bool {
        let Delta { set, removed, .. } = self.emitter.follow(changed, scene);
        let is_new = self.offer.change(set.iter().map(|one| made(one)), removed);
        if is_new {
            self.offer.generation = generation;
            self.publisher.publish(self.offer.clone());
        }
        is_new
    }
}

fn made(resource: &Resource) -> (Kind, Made) {
    let Resource { kind, name, version, any } = resource;
    let body = Any { type_url: any.type_url.clone(), value: any.value.clone() };
    (*kind, Made { name: Arc::clone(name), version: Arc::clone(version), body })
}
