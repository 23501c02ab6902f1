//! Who follows what, and what is made for whom.
use super::{Hub, Lease};
use crate::compile::http::emit::{
    Scope,
    tests::{SHOP, changes, labelled},
};
use culvert_runtime::{
    drain::{Drain, Drained},
    publish::{Generation, View},
};
use culvert_xds::envoy::{kind::Kind, serve::offer::Offer};
use std::time::Duration;

fn scope(namespace: &str) -> Scope {
    Scope::of_engine(namespace, "node-a")
}

/// A hub that works.
struct Place {
    hub: Hub,
    drain: Drain,
}

impl Place {
    fn start() -> Self {
        let (hub, drain) = (Hub::default(), Drain::default());
        drain.worker().spawn(hub.clone().run(drain.worker()));
        Self { hub, drain }
    }

    async fn follow(&self, namespace: &str) -> (View<Offer>, Lease, Generation) {
        let (mut offer, lease) = self.hub.subscribe(scope(namespace));
        let first = offer.newer_than(Generation::FIRST).await.unwrap();
        (offer, lease, first.generation)
    }

    /// Until everything is made of that generation.
    async fn made(&self, generation: u64) {
        while self.hub.generation() < generation {
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        assert_eq!(self.drain.drain(Duration::from_secs(10)).await, Drained::Clean);
    }
}

fn listeners(offer: &View<Offer>) -> usize {
    offer.look(|now| now.value.world(Kind::Listener).len())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_is_made_once_and_forgotten() {
    let place = Place::start();
    place.hub.follow(changes(&labelled(SHOP)), 1);
    let (one, first, _) = place.follow("shop").await;
    let (two, second, _) = place.follow("shop").await;
    assert!(listeners(&one) > 0);
    assert_eq!(one.pin().generation, two.pin().generation);
    drop(first);
    let (_, third, generation) = place.follow("shop").await;
    assert_eq!(generation, one.pin().generation, "somebody follows it still");
    drop((second, third));
    let (mut one, generation) = (one, generation);
    assert!(one.newer_than(generation).await.is_none(), "nobody makes it any more");
    place.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_is_concerned_hears_of_a_change_and_all_know_how_far_it_is() {
    let place = Place::start();
    place.hub.follow(changes(SHOP), 1);
    let (shop, _shop, before) = place.follow("shop").await;
    let (bank, _bank, of_bank) = place.follow("bank").await;
    assert_eq!((listeners(&shop), listeners(&bank)), (0, 0));
    // A pod more means nothing while nobody asks for L7.
    let pod = "---\n{apiVersion: v1, kind: Pod, metadata: {name: more, namespace: shop}, spec: {nodeName: node-a}, status: {podIP: 10.1.0.9, phase: Running}}\n";
    place.hub.follow(changes(&format!("{SHOP}{pod}")), 2);
    place.made(2).await;
    assert_eq!((shop.pin().generation, bank.pin().generation), (before, of_bank));
    place.hub.follow(changes(&labelled(SHOP)), 3);
    place.made(3).await;
    assert!(listeners(&shop) > 0);
    assert_eq!(shop.pin().value.generation, 3);
    place.end().await;
}
