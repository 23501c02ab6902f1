//! Kinds that somebody defines, and takes away again.
use crate::{
    api::{Api, DEFINITIONS, PODS, POLICIES},
    heard::{Heard, pods, policies},
};
use serde_json::json;

#[tokio::test]
async fn a_kind_is_followed_as_soon_as_it_is_defined_and_empty_when_it_is_not() {
    let api = Api::start().await;
    let mut heard = Heard::start(&api, &[pods(), policies()]).await;
    heard.until("synced", |heard| heard.synced.len() == 2).await;
    assert!(!heard.synced[&1]);
    for round in 0..2 {
        while !api.world.lock().watches(DEFINITIONS) {
            tokio::task::yield_now().await;
        }
        api.world.lock().define(POLICIES);
        api.world.lock().put(POLICIES, "deny", &json!({"round": round}));
        heard.holds(1, &["deny"]).await;
        heard.until("defined", |heard| heard.synced[&1]).await;
        // From here on each object is seen to go: nobody has to make sure first.
        while !api.world.lock().watches(POLICIES) {
            tokio::task::yield_now().await;
        }
        api.world.lock().undefine(POLICIES);
        heard.until("undefined", |heard| !heard.synced[&1]).await;
        assert_eq!(heard.names(1), [""; 0]);
    }
    assert!(heard.unavailable.is_empty());
}

/// Whoever may not watch definitions still finds kinds, a little later.
#[tokio::test]
async fn definitions_that_may_not_be_watched_hold_nothing_up() {
    let api = Api::start().await;
    api.world.lock().refuses.insert(DEFINITIONS.to_owned(), 403);
    api.world.lock().define(POLICIES);
    api.world.lock().put(POLICIES, "deny", &json!({}));
    let mut heard = Heard::start(&api, &[policies()]).await;
    heard.holds(0, &["deny"]).await;
}

/// A 404 is no proof: something in front of the API server may not know better.
#[tokio::test]
async fn objects_stay_while_nobody_can_say_that_their_kind_is_gone() {
    let api = Api::start().await;
    api.world.lock().define(POLICIES);
    api.world.lock().put(POLICIES, "deny", &json!({}));
    let mut heard = Heard::start(&api, &[policies()]).await;
    heard.holds(0, &["deny"]).await;
    {
        let mut world = api.world.lock();
        world.refuses.insert("/apis".to_owned(), 404);
        world.refuses.insert(POLICIES.to_owned(), 404);
        world.hang_up();
    }
    heard.until("unavailable", |heard| heard.unavailable.contains_key(&0)).await;
    assert_eq!(heard.names(0), ["deny"]);
    api.world.lock().put(POLICIES, "more", &json!({}));
    api.world.lock().refuses.clear();
    heard.holds(0, &["deny", "more"]).await;
}

/// One kind in trouble is nobody else's.
#[tokio::test]
async fn kinds_do_not_hold_each_other_up() {
    let api = Api::start().await;
    api.world.lock().refuses.insert(POLICIES.to_owned(), 500);
    let mut heard = Heard::start(&api, &[pods(), policies()]).await;
    api.world.lock().put(PODS, "a", &json!({}));
    heard.holds(0, &["a"]).await;
    heard.until("unavailable", |heard| heard.unavailable.contains_key(&1)).await;
    assert!(!heard.synced.contains_key(&1));
}
