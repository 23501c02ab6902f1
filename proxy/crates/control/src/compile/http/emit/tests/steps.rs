//! A change is no more than what it changes.
use super::{
    super::{
        Emitter, Unit,
        scene::{Changed, Scene},
    },
    SHOP, compiler, engine, host, objects,
    shown::{by_header, shop_plan},
};
use crate::compile::{
    http::plan::{At, Plan, Rules, rule::HttpRule},
    incremental::Changes,
};
use culvert_xds::envoy::kind::Kind;
use std::sync::Arc;

const ONE_MORE: &str = "---
{apiVersion: v1, kind: Pod, metadata: {name: reviews-v3, namespace: shop, labels: {app: reviews, version: v3}}, spec: {nodeName: node-b}, status: {podIP: 10.2.0.9, phase: Running}}
";

fn follow(changes: &Changes, scene: &mut Scene) -> Changed {
    changes.l7.iter().flat_map(|edit| scene.apply(edit)).collect()
}

#[test]
fn a_pod_that_comes_changes_endpoints_of_its_services_only() {
    let mut compiler = compiler(SHOP);
    let mut scene = compiler.scene().clone();
    scene.set_plan(shop_plan());
    let mut shop = Emitter::new(engine("shop"), &scene);
    let changes = compiler.apply(&objects(&format!("{SHOP}{ONE_MORE}"))).unwrap();
    let changed = follow(&changes, &mut scene);
    let delta = shop.follow(&changed, &scene);
    assert_eq!(delta.made, [Unit::Endpoints(host("shop", "reviews"))]);
    let told: Vec<_> = delta.set.iter().map(|one| (one.kind, &*one.name)).collect();
    // No subset has version v3.
    let expected = "outbound|9080||reviews.shop.svc.cluster.local";
    assert_eq!(told, [(Kind::Endpoint, expected)]);
    assert_eq!(delta.removed, []);

    let changes = compiler.apply(&objects(SHOP)).unwrap();
    let changed = follow(&changes, &mut scene);
    let delta = shop.follow(&changed, &scene);
    assert_eq!(delta.set.len(), 1);
    assert_eq!(shop.resources(), Emitter::new(engine("shop"), &scene).resources());
}

#[test]
fn a_namespace_that_has_nothing_to_do_with_it_is_told_nothing() {
    let mut compiler = compiler(SHOP);
    let mut scene = compiler.scene().clone();
    let mut bank = Emitter::new(engine("bank"), &scene);
    let private = by_header(crate::compile::http::plan::Clients::of("shop"));
    let changed = scene.set_plan(private);
    let delta = bank.follow(&changed, &scene);
    assert_eq!((delta.set, delta.removed), (Vec::new(), Vec::new()));
    let changes = compiler.apply(&objects(SHOP)).unwrap();
    assert_eq!(changes.l7, []);
}

#[test]
fn where_something_was_written_is_no_part_of_its_version() {
    let mut scene = compiler(SHOP).scene().clone();
    scene.set_plan(shop_plan());
    let mut shop = Emitter::new(engine("shop"), &scene);
    let moved = |at: &At| At { place: "elsewhere.yaml:99".into(), ..at.clone() };
    let mut plan = shop_plan();
    for service in plan.services.values_mut().map(Arc::make_mut) {
        for routing in &mut service.routes {
            if let Rules::Http(rules) = &mut routing.rules {
                let rules_moved = rules.iter().map(|r| HttpRule { at: moved(&r.at), ..r.clone() });
                *rules = rules_moved.collect();
            }
        }
    }
    let changed = scene.set_plan(plan);
    let delta = shop.follow(&changed, &scene);
    assert!(!delta.made.is_empty());
    assert_eq!((delta.set, delta.removed), (Vec::new(), Vec::new()));
    let table = (Kind::Route, "reviews.shop.svc.cluster.local:9080".into());
    let text = String::from_utf8_lossy(&shop.resources()[&table].any.value).into_owned();
    assert!(text.contains("elsewhere.yaml:99"), "those who come later are shown where it is now");
}

#[test]
fn rules_that_go_leave_nothing() {
    let mut scene = compiler(SHOP).scene().clone();
    let empty = Emitter::new(engine("shop"), &scene);
    let changed = scene.set_plan(shop_plan());
    let mut shop = empty.clone();
    assert!(shop.follow(&changed, &scene).set.len() > 3);
    let changed = scene.set_plan(Plan::default());
    let delta = shop.follow(&changed, &scene);
    assert_eq!(delta.set, []);
    assert_eq!(shop.resources(), empty.resources());
}
