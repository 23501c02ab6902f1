//! Objects of both kinds: planned together, step by step, and what must pass L7 for them.
use super::{
    emit::{
        scene::{Changed, Dep, Edit, Scene},
        tests::{SHOP, compiler, host, objects, port},
    },
    plan::{Rules, traffic::Tls},
    steps::Effort,
};
use crate::compile::{
    incremental::{Changes, Compiler},
    mesh::Mesh,
};
use culvert_model::{
    l7::L7Ports,
    name::{ObjectName, WorkloadUid},
};
use proptest::prelude::*;

const ROUTE: &str = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}
";

const RULE: &str = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
";

/// Of the namespace of clients, and of the service's own.
fn http_route(namespace: &str, name: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  parentRefs: [{{group: '', kind: Service, name: reviews, namespace: shop}}]
  rules: [{{name: {name}, filters: [{{type: RequestRedirect, requestRedirect: {{hostname: a.example}}}}]}}]
"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, \
         metadata: {{name: {name}, namespace: shop}}, spec: {{{spec}}}}}\n"
    )
}

const POD: &str = "---
{apiVersion: v1, kind: Pod, metadata: {name: reviews-v3, namespace: shop, labels: {app: reviews, version: v3}}, spec: {nodeName: node-b}, status: {podIP: 10.2.0.9, phase: Running}}
";

fn notes(mesh: &Mesh) -> Vec<&str> {
    mesh.notes.iter().map(|note| note.message.as_str()).collect()
}

/// What a change of some text changed.
fn then(compiler: &mut Compiler, text: &str) -> (Changes, Effort) {
    let before = compiler.effort();
    let changes = compiler.apply(&objects(text)).unwrap();
    let Effort { istio, services, gateway_api, policies, asked } = compiler.effort();
    let effort = Effort {
        istio: istio - before.istio,
        services: services - before.services,
        gateway_api: gateway_api - before.gateway_api,
        policies: policies - before.policies,
        asked: asked - before.asked,
    };
    (changes, effort)
}

fn l7_of_pod(mesh: &Mesh, pod: &str) -> L7Ports {
    let uid = WorkloadUid::pod("Kubernetes", &ObjectName::new("shop", pod));
    mesh.members[&uid].member.l7.clone()
}

#[test]
fn a_pod_has_nothing_planned_anew() {
    let text =
        [SHOP, ROUTE, RULE, &http_route("bank", "own"), &policy("p", "rules: [{}]")].concat();
    let mut compiler = compiler(&text);
    let (changes, effort) = then(&mut compiler, &format!("{text}{POD}"));
    assert_eq!(effort, Effort { asked: 1, ..Effort::default() });
    assert!(matches!(&changes.l7[..], [Edit::Workload(..)]), "{:?}", changes.l7);
    let (changes, effort) = then(&mut compiler, &text);
    assert_eq!(effort, Effort { asked: 1, ..Effort::default() });
    assert!(matches!(&changes.l7[..], [Edit::Workload(_, None)]), "{:?}", changes.l7);
}

#[test]
fn a_route_that_changes_concerns_its_service_only() {
    let other = ROUTE.replace("reviews", "ratings");
    let text = [SHOP, ROUTE, RULE, &other].concat();
    let mut compiler = compiler(&text);
    let mut scene = compiler.scene().clone();
    let (changes, effort) =
        then(&mut compiler, &text.replace("host: reviews, subset: v1", "host: ratings"));
    assert_eq!((effort.istio, effort.services), (0, 1));
    assert_eq!((effort.gateway_api, effort.policies), (0, 0));
    let changed: Changed = changes.l7.iter().flat_map(|edit| scene.apply(edit)).collect();
    let services: Vec<_> = changed.iter().filter(|dep| !matches!(dep, Dep::Door(_))).collect();
    assert_eq!(services, [&Dep::Service(host("shop", "reviews"))]);
    assert_eq!(changes.services.len() + changes.members.len(), 0);
}

#[test]
fn whoever_begins_later_has_the_same() {
    let text = [SHOP, ROUTE, RULE, &http_route("shop", "own")].concat();
    let mut compiler = compiler(SHOP);
    let mut scene = compiler.scene().clone();
    for text in [text.as_str(), SHOP, &text] {
        let changes = compiler.apply(&objects(text)).unwrap();
        changes.l7.iter().for_each(|edit| drop(scene.apply(edit)));
        assert_eq!(&scene, compiler.scene());
    }
    let anew = self::compiler(&text);
    assert_eq!((anew.scene(), anew.mesh()), (compiler.scene(), compiler.mesh()));
    let mut emptied = scene.clone();
    for edit in scene.without(&Scene::default()) {
        emptied.apply(&edit);
    }
    assert_eq!(emptied.services().count(), 0);
}

