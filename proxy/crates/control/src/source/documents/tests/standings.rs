//! What objects of Istio come to, as their status is to say it.
use super::*;
use crate::standing::Condition;
use std::collections::BTreeSet;

/// Places in `followed`.
const SERVICE: usize = 4;
const ENTRY: usize = 7;
const ROUTES: usize = 11;
const RULE: usize = 12;
const ISTIO_GATEWAY: usize = 13;
const CLASS: usize = 14;
const GATEWAY: usize = 15;

const BY_ISTIO: &str = "networking.istio.io/v1";
const BY_KUBERNETES: &str = "gateway.networking.k8s.io/v1";

fn object(api_version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1},
    })
}

fn routes(name: &str, host: &str) -> Value {
    let http = json!([{"route": [{"destination": {"host": host}}]}]);
    object(BY_ISTIO, "VirtualService", name, &json!({"hosts": [host], "http": http}))
}

fn rule(balancer: &Value) -> Value {
    let spec = json!({"host": "web", "trafficPolicy": {"loadBalancer": balancer}});
    object(BY_ISTIO, "DestinationRule", "web", &spec)
}

fn service(name: &str, ip: u8) -> Value {
    let ports = json!([{"name": "http", "port": 80}]);
    object("v1", "Service", name, &json!({"clusterIP": format!("10.96.0.{ip}"), "ports": ports}))
}

fn entry(name: &str) -> Value {
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    let spec = json!({"hosts": ["far.example"], "resolution": "DNS", "ports": ports});
    object(BY_ISTIO, "ServiceEntry", name, &spec)
}

impl Read {
    /// Why something is not as it is written, or that it is.
    #[track_caller]
    fn reason(&self, kind: &str, name: &str) -> (&'static str, String) {
        let all = self.documents.standings(&self.compiler);
        let mut found = all.iter().filter(|one| one.kind == kind && *one.key.name == *name);
        let found = found.next().expect("it is told how it stands");
        let [_, Condition { reason, message, .. }] = found.conditions();
        (reason, message)
    }
}

#[test]
fn what_an_object_does_not_get_is_how_it_stands_until_that_is_mended() {
    let mut read = Read::new();
    read.apply(SERVICE, &service("web", 1));
    read.apply(ROUTES, &routes("first", "web"));
    read.apply(ROUTES, &routes("second", "web"));
    read.apply(ROUTES, &routes("lost", "nowhere"));
    assert_eq!(read.reason("VirtualService", "first").0, "Enforced");
    let (reason, why) = read.reason("VirtualService", "second");
    assert_eq!(reason, "DoesLess");
    assert!(why.contains("VirtualService/shop/first is for web.shop.svc.cluster.local"), "{why}");
    let (reason, why) = read.reason("VirtualService", "lost");
    assert_eq!(reason, "DoesLess");
    let place = "spec.http[0].route[0].destination.host: there is no service nowhere.shop";
    assert!(why.starts_with(place), "{why}");
    let aware = json!({"zoneAwareLbSetting": {"enabled": true}});
    read.apply(RULE, &rule(&aware));
    let (reason, why) = read.reason("DestinationRule", "web");
    assert_eq!(reason, "DoesLess");
    assert!(why.contains("zoneAwareLbSetting is not done"), "{why}");

    read.apply(RULE, &rule(&json!({"simple": "RANDOM"})));
    read.apply(SERVICE, &service("nowhere", 2));
    let key = Key { namespace: "shop".into(), name: "first".into() };
    read.documents.hear([Event::Deleted { kind: ROUTES, key }]);
    read.compile();
    for name in ["second", "lost"] {
        assert_eq!(read.reason("VirtualService", name).0, "Enforced", "{name}");
    }
    assert_eq!(read.reason("DestinationRule", "web").0, "Enforced");
}

