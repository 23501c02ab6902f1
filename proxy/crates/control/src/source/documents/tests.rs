//! Objects of an API mean what the same manifests mean, and none holds up another.
use super::*;
use crate::{
    compile::{Ambient, Settings, incremental::Compiler, mesh, mesh::Mesh},
    source::kinds::followed,
};
use culvert_kubernetes::trim::Trim;
use culvert_model::{authz::Authorization, member::Member, name::WorkloadUid, service::Service};
use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};

mod standings;

/// Places in `followed`.
const NAMESPACE: usize = 0;
const POD: usize = 6;
const PEER: usize = 9;
const POLICY: usize = 10;

fn settings() -> Settings {
    let (cluster, trust_domain) = ("Kubernetes".into(), "cluster.local".into());
    Settings { node_name: "".into(), cluster, trust_domain, ambient: Ambient::Ours, l7: true }
}

/// An API, read and compiled.
struct Read {
    documents: Documents,
    compiler: Compiler,
}

impl Read {
    fn new() -> Self {
        let mut read =
            Self { documents: Documents::new(followed()), compiler: Compiler::new(settings()) };
        read.compile();
        read
    }

    fn apply(&mut self, kind: usize, object: &Value) {
        self.documents.hear([applied(kind, object)]);
        self.compile();
    }

    fn compile(&mut self) {
        self.documents.read();
        let Difference { gone, new } = self.documents.difference();
        self.compiler.replace(&gone, &new);
    }

    fn policies(&self) -> Vec<String> {
        let policies = self.compiler.mesh().policies.values();
        let policies = policies.filter(|policy| policy.origin.is_some());
        policies.map(|policy| format!("{:?} {:?}", policy.action, policy.scope)).collect()
    }

    fn invalid(&self) -> Vec<(String, Instead)> {
        self.documents.invalid().into_iter().map(|one| (one.object, one.instead)).collect()
    }
}

/// As a mirror tells it.
fn applied(kind: usize, object: &Value) -> Event {
    let kinds = followed();
    let raw = RawValue::from_string(object.to_string()).unwrap();
    let version = kinds[kind].api_version(0);
    let trimmed = Trim::new(&kinds[kind]).object(&version, &raw).unwrap();
    Event::Applied { kind, key: trimmed.key, json: trimmed.json }
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

fn pod(name: &str, ip: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "labels": {"app": name}, "uid": "1-2",
            "creationTimestamp": "2026-01-01T00:00:00Z", "generateName": "x-",
            "managedFields": [{"manager": "kubelet"}],
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7", "uid": "3",
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "nodeName": "worker-1", "serviceAccountName": "web", "serviceAccount": "web",
            "containers": [{"name": "a", "image": "b", "ports": [
                {"name": "http", "containerPort": 8080, "protocol": "TCP"},
            ], "fieldOfALaterVersion": 1}],
            "volumes": [], "tolerations": [{}],
        },
        "status": {
            "phase": "Running", "podIP": format!("10.0.0.{ip}"), "qosClass": "BestEffort",
            "podIPs": [{"ip": format!("10.0.0.{ip}")}],
            "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null}],
        },
    })
}

/// What a mesh says, wherever it was written.
#[derive(Debug, PartialEq)]
struct Said<'a> {
    members: Vec<(&'a WorkloadUid, &'a Member, bool)>,
    services: Vec<&'a Service>,
    policies: Vec<Authorization>,
}

fn said(mesh: &Mesh) -> Said<'_> {
    let members = mesh.members.iter();
    let members = members.map(|(uid, wanted)| (uid, &*wanted.member, wanted.enrolled));
    let services = mesh.services.values().map(|offered| &*offered.service);
    let policies = mesh
        .policies
        .values()
        .map(|policy| Authorization { origin: None, ..Authorization::clone(policy) });
    Said { members: members.collect(), services: services.collect(), policies: policies.collect() }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one object of each kind")]
