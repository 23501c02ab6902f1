//! What only some are told: secrets, and listeners for clients without a proxy.
use super::{
    super::{Emitter, Scope},
    SHOP, compiler, engine, objects, scene, shown,
};
use crate::compile::http::plan::{
    Labels, Plan,
    gateway::{Chosen, GatewayPlan},
};
use culvert_model::name::ObjectName;
use culvert_proto::{
    Message as _,
    api::envoy::{
        config::{
            cluster::v3::{Cluster, cluster::LbPolicy},
            endpoint::v3::ClusterLoadAssignment,
            listener::v3::Listener,
        },
        extensions::transport_sockets::tls::v3::{Secret, secret::Type},
    },
};
use culvert_xds::envoy::kind::Kind;
use std::sync::Arc;

const DEMO: &str = "kubernetes://shop/demo";

/// A certificate that says `of`.
fn secret(of: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {{name: demo, namespace: shop}}, \
         stringData: {{tls.crt: chain-{of}, tls.key: hunter-{of}}}}}\n"
    )
}

fn told(emitter: &Emitter) -> Option<Secret> {
    let found = emitter.resources().get(&(Kind::Secret, DEMO.into()))?;
    Some(Secret::decode(&*found.any.value).unwrap())
}

#[test]
fn secrets_are_told_to_gateways_that_name_them_and_to_nobody_else() {
    let mut compiler = compiler(&format!("{SHOP}{}", secret("1")));
    let mut scene = compiler.scene().clone();
    scene.set_plan(shown::gateway());
    let mut gateway = Emitter::new(shown::gateway_scope(), &scene);
    let Some(Type::TlsCertificate(found)) = told(&gateway).unwrap().r#type else { panic!() };
    let said = format!("{found:?}");
    assert!(said.contains(&format!("{:?}", b"hunter-1".to_vec())), "{said}");
    assert!(!format!("{gateway:?}").contains("104, 117, 110"), "bytes are nobody's to see");
    assert!(told(&Emitter::new(engine("shop"), &scene)).is_none());
    let gateway_name = Some(ObjectName::new("shop", "other"));
    let other = Scope { gateway: gateway_name, ..shown::gateway_scope() };
    assert!(told(&Emitter::new(other, &scene)).is_none());

    let edits = compiler.apply(&objects(&format!("{SHOP}{}", secret("2")))).unwrap().l7;
    let changed = edits.iter().flat_map(|edit| scene.apply(edit)).collect();
    scene.set_plan(shown::gateway());
    let delta = gateway.follow(&changed, &scene);
    let set: Vec<_> = delta.set.iter().map(|one| (one.kind, &*one.name)).collect();
    assert_eq!(set, [(Kind::Secret, DEMO)]);

    let edits = compiler.apply(&objects(SHOP)).unwrap().l7;
    let changed = edits.iter().flat_map(|edit| scene.apply(edit)).collect();
    scene.set_plan(shown::gateway());
    let delta = gateway.follow(&changed, &scene);
    assert_eq!((delta.set, delta.removed), (vec![], vec![(Kind::Secret, Arc::from(DEMO))]));
}