#[test]
fn routes_of_the_gateway_api_count_first_which_is_said() {
    let compiler = compiler(&[SHOP, ROUTE, RULE, &http_route("shop", "own")].concat());
    let plan = &compiler.scene().plan().services[&host("shop", "reviews")];
    let objects = plan.routes.iter().map(|one| match &one.rules {
        Rules::Http(rules) => &*rules[0].at.object,
        Rules::Tls(_) | Rules::Tcp(_) => panic!("no http"),
    });
    assert_eq!(objects.collect::<Vec<_>>(), ["HTTPRoute/shop/own", "VirtualService/shop/reviews"]);
    assert_eq!(
        notes(compiler.mesh()),
        [
            "HTTPRoute/shop/own is for reviews.shop.svc.cluster.local, too, and counts before it: its rules are not asked"
        ]
    );
    // A consumer's route is for its own namespace, and leaves the others theirs.
    let compiler = self::compiler(&[SHOP, ROUTE, RULE, &http_route("bank", "own")].concat());
    assert!(notes(compiler.mesh()).is_empty());
}

#[test]
fn of_two_virtual_services_for_a_host_the_second_is_told_that_nobody_asks_it() {
    let route = |name: &str, host: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec: {{hosts: [{host}], http: [{{route: [{{destination: {{host: reviews}}}}]}}]}}
"
        )
    };
    let two = compiler(&[SHOP, &route("a", "reviews"), &route("b", "reviews")].concat());
    assert_eq!(
        notes(two.mesh()),
        [
            "VirtualService/shop/a is for reviews.shop.svc.cluster.local, too, and counts before it: its rules are not asked"
        ]
    );
    let apart = compiler(&[SHOP, &route("a", "reviews"), &route("b", "ratings")].concat());
    assert!(notes(apart.mesh()).iter().all(|note| !note.contains("counts before")));
}

#[test]
fn tls_that_is_asked_for_is_spoken_whatever_else_is_said() {
    let tls = "---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: reviews}]
  validation: {hostname: a.example, wellKnownCACertificates: System}
";
    let compiler = compiler(&[SHOP, RULE, tls].concat());
    let plan = &compiler.scene().plan().services[&host("shop", "reviews")];
    for traffic in &plan.traffic {
        let subset = traffic.subsets.contains_key("v1").then_some("v1");
        for subset in [None, subset] {
            let policy = traffic.of(subset, port(9080)).unwrap();
            assert!(matches!(policy.tls, Tls::Originate(_)), "{traffic:?}");
        }
    }
    assert_eq!(plan.traffic.len(), 3, "of clients of the namespace, of everybody, and of no rule");
}

#[test]
fn rules_for_some_make_only_their_connections_pass() {
    let compiler = compiler(&[SHOP, &http_route("bank", "own")].concat());
    let service = &compiler.mesh().services[&host("shop", "reviews")].service;
    assert!(service.l7.contains(9080) && service.l7.is_for("bank") && !service.l7.is_for("shop"));
    assert!(compiler.mesh().services[&host("shop", "ratings")].service.l7.is_empty());
    // What its clients are told is nothing that its pods must know.
    assert!(l7_of_pod(compiler.mesh(), "reviews-v1").is_empty());
}

#[test]
fn what_l4_would_close_is_decided_where_all_is_seen() {
    let reads = policy("reads", "rules: [{to: [{operation: {methods: [GET]}}]}]");
    let banks = policy("banks", "rules: [{from: [{source: {namespaces: [bank]}}]}]");
    let denies = policy("denies", "action: DENY, rules: [{from: [{source: {namespaces: [x]}}]}]");
    let text = [SHOP, &reads, &banks, &denies].concat();
    let compiler = compiler(&text);
    assert!(compiler.mesh().closing.is_empty());
    assert_eq!(notes(compiler.mesh()), [""; 0]);
    let l7 = l7_of_pod(compiler.mesh(), "reviews-v1");
    assert!(l7.contains(8080));
    let names: Vec<_> = l7.policies().iter().map(|name| &*name.name).collect();
    assert_eq!(names, ["banks", "reads"], "one that denies by itself is asked at L4, too");
    // Nobody knows the ports of a pod without a service: there L4 closes.
    assert!(l7_of_pod(compiler.mesh(), "web").is_empty());
    let claims =
        policy("claims", "rules: [{when: [{key: 'request.auth.claims[a]', values: [b]}]}]");
    let compiler = self::compiler(&[SHOP, &claims].concat());
    assert_eq!(
        notes(compiler.mesh()),
        ["rule 0 asks for request.auth.claims[a], which nobody answers yet: it allows nothing"]
    );
    assert_eq!(compiler.mesh().closing.len(), 1);
}