fn the_api_means_what_the_same_manifests_mean() {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"culvert.dev/mesh": "enabled"}},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "selector": {"app": "a"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30001}],
            "sessionAffinity": "None", "type": "NodePort",
        },
        "status": {"loadBalancer": {}},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": "out-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "out"},
        },
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": true, "serving": true}}],
        "ports": [{"name": "", "port": 443, "protocol": "TCP"}],
    });
    let outside = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "out", "namespace": "shop"},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 443}]},
    });
    let entry = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "far", "namespace": "shop"},
        "spec": {
            "hosts": ["far.example"], "resolution": "STATIC", "addresses": ["192.0.2.7"],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{"address": "192.0.2.8"}],
        },
    });
    let denies = policy(
        "deny",
        &json!({
            "selector": {"matchLabels": {"app": "a"}}, "action": "DENY",
            "rules": [{"from": [{"source": {"namespaces": ["other"]}}]}],
        }),
    );
    let strict = json!({
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "strict", "namespace": "shop"}, "spec": {"mtls": {"mode": "STRICT"}},
    });
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "mesh", "namespace": "culvert-system"},
        "data": {"mesh": "trustDomain: example.org\n", "other": "x"},
    });
    let mut all = vec![
        (NAMESPACE, namespace),
        (2, config),
        (4, service),
        (4, outside),
        (5, slice),
        (7, entry),
        (PEER, strict),
        (POLICY, denies),
    ];
    let mut pods = [pod("a", 1), pod("b", 2)];
    all.extend(pods.iter().map(|pod| (POD, pod.clone())));
    let mut read = Read::new();
    // In any order.
    all.iter().rev().for_each(|(kind, object)| read.apply(*kind, object));
    assert_eq!(read.invalid(), []);

    // A file has no fields of later versions.
    for pod in &mut pods {
        pod["spec"]["containers"][0].as_object_mut().unwrap().remove("fieldOfALaterVersion");
    }
    let texts = all.iter().filter(|(kind, _)| *kind != POD).map(|(_, object)| object);
    let texts: Vec<_> = texts.chain(&pods).map(Value::to_string).collect();
    let (objects, problems) = Objects::parse("all.yaml", texts.join("\n---\n").as_bytes());
    assert_eq!(problems, []);
    let whole = mesh(&objects, &settings()).unwrap();
    assert_eq!(said(read.compiler.mesh()), said(&whole));
    assert!(whole.members.len() > 2 && whole.services.len() == 3 && whole.policies.len() == 2);
    assert_eq!(read.compiler.mesh().config, whole.config);
}

