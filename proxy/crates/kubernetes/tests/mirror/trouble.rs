//! Watches that end, break, and are too old; servers that refuse and vanish.
use crate::{
    api::{Api, PODS},
    heard::{Heard, pods},
};
use culvert_kubernetes::fault::Fault;
use serde_json::json;

#[tokio::test]
async fn what_is_there_is_listed_in_parts_and_changes_are_followed() {
    let api = Api::start().await;
    for number in 0..8 {
        api.world.lock().put(PODS, &format!("p{number}"), &json!({"n": number}));
    }
    let mut heard = Heard::start(&api, &[pods().with_selector("spec.nodeName=a b")]).await;
    heard.until("synced", |heard| heard.synced.contains_key(&0)).await;
    assert_eq!((heard.names(0).len(), heard.told), (8, 8));
    assert_eq!(
        heard.objects[&(0, "p3".to_owned())],
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p3","namespace":"shop"},"spec":{"n":3}}"#
    );
    {
        let mut world = api.world.lock();
        world.put(PODS, "p8", &json!({"n": 8}));
        world.put(PODS, "p0", &json!({"n": "other"}));
        for number in 1..8 {
            world.delete(PODS, &format!("p{number}"));
        }
    }
    heard.holds(0, &["p0", "p8"]).await;
    assert!(heard.objects[&(0, "p0".to_owned())].contains("other"));
    let asked = api.world.lock().asked.clone();
    assert!(
        asked.iter().all(|one| one.contains("fieldSelector=spec.nodeName%3Da%20b")),
        "{asked:?}"
    );
}

/// What nobody reads may change as often as it likes.
#[tokio::test]
async fn a_change_of_what_is_not_read_is_none() {
    let api = Api::start().await;
    api.world.lock().put(PODS, "a", &json!({"n": 1}));
    let mut heard = Heard::start(&api, &[pods()]).await;
    heard.holds(0, &["a"]).await;
    for _ in 0..50 {
        // Its status and its version are new each time.
        api.world.lock().put(PODS, "a", &json!({"n": 1}));
    }
    api.world.lock().put(PODS, "b", &json!({}));
    heard.holds(0, &["a", "b"]).await;
    assert_eq!(heard.told, 2);
}

#[tokio::test]
async fn a_watch_that_ends_or_breaks_is_begun_where_it_was() {
    let api = Api::start().await;
    let mut heard = Heard::start(&api, &[pods()]).await;
    heard.until("synced", |heard| heard.synced.contains_key(&0)).await;
    for round in 0..6 {
        let name = format!("p{round}");
        while !api.world.lock().watches(PODS) {
            tokio::task::yield_now().await;
        }
        api.world.lock().put(PODS, &name, &json!({}));
        match round % 3 {
            0 => api.world.lock().hang_up(),
            1 => api.world.lock().cut(),
            _ => api.world.lock().say_error(PODS, 500),
        }
        api.world.lock().put(PODS, &format!("q{round}"), &json!({}));
        heard.until("heard", |heard| heard.names(0).len() == 2 * (round + 1)).await;
    }
    assert_eq!(heard.told, 12);
    let asked = api.world.lock().asked.clone();
    let lists = asked.iter().filter(|one| one.starts_with(PODS) && !one.contains("watch"));
    assert_eq!(lists.count(), 1, "nothing was listed again: {asked:?}");
}

#[tokio::test]
async fn after_a_time_too_long_only_differences_are_told() {
    let mut api = Api::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        api.world.lock().put(PODS, name, &json!({}));
    }
    let mut heard = Heard::start(&api, &[pods()]).await;
    heard.holds(0, &["a", "b", "c", "d", "e"]).await;
    api.vanish().await;
    heard
        .until("unreachable", |heard| {
            matches!(heard.unavailable.get(&0), Some(Fault::Unreachable(_)))
        })
        .await;
    assert_eq!(heard.names(0).len(), 5, "what was known stays");
    {
        let mut world = api.world.lock();
        world.delete(PODS, "b");
        world.put(PODS, "c", &json!({"n": 1}));
        world.put(PODS, "f", &json!({}));
        world.forget();
    }
    api.come_back().await;
    heard.holds(0, &["a", "c", "d", "e", "f"]).await;
    heard.until("available", |heard| heard.unavailable.is_empty()).await;
    assert_eq!(heard.told, 7);
}

#[tokio::test]
async fn a_watch_that_is_too_old_in_the_middle_lists_again() {
    let api = Api::start().await;
    api.world.lock().put(PODS, "a", &json!({}));
    let mut heard = Heard::start(&api, &[pods()]).await;
    heard.holds(0, &["a"]).await;
    while !api.world.lock().watches(PODS) {
        tokio::task::yield_now().await;
    }
    {
        let mut world = api.world.lock();
        world.say_error(PODS, 410);
        world.hang_up();
        world.put(PODS, "b", &json!({}));
        world.delete(PODS, "a");
        world.forget();
    }
    heard.holds(0, &["b"]).await;
    assert!(heard.unavailable.is_empty(), "that is as it should be: {:?}", heard.unavailable);
}

#[tokio::test]
async fn a_list_that_gets_too_old_before_its_end_begins_anew() {
    let api = Api::start().await;
    for number in 0..7 {
        api.world.lock().put(PODS, &format!("p{number}"), &json!({}));
    }
    api.world.lock().after_page = Some(|world| {
        world.delete(PODS, "p1");
        world.forget();
        // And once more.
        world.after_page = Some(|world| {
            world.delete(PODS, "p2");
            world.forget();
        });
    });
    let mut heard = Heard::start(&api, &[pods()]).await;
    heard.until("synced", |heard| heard.synced.contains_key(&0)).await;
    assert_eq!(heard.names(0), ["p0", "p3", "p4", "p5", "p6"]);
}

#[tokio::test]
async fn who_may_not_is_told_so_and_is_served_once_he_may() {
    let api = Api::start().await;
    api.world.lock().put(PODS, "a", &json!({}));
    api.world.lock().refuses.insert(PODS.to_owned(), 403);
    let mut heard = Heard::start(&api, &[pods()]).await;
    heard.until("forbidden", |heard| !heard.unavailable.is_empty()).await;
    let words = heard.unavailable[&0].in_words(&pods());
    assert_eq!(
        words,
        "the Kubernetes API answers 403: refused by 403; its ClusterRole needs apiGroups: [\"\"], \
         resources: [pods], verbs: [list, watch]"
    );
    assert!(!heard.synced.contains_key(&0));
    api.world.lock().refuses.clear();
    heard.holds(0, &["a"]).await;
    heard.until("synced", |heard| heard.synced.contains_key(&0)).await;
    assert!(heard.unavailable.is_empty());
}
