//! What becomes of policies is written by one replica, once.
use crate::{
    replica::Replica,
    shipped::{self, NAMESPACE, USER, forbidden},
};
use culvert_cluster::{Cluster, Crds, Namespace, eventually};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::{runtime, task::block_in_place};

const POLICIES: &str = r#"
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: good}
spec: {rules: [{from: [{source: {namespaces: [front]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: layer-seven}
spec: {rules: [{to: [{operation: {methods: [GET]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nonsense}
spec: {rules: [{from: [{source: {ipBlocks: [nonsense]}}]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: first}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: second}
spec: {mtls: {mode: STRICT}}
"#;

/// Makes a policy that is fine, and waits until that is written: what was to be written before is.
fn mark(shop: &Namespace<'_>, name: &str) {
    shop.apply(&format!(
        "{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {{name: {name}}}, \
         spec: {{selector: {{matchLabels: {{app: {name}}}}}}}}}"
    ));
    stands(shop, "authorizationpolicy", name, ["Accepted", "Enforced"]);
}

/// Waits until the reasons of its conditions are so, of its version now.
pub(crate) fn stands(shop: &Namespace<'_>, kind: &str, name: &str, reasons: [&str; 2]) -> Value {
    eventually(&format!("the status of {name}"), || {
        let object = shop.get(&[kind, name]);
        let status = &object["status"];
        let said = [0, 1].map(|at| status["conditions"][at]["reason"].as_str().unwrap_or_default());
        let is_now = status["observedGeneration"] == object["metadata"]["generation"];
        (is_now && said == reasons).then(|| status.clone())
    })
}

/// How often the status of each object was written, and by whose token.
fn written(cluster: &Cluster) -> BTreeMap<String, Vec<String>> {
    let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in cluster.requests_by(USER) {
        if line["verb"] != "patch" || line["objectRef"]["subresource"] != "status" {
            continue;
        }
        let who = &line["user"]["extra"]["authentication.kubernetes.io/credential-id"];
        let name = line["objectRef"]["name"].as_str().unwrap().to_owned();
        written.entry(name).or_default().push(who.to_string());
    }
    written
}

pub(crate) fn times(cluster: &Cluster) -> BTreeMap<String, usize> {
    written(cluster).into_iter().map(|(name, all)| (name, all.len())).collect()
}

/// Events of policies: whose, why, and whether one was counted more than once.
pub(crate) fn events(shop: &Namespace<'_>) -> Vec<(String, String, bool)> {
    let all = shop.get(&["events.events.k8s.io"]);
    let mut all: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["reportingController"] == "culvert.dev/control")
        .map(|event| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let (name, reason) = (&event["regarding"]["name"], &event["reason"]);
            (text(name), text(reason), !event["series"].is_null())
        })
        .collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::too_many_lines, reason = "one story, on one cluster")]
async fn one_replica_writes_what_becomes_of_policies_and_another_takes_over() {
    let cluster = Cluster::api("control-writes");
    cluster.apply(&shipped::rules());
    // Read as a replica starts: each has a token of its own.
    let kubeconfig = || cluster.kubeconfig_of(NAMESPACE, "culvert-control");
    let first = Replica::start_as(kubeconfig(), "first").await;
    first.writes().await;
    // Kinds that appear later.
    cluster.install(Crds::Istio);
    let shop = cluster.namespace("shop");
    shop.apply(POLICIES);
    let good = stands(&shop, "authorizationpolicy", "good", ["Accepted", "Enforced"]);
    let closes = stands(&shop, "authorizationpolicy", "layer-seven", ["Accepted", "ClosesMore"]);
    let message = closes["conditions"][1]["message"].as_str().unwrap();
    assert!(message.contains("methods") && message.contains("it allows nothing"), "{message}");
    let wrong = stands(&shop, "authorizationpolicy", "nonsense", ["Invalid", "Invalid"]);
    let message = wrong["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("spec.rules[0].from[0].source.ipBlocks[0]"), "{message}");
    assert!(message.contains("everything that it could select is closed"), "{message}");
    stands(&shop, "peerauthentication", "first", ["Accepted", "Enforced"]);
    stands(&shop, "peerauthentication", "second", ["Accepted", "NoEffect"]);
    mark(&shop, "mark-1");
    let once = times(&cluster);
    assert!(once.values().all(|times| *times == 1) && once.len() == 6, "{once:?}");

    // A second replica says nothing; what changes no spec is no news; what does is written once.
    let second_runtime = runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let second = Replica::start_as(kubeconfig(), "second");
    let second = block_in_place(|| second_runtime.block_on(second));
    shop.kubectl(&["annotate", "authorizationpolicy", "layer-seven", "example.org/note=x"]);
    shop.kubectl(&["label", "authorizationpolicy", "nonsense", "team=shop"]);
    let patch = r#"{"spec":{"rules":[{"from":[{"source":{"namespaces":["front","back"]}}]}]}}"#;
    shop.kubectl(&["patch", "authorizationpolicy", "good", "--type=merge", "-p", patch]);
    let again = stands(&shop, "authorizationpolicy", "good", ["Accepted", "Enforced"]);
    let since = |status: &Value| status["conditions"][0]["lastTransitionTime"].clone();
    assert_eq!((&again["observedGeneration"], since(&again)), (&2.into(), since(&good)));
    mark(&shop, "mark-2");
    let mut expected = once;
    expected.extend([("good".to_owned(), 2), ("mark-2".to_owned(), 1)]);
    assert_eq!(times(&cluster), expected);

    // What somebody else says there is theirs.
    let theirs = "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, \
                  metadata: {name: mark-2}, status: {conditions: [{type: Other}]}}";
    let words = ["--namespace", shop.name(), "apply", "--server-side", "--force-conflicts"];
    let words =
        [&words[..], &["--subresource=status", "--field-manager=other", "-f", "-"]].concat();
    let output = cluster.kubectl_with(theirs, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let patch = r#"{"spec":{"selector":{"matchLabels":{"app":"other"}}}}"#;
    shop.kubectl(&["patch", "authorizationpolicy", "mark-2", "--type=merge", "-p", patch]);
    mark(&shop, "mark-3");
    let left = shop.get(&["authorizationpolicy", "mark-2"]);
    assert_eq!(left["status"]["conditions"].as_array().unwrap().len(), 1, "{left}");
    expected.extend([("mark-2".to_owned(), 2), ("mark-3".to_owned(), 1)]);

    // Ended, it gives way; nothing is written that is written.
    assert_eq!(second.control.writer(), Some(("first".to_owned(), false)));
    first.end().await;
    second.writes().await;
    mark(&shop, "mark-4");
    expected.insert("mark-4".to_owned(), 1);
    // One try: whether that is somebody else's is not known to it.
    expected.insert("mark-2".to_owned(), 3);
    assert_eq!(times(&cluster), expected);

    // Killed, it is waited for, and then not.
    let third = Replica::start_as(kubeconfig(), "third").await;
    second_runtime.shutdown_background();
    drop(second);
    third.writes().await;
    mark(&shop, "mark-5");
    expected.extend([("mark-5".to_owned(), 1), ("mark-2".to_owned(), 4)]);
    assert_eq!(times(&cluster), expected);
    let lease = cluster.get(&["-n", NAMESPACE, "lease", "culvert-control"]);
    assert_eq!(lease["spec"]["leaseTransitions"], 2, "{lease}");
    let writers = written(&cluster);
    let of = |name: &str| writers[name].last().unwrap().clone();
    assert_eq!(of("nonsense"), of("mark-3"));
    assert_ne!(of("mark-3"), of("mark-4"));
    assert_ne!(of("mark-4"), of("mark-5"));

    assert_eq!(forbidden(&cluster), [""; 0]);

    // An API server that comes back without its memory is told nothing twice.
    cluster.stop_part("kube-apiserver");
    cluster.start_part("kube-apiserver");
    shop.kubectl(&["delete", "authorizationpolicy", "mark-2"]);
    mark(&shop, "mark-6");
    let after = times(&cluster);
    assert_eq!(after["layer-seven"], 1, "{after:?}");
    assert_eq!(after["good"], 2, "{after:?}");

    let told = [("layer-seven", "ClosesMore"), ("nonsense", "Invalid"), ("second", "NoEffect")];
    let told = told.map(|(name, reason)| (name.to_owned(), reason.to_owned(), false));
    assert_eq!(events(&shop), told);
    let described = shop.kubectl(&["describe", "authorizationpolicy", "layer-seven"]);
    assert!(described.contains("Warning  ClosesMore"), "{described}");
}