#[test]
fn of_an_object_that_is_no_longer_understood_the_version_before_stays() {
    let mut read = Read::new();
    let rule = json!({"to": [{"operation": {"ports": ["80"]}}]});
    read.apply(POLICY, &policy("a", &json!({"action": "ALLOW", "rules": [rule]})));
    read.apply(POLICY, &policy("a", &json!({"action": "ALLOW", "rule": []})));
    assert_eq!(read.policies(), ["Allow Namespace"]);
    assert_eq!(read.invalid(), [("AuthorizationPolicy/shop/a".to_owned(), Instead::Earlier)]);
    let problem = &read.documents.invalid()[0].problems[0];
    insta::assert_snapshot!(problem, @r"
    AuthorizationPolicy shop/a in the Kubernetes API, spec.rule: unknown field `rule`
       = did you mean `rules`?
    ");
    // Again not understood: it is still the one before.
    read.apply(POLICY, &policy("a", &json!({"action": "ALLOW", "rules": "x"})));
    assert_eq!(read.policies(), ["Allow Namespace"]);
    read.apply(POLICY, &policy("a", &json!({"action": "DENY", "rules": []})));
    assert_eq!((read.policies(), read.invalid()), (vec!["Deny Namespace".to_owned()], vec![]));
}

#[test]
fn a_policy_that_was_never_understood_closes_what_it_could_select() {
    let selector = json!({"matchLabels": {"app": "a"}});
    for (spec, closes) in [
        (json!({"rule": []}), Some("Deny Namespace")),
        (json!({"selector": selector, "rule": []}), Some("Deny Selector")),
        // What it selects is not understood, either.
        (json!({"selector": {"matchLabels": {"app": "a*"}}}), Some("Deny Namespace")),
        (json!({"selector": {"match": 1}, "action": "ALLOW"}), Some("Deny Namespace")),
        (json!("text"), Some("Deny Namespace")),
        // These could not have denied anything.
        (json!({"action": "AUDIT", "rule": []}), None),
        (json!({"targetRef": {"kind": "Gateway", "name": "x"}, "rule": []}), None),
    ] {
        let mut read = Read::new();
        read.apply(POLICY, &policy("a", &spec));
        assert_eq!(read.policies().first().map(String::as_str), closes, "{spec}");
        assert_eq!(read.invalid().len(), 1, "{spec}");
        // Everybody else goes on.
        read.apply(NAMESPACE, &json!({"metadata": {"name": "shop"}}));
        read.apply(POD, &pod("a", 1));
        assert_eq!(read.compiler.mesh().members.len(), 1);
        let key = Key { namespace: "shop".into(), name: "a".into() };
        read.documents.hear([Event::Deleted { kind: POLICY, key }]);
        read.compile();
        assert_eq!((read.policies(), read.invalid()), (vec![], vec![]), "{spec}");
    }
}

#[test]
fn a_dry_run_that_is_not_understood_closes_nothing() {
    let mut read = Read::new();
    let mut dry = policy("a", &json!({"rule": []}));
    dry["metadata"]["annotations"] = json!({"istio.io/dry-run": "true"});
    read.apply(POLICY, &dry);
    assert!(read.compiler.mesh().policies.values().all(|one| one.origin.is_none() || one.dry_run));
    assert_eq!(read.invalid().len(), 1);
}

#[test]
fn a_mode_that_is_not_understood_is_strict() {
    let mut read = Read::new();
    read.apply(POD, &pod("a", 1));
    let mtls = |mtls: Value| {
        json!({
            "metadata": {"name": "m", "namespace": "shop"}, "spec": {"mtls": {"mode": mtls}},
        })
    };
    let strict =
        |read: &Read| read.compiler.mesh().members.values().all(|one| !one.mtls.is_empty());
    assert!(!strict(&read));
    read.apply(PEER, &mtls(json!("STRICTER")));
    assert!(strict(&read));
    read.apply(PEER, &mtls(json!("PERMISSIVE")));
    assert!(!strict(&read));
}

#[test]
fn what_a_mirror_cannot_read_is_an_object_like_any_other() {
    let mut read = Read::new();
    let key = Key { namespace: "shop".into(), name: "deep".into() };
    let event = Event::Applied { kind: POLICY, key, json: Err("recursion limit".into()) };
    read.documents.hear([event]);
    read.compile();
    assert_eq!(read.policies(), ["Deny Namespace"]);
    let problems = &read.documents.invalid()[0].problems;
    assert_eq!(
        problems[0].to_string(),
        "AuthorizationPolicy shop/deep in the Kubernetes API: recursion limit"
    );
}

#[test]
fn kinds_say_how_they_are() {
    let mut documents = Documents::new(followed());
    assert!(!documents.is_known());
    let why = Fault::Answer { code: 403, message: "pods is forbidden".into() };
    documents.hear([Event::Unavailable { kind: POD, why }]);
    for kind in (0..followed().len()).filter(|kind| *kind != POD) {
        documents.hear([Event::Synced { kind, is_there: kind < 7 }]);
    }
    documents.read();
    assert!(!documents.is_known(), "without pods nothing is served");
    let kinds = documents.kinds();
    assert_eq!(kinds[POD].state, KindState::Unavailable);
    assert!(kinds[POD].because.as_ref().unwrap().contains("verbs: [list, watch]"));
    assert_eq!(kinds[POLICY].state, KindState::Undefined);
    documents.hear([Event::Synced { kind: POD, is_there: true }]);
    documents.read();
    assert!(documents.is_known());
}

/// Something that happens to one of a few objects.
fn happens() -> impl Strategy<Value = (usize, Event)> {
    let spec = prop::sample::select(vec![
        json!({"action": "ALLOW", "rules": [{}]}),
        json!({"action": "DENY", "rules": [{}], "selector": {"matchLabels": {"app": "p1"}}}),
        json!({"rule": []}),
        json!({"selector": {"matchLabels": {"app": "p2"}}, "x": 1}),
    ]);
    let names = || (0..3_u8).prop_map(|number| format!("p{number}"));
    let policies = (names(), spec).prop_map(|(name, spec)| applied(POLICY, &policy(&name, &spec)));
    let pods = (names(), 1..4_u8).prop_map(|(name, ip)| applied(POD, &pod(&name, ip)));
    let modes = prop::sample::select(vec!["STRICT", "DISABLE", "WRONG"]).prop_map(|mode| {
        let metadata = json!({"name": "m", "namespace": "shop"});
        applied(PEER, &json!({"metadata": metadata, "spec": {"mtls": {"mode": mode}}}))
    });
    let labels = any::<bool>().prop_map(|is_in| {
        let value = if is_in { "enabled" } else { "disabled" };
        let labels = json!({"culvert.dev/mesh": value});
        applied(NAMESPACE, &json!({"metadata": {"name": "shop", "labels": labels}}))
    });
    let gone = (names(), prop::sample::select(vec![POD, POLICY])).prop_map(|(name, kind)| {
        Event::Deleted { kind, key: Key { namespace: "shop".into(), name: name.into() } }
    });
    (0..3_usize, prop_oneof![policies, pods, modes, labels, gone])
}

proptest! {
    /// However changes come together, what is compiled of them is what all objects mean.
    #[test]
    fn steps_lead_where_the_whole_does(steps in prop::collection::vec(happens(), 0..60)) {
        let mut read = Read::new();
        for (pause, event) in steps {
            read.documents.hear([event]);
            if pause == 0 {
                read.compile();
            }
        }
        read.compile();
        read.documents.renew();
        let Difference { new, .. } = read.documents.difference();
        let mut whole = Compiler::new(settings());
        whole.replace(&Objects::default(), &new);
        prop_assert_eq!(read.compiler.mesh(), whole.mesh());
    }
}
