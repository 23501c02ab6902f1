//! Objects that are followed by their names.
use crate::{
    api::{Api, PODS},
    heard::{Heard, pods},
};
use culvert_kubernetes::{mirror::Choice, trim::Key};
use serde_json::json;
use std::collections::BTreeSet;

const SHOP: &str = "/api/v1/namespaces/shop/secrets";
const BANK: &str = "/api/v1/namespaces/bank/secrets";

/// Secrets, whose place is behind `others`.
fn keys<const N: usize>(others: usize, keys: [(&str, &str); N]) -> BTreeSet<Choice> {
    let key = |(namespace, name): (&str, &str)| {
        (others, Key { namespace: namespace.into(), name: name.into() })
    };
    keys.map(key).into()
}

#[tokio::test]
async fn only_what_is_named_is_asked_for() {
    let api = Api::start().await;
    [SHOP, BANK].iter().for_each(|path| api.world.lock().define(path));
    api.world.lock().put(SHOP, "cert", &json!({"n": 1}));
    let (mut heard, mut chosen) = Heard::start_with(&api, &[pods()]).await;
    heard.until("synced", |heard| heard.synced.contains_key(&0)).await;
    assert!(heard.objects.is_empty());
    chosen.choose(&keys(1, [("shop", "cert"), ("bank", "vault")]));
    heard.until("both", |heard| heard.looked.len() == 2).await;
    assert_eq!(heard.names(1), ["cert"]);
    assert_eq!(heard.looked["vault"], None, "that it is not there is known, too");
    // What comes later, and what changes.
    api.world.lock().put(BANK, "vault", &json!({"n": 1}));
    heard.holds(1, &["cert", "vault"]).await;
    api.world.lock().put(SHOP, "cert", &json!({"n": 2}));
    heard.until("a change", |heard| heard.told == 3).await;
    let asked = api.world.lock().asked.clone();
    let of_secrets: Vec<_> = asked.iter().filter(|one| one.contains("secrets")).collect();
    assert!(of_secrets.iter().all(|one| one.contains("fieldSelector=metadata.name%3D")));
    assert!(of_secrets.len() >= 4, "{of_secrets:?}");

    // One that is named no more is not heard of.
    chosen.choose(&keys(1, [("bank", "vault")]));
    api.world.lock().put(SHOP, "cert", &json!({"n": 3}));
    api.world.lock().put(PODS, "mark", &json!({}));
    api.world.lock().put(BANK, "vault", &json!({"n": 2}));
    heard.until("the others", |heard| heard.told == 5).await;
    assert_eq!(heard.names(0), ["mark"]);
    assert!(heard.objects[&(1, "cert".to_owned())].contains(":2}"));
}

#[tokio::test]
async fn one_that_may_not_be_read_is_told_of_by_its_name() {
    let api = Api::start().await;
    api.world.lock().define(SHOP);
    api.world.lock().refuses.insert(SHOP.to_owned(), 403);
    let (mut heard, mut chosen) = Heard::start_with(&api, &[]).await;
    chosen.choose(&keys(0, [("shop", "cert")]));
    heard.until("a refusal", |heard| heard.looked.contains_key("cert")).await;
    assert!(heard.looked["cert"].as_ref().unwrap().contains("403"));
    api.world.lock().put(SHOP, "cert", &json!({}));
    api.world.lock().refuses.clear();
    heard.holds(0, &["cert"]).await;
}