#[test]
fn a_host_that_another_entry_has_is_told_to_who_does_not_get_it() {
    let mut read = Read::new();
    read.apply(ENTRY, &entry("far"));
    read.apply(ENTRY, &entry("later"));
    assert_eq!(read.reason("ServiceEntry", "far").0, "Enforced");
    let (reason, why) = read.reason("ServiceEntry", "later");
    assert_eq!(reason, "DoesLess");
    assert!(why.contains("the host far.example is that of ServiceEntry shop/far"), "{why}");
}

#[test]
fn gateways_of_one_name_are_told_of_themselves_alone() {
    let mut read = Read::new();
    let controller = json!({"controllerName": "culvert.dev/gateway"});
    let mut class = object(BY_KUBERNETES, "GatewayClass", "culvert", &controller);
    class["metadata"].as_object_mut().unwrap().remove("namespace");
    read.apply(CLASS, &class);
    let tls = json!({"certificateRefs": [{"name": "missing"}]});
    let listener = json!({"name": "a", "port": 443, "protocol": "HTTPS", "tls": tls});
    let spec = json!({"gatewayClassName": "culvert", "listeners": [listener]});
    read.apply(GATEWAY, &object(BY_KUBERNETES, "Gateway", "edge", &spec));
    let place = "Gateway shop/edge in the Kubernetes API".to_owned();
    let told = |read: &Read| {
        let notes = read.compiler.mesh().notes.iter();
        notes.map(|note| note.file.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(told(&read), BTreeSet::from([place.clone()]));

    let gateway = |version: &str| {
        let tls =
            json!({"mode": "SIMPLE", "credentialName": "edge", "minProtocolVersion": version});
        let port = json!({"number": 443, "name": "https", "protocol": "HTTPS"});
        let server = json!({"port": port, "hosts": ["a.example"], "tls": tls});
        let spec = json!({"selector": {"app": "edge"}, "servers": [server]});
        object(BY_ISTIO, "Gateway", "edge", &spec)
    };
    read.apply(ISTIO_GATEWAY, &gateway("TLSV1_2"));
    assert_eq!(read.reason("Gateway", "edge").0, "Enforced");
    read.apply(ISTIO_GATEWAY, &gateway("TLSV1_0"));
    assert_eq!(told(&read), BTreeSet::from([place.clone(), format!("Istio {place}")]));
    let (reason, why) = read.reason("Gateway", "edge");
    assert_eq!(reason, "DoesLess");
    assert!(why.contains("TLS before 1.2"), "{why}");
}

#[test]
fn what_is_not_understood_is_not_in_force() {
    let mut read = Read::new();
    let spec = json!({"hosts": ["web"], "htpp": []});
    read.apply(ROUTES, &object(BY_ISTIO, "VirtualService", "odd", &spec));
    let (reason, why) = read.reason("VirtualService", "odd");
    assert_eq!(reason, "Invalid");
    assert!(why.contains("unknown field `htpp`") && why.ends_with("it is left out"), "{why}");
}

#[test]
fn policies_come_before_all_else_and_others_have_no_standing() {
    let mut read = Read::new();
    read.apply(ENTRY, &entry("far"));
    read.apply(POLICY, &policy("a", &json!({})));
    read.apply(SERVICE, &service("web", 1));
    read.apply(ROUTES, &routes("web", "web"));
    let all = read.documents.standings(&read.compiler);
    let kinds: Vec<_> = all.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, ["AuthorizationPolicy", "ServiceEntry", "VirtualService"]);
}

#[test]
fn where_nobody_serves_l7_routes_do_nothing() {
    let settings = Settings { l7: false, ..settings() };
    let mut read =
        Read { documents: Documents::new(followed()), compiler: Compiler::new(settings) };
    read.apply(ENTRY, &entry("far"));
    read.apply(SERVICE, &service("web", 1));
    read.apply(ROUTES, &routes("first", "web"));
    read.apply(ROUTES, &routes("second", "web"));
    for name in ["first", "second"] {
        assert_eq!(read.reason("VirtualService", name).0, "NoEffect");
    }
    assert_eq!(read.reason("ServiceEntry", "far").0, "Enforced");
}