#[test]
fn what_is_named_and_not_there_is_told_where_it_is_named() {
    let target = policy("p", "targetRefs: [{group: '', kind: Service, name: nobody}], rules: [{}]");
    let text =
        [SHOP, &ROUTE.replace("host: reviews, subset: v1", "host: reviewz, subset: v1"), &target];
    let compiler = compiler(&text.concat());
    assert_eq!(
        notes(compiler.mesh()),
        [
            "there is no service reviewz.shop.svc.cluster.local: what is to go there fails",
            "there is no Service/nobody: the policy does nothing there",
        ]
    );
    let compiler = self::compiler(&[SHOP, ROUTE].concat());
    assert_eq!(
        notes(compiler.mesh()),
        [
            "no DestinationRule says what v1 of reviews.shop.svc.cluster.local is: what is to go there fails"
        ]
    );
}

#[test]
fn where_nobody_serves_l7_it_is_said_that_nothing_is_done() {
    let mut settings = crate::compile::Settings {
        node_name: "".into(),
        cluster: "Kubernetes".into(),
        trust_domain: "cluster.local".into(),
        ambient: crate::compile::Ambient::Ours,
        l7: false,
    };
    let text = [SHOP, ROUTE, RULE, &policy("p", "rules: [{to: [{operation: {methods: [GET]}}]}]")];
    let objects = objects(&text.concat());
    let mesh = crate::compile::mesh(&objects, &settings).unwrap();
    assert_eq!(
        notes(&mesh),
        [
            "nobody serves L7 here: no VirtualService does anything",
            "nobody serves L7 here: no DestinationRule does anything",
            "rule 0 asks for methods, which L4 does not see: it allows nothing",
        ]
    );
    assert_eq!(mesh.closing.len(), 1);
    settings.l7 = true;
    assert_eq!(notes(&crate::compile::mesh(&objects, &settings).unwrap()), [""; 0]);
}

fn any_policy() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec!["ALLOW", "DENY", "AUDIT"]);
    let selector = prop::sample::select(vec![
        "",
        "selector: {matchLabels: {app: reviews}}, ",
        "targetRefs: [{group: '', kind: Service, name: reviews}], ",
    ]);
    let rule = prop::sample::select(vec![
        "{}",
        "{to: [{operation: {methods: [GET]}}]}",
        "{to: [{operation: {ports: ['8080']}}]}",
        "{to: [{operation: {ports: ['9999'], paths: [/x]}}]}",
        "{from: [{source: {namespaces: [bank]}}]}",
        "{from: [{source: {requestPrincipals: ['*']}}]}",
    ]);
    (action, selector, prop::collection::vec(rule, 0..3)).prop_map(|(action, selector, rules)| {
        format!("{selector}action: {action}, rules: [{}]", rules.join(", "))
    })
}

proptest! {
    /// A further DENY makes no connection pass less of what was asked of it: nothing that was decided
    /// somewhere is decided nowhere.
    #[test]
    fn a_further_denial_takes_no_question_away(
        policies in prop::collection::vec(any_policy(), 0..4),
        denial in any_policy(),
    ) {
        let all: String = policies.iter().enumerate()
            .map(|(index, spec)| policy(&format!("p{index}"), spec)).collect();
        let denial = policy("z", &denial.replace("ALLOW", "DENY").replace("AUDIT", "DENY"));
        let (before, after) = (compiler(&format!("{SHOP}{all}")), compiler(&format!("{SHOP}{all}{denial}")));
        let (old, new) = (l7_of_pod(before.mesh(), "reviews-v1"), l7_of_pod(after.mesh(), "reviews-v1"));
        for port in old.iter() {
            prop_assert!(new.contains(port.get()));
        }
        // Those that L4 asks no longer are asked by L7, all of them, on every such port.
        let z = ObjectName::new("shop", "z");
        for name in before.mesh().policies.keys().filter(|name| &*name.namespace == "shop") {
            prop_assert!(after.mesh().policies.contains_key(name));
            prop_assert!(!old.policies().contains(name) || new.policies().contains(name));
        }
        for name in new.policies().iter().filter(|name| **name != z) {
            let of = |compiler: &Compiler| {
                compiler.scene().plan().policies.values().any(|policy| policy.name == *name)
            };
            prop_assert!(of(&after) && of(&before));
        }
    }
}