#[test]
fn roots_in_the_open_are_told_to_whoever_needs_them() {
    let policy = "---\n{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {name: reviews, namespace: shop}, \
         spec: {targetRefs: [{group: '', kind: Service, name: reviews}], validation: {hostname: reviews.example, \
         caCertificateRefs: [{group: '', kind: ConfigMap, name: roots}]}}}\n";
    let roots = |of: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: roots, namespace: shop}}, \
             data: {{ca.crt: '-----BEGIN CERTIFICATE-----{of}'}}}}\n"
        )
    };
    let mut compiler = compiler(&format!("{SHOP}{policy}{}", roots("1")));
    let mut scene = compiler.scene().clone();
    let mut engine = Emitter::new(engine("shop"), &scene);
    let key = (Kind::Secret, Arc::from("configmap://shop/roots"));
    let found = Secret::decode(&*engine.resources()[&key].any.value).unwrap();
    assert!(matches!(found.r#type, Some(Type::ValidationContext(_))), "{found:?}");

    let edits = compiler.apply(&objects(&format!("{SHOP}{policy}{}", roots("2")))).unwrap().l7;
    let changed = edits.iter().flat_map(|edit| scene.apply(edit)).collect();
    let delta = engine.follow(&changed, &scene);
    let set: Vec<_> = delta.set.iter().map(|one| (one.kind, &*one.name)).collect();
    assert_eq!(set, [(Kind::Secret, "configmap://shop/roots")]);
    let edits = compiler.apply(&objects(&format!("{SHOP}{policy}"))).unwrap().l7;
    let changed = edits.iter().flat_map(|edit| scene.apply(edit)).collect();
    assert_eq!(engine.follow(&changed, &scene).removed, [key]);
}

#[test]
fn gateways_are_chosen_by_their_labels_and_show_what_is_beside_them() {
    let plan = GatewayPlan::clone(&shown::gateway().gateways[&ObjectName::new("shop", "gw")]);
    let labels: Labels = [("istio".to_owned(), "ingressgateway".to_owned())].into();
    let chosen = Chosen { labels: labels.clone(), since: None, plan };
    let chosen = [(ObjectName::new("shop", "gw"), Arc::new(chosen))].into();
    let scene = scene(SHOP, Plan { chosen, ..shown::shop_plan() });
    let shows = |namespace: &str, name: &str, labels: &Labels| {
        let gateway = Some(ObjectName::new(namespace, name));
        let scope = Scope { gateway, labels: labels.clone(), ..engine(namespace) };
        let emitter = Emitter::new(scope, &scene);
        let found = emitter.resources().get(&(Kind::Listener, "0.0.0.0_443".into()))?;
        let bytes = String::from_utf8_lossy(&found.any.value).into_owned();
        let (_, named) = bytes.split_once("kubernetes://")?;
        Some(named.chars().take_while(|c| !c.is_control()).collect::<String>())
    };
    assert_eq!(shows("shop", "gw", &Labels::new()).as_deref(), Some("shop/demo"));
    assert_eq!(shows("edge", "a", &labels).as_deref(), Some("edge/demo"));
    assert_eq!(shows("edge", "a", &Labels::new()), None);
    let other = [("istio".to_owned(), "other".to_owned())].into();
    assert_eq!(shows("shop", "a", &other), None);
}

#[test]
fn clients_without_a_proxy_are_told_what_they_understand() {
    let scope = Scope { api: true, ..engine("shop") };
    let emitter = Emitter::new(scope, &scene(SHOP, shown::shop_plan()));
    let of = |kind: Kind, name: &str| {
        let found = emitter.resources().get(&(kind, name.into()));
        &*found.unwrap_or_else(|| panic!("{name}")).any.value
    };
    let called = "reviews.shop.svc.cluster.local:9080";
    let listener = Listener::decode(of(Kind::Listener, called)).unwrap();
    assert!(listener.api_listener.is_some() && listener.filter_chains.is_empty());
    assert!(!of(Kind::Route, called).is_empty());
    let name = "outbound|9080|v1|reviews.shop.svc.cluster.local";
    let cluster = Cluster::decode(of(Kind::Cluster, name)).unwrap();
    assert_eq!(cluster.lb_policy(), LbPolicy::RoundRobin);
    let assignment = ClusterLoadAssignment::decode(of(Kind::Endpoint, name)).unwrap();
    let weights = assignment.endpoints.iter().map(|place| place.load_balancing_weight.as_ref());
    assert!(weights.map(|weight| weight.unwrap().value).eq([1]));
    // One that speaks something else is not for them.
    let bytes = (Kind::Listener, "ratings.shop.svc.cluster.local:3306".into());
    assert!(!emitter.resources().contains_key(&bytes));
    assert!(emitter.resources().keys().all(|(_, name)| !name.contains("virtualInbound")));
}
