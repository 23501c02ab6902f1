//! What holds for every plan.
use super::{
    super::{Emitter, Scope},
    SHOP, engine, random, scene, understood,
};
use crate::compile::http::plan::{
    Labels, Plan,
    policy::{Applies, Policy, PolicyAction},
};
use culvert_model::{
    http::{
        filter::{FilterConfig, HttpFilter},
        listener::NetworkFilterKind,
        rbac::{Action, Engine, Policies},
    },
    name::ObjectName,
};
use culvert_xds::envoy::{decode, kind::Kind};
use proptest::prelude::*;
use std::sync::Arc;

fn scopes() -> [Scope; 4] {
    let gateway = Scope { gateway: Some(ObjectName::new("shop", "gw")), ..engine("shop") };
    [engine("shop"), engine("bank"), Scope { node: "node-b".into(), ..engine("shop") }, gateway]
}

/// The rules that count of the inbound side, each filter's by its action.
fn rules(emitter: &Emitter) -> Vec<Policies> {
    let mut found = Vec::new();
    for resource in emitter.resources().values().filter(|one| one.kind == Kind::Listener) {
        let listener = decode::listener(&resource.any.value, &decode::Nothing).unwrap();
        for filter in listener.chains.iter().flat_map(|chain| chain.filters.iter()) {
            if let NetworkFilterKind::Rbac(rbac) = &filter.kind {
                found.extend(policies(rbac.rbac.rules.as_ref()));
            }
            let NetworkFilterKind::HttpManager(manager) = &filter.kind else { continue };
            for filter in manager.filters.iter() {
                if let FilterConfig::Here(HttpFilter::Rbac(rbac)) = &filter.config {
                    found.extend(policies(rbac.rules.as_ref()));
                }
            }
        }
    }
    found
}

fn policies(engine: Option<&Engine>) -> Option<Policies> {
    match engine? {
        Engine::Policies(policies) => Some(policies.clone()),
        Engine::Tree(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_our_engine_understands(plan in random::plan()) {
        let scene = scene(SHOP, plan);
        for scope in scopes() {
            for resource in Emitter::new(scope, &scene).resources().values() {
                if let Err(wrong) = understood(resource) {
                    prop_assert!(false, "{:?} {}: {wrong}", resource.kind, resource.name);
                }
            }
        }
    }

    #[test]
    fn it_is_the_same_each_time(plan in random::plan()) {
        for scope in scopes() {
            let once = Emitter::new(scope.clone(), &scene(SHOP, plan.clone()));
            let again = Emitter::new(scope, &scene(SHOP, plan.clone()));
            prop_assert_eq!(once.resources(), again.resources());
        }
    }

    /// Step by step it comes to what it comes to at once.
    #[test]
    fn following_is_as_good_as_beginning(first in random::plan(), then in random::plan()) {
        let client = Scope { api: true, ..engine("shop") };
        for scope in scopes().into_iter().chain([client]) {
            let mut scene = scene(SHOP, first.clone());
            let mut emitter = Emitter::new(scope.clone(), &scene);
            let changed = scene.set_plan(then.clone());
            emitter.follow(&changed, &scene);
            let anew = Emitter::new(scope, &scene);
            prop_assert_eq!(emitter.resources(), anew.resources());
        }
    }

    /// A further DENY leaves all other rules as they are: filters of one connection are all asked.
    #[test]
    fn a_further_denial_never_allows_more(plan in random::plan(), denial in random::policy()) {
        let mut more = plan.clone();
        let denial = Policy {
            action: PolicyAction::Deny,
            dry_run: false,
            applies: Applies::Pods(Labels::new()),
            name: ObjectName::new("shop", "the-further-one"),
            ..denial
        };
        more.policies.insert("the-further-one".into(), Arc::new(denial));
        // Every port is passed through L7 in both, so that the same is compared.
        let all = SHOP.replace(
            "culvert.dev/mesh: enabled", "culvert.dev/mesh: enabled, culvert.dev/l7: enabled",
        );
        let of = |plan: Plan| rules(&Emitter::new(engine("shop"), &scene(&all, plan)));
        let (before, after) = (of(plan), of(more));
        let kept = |rules: &Vec<Policies>, action: Action| -> Vec<Policies> {
            let all = rules.iter().filter(|one| one.action == action);
            let ours = |name: &Arc<str>| name.contains("[the-further-one]");
            all.map(|one| {
                let mut one = one.clone();
                one.policies.retain(|name, _| !ours(name));
                one
            })
            .filter(|one| action == Action::Allow || !one.policies.is_empty())
            .collect()
        };
        let count = |rules: &Vec<Policies>| kept(rules, Action::Allow).len();
        prop_assert!(count(&after) >= count(&before));
        for denied in kept(&before, Action::Deny) {
            prop_assert!(kept(&after, Action::Deny).contains(&denied));
        }
        for allowed in kept(&before, Action::Allow) {
            prop_assert!(kept(&after, Action::Allow).contains(&allowed));
        }
    }
}
