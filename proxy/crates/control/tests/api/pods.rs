//! Pods that their node could not capture, as it reports.
use crate::{
    replica::{Caller, Replica},
    shipped::{self, NAMESPACE, forbidden, pod, runs, token},
};
use culvert_cluster::{Cluster, eventually};
use culvert_model::name::{ObjectName, WorkloadUid};
use culvert_proto::culvert::node::v1::Hello;
use culvert_xds::{
    report::{Order, Pod, PodState},
    transport::reporter::Reporter,
};
use serde_json::Value;
use tokio::sync::mpsc;

/// What keeps a node's report up.
type Report = (Reporter, mpsc::Receiver<Order>);

/// A node that reports pods of a namespace as not captured.
fn reports(caller: &Caller, node: &str, pods: &[(&str, String)], because: &str) -> Report {
    let hello = Hello { node: node.to_owned(), ..Hello::default() };
    let (reporter, orders) =
        Reporter::start(caller.upstream.clone(), hello, &caller.drain.worker());
    for (namespace, name) in pods {
        let name = ObjectName::new(*namespace, &**name);
        let state = PodState::Pending(because.to_owned());
        let uid = WorkloadUid::pod("Kubernetes", &name);
        reporter.change(|sheet| drop(sheet.pods.insert(uid, Pod { name, state })));
    }
    (reporter, orders)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pod_that_is_not_captured_is_told_of_once() {
    let cluster = Cluster::api("control-pods");
    cluster.apply(&shipped::rules());
    let [one, two] = ["node-one", "node-two"];
    for node in [one, two] {
        cluster.apply(&pod(NAMESPACE, &format!("agent-{node}"), "culvert-node", node));
    }
    let shop = cluster.namespace("shop");
    shop.label("culvert.dev/mesh=enabled");
    let name = shop.name();
    cluster.apply(&pod(name, "web", "default", one));
    runs(&cluster, name, "web", "10.1.0.1");
    let many: Vec<_> = (0..12).map(|number| format!("many-{number}")).collect();
    for (number, one_of) in many.iter().enumerate() {
        cluster.apply(&pod(name, one_of, "default", two));
        runs(&cluster, name, one_of, &format!("10.1.1.{}", number + 1));
    }
    let replica =
        Replica::start_as(cluster.kubeconfig_of(NAMESPACE, "culvert-control"), "first").await;
    let caller = |node| {
        let token = token(&cluster, "culvert-node", &format!("agent-{node}"), "culvert");
        replica.node(&cluster, node, &token)
    };
    let (first, second) = (caller(one), caller(two));
    let _one = reports(&first, one, &[(name, "web".to_owned())], "its namespace is not there");
    let many: Vec<_> = many.into_iter().map(|one_of| (name, one_of)).collect();
    let _two = reports(&second, two, &many, "no permission to enter namespaces");

    let of = |regarding: &str| -> Vec<Value> {
        let all = cluster.get(&["events.events.k8s.io", "--all-namespaces"]);
        let all = all["items"].as_array().unwrap().iter();
        let ours = all.filter(|event| event["reason"] == "NotCaptured");
        ours.filter(|event| event["regarding"]["kind"] == regarding).cloned().collect()
    };
    let told = eventually("an event of the pod", || of("Pod").into_iter().next());
    let note = "node node-one cannot capture it: its namespace is not there";
    assert_eq!((&told["note"], &told["type"]), (&note.into(), &"Warning".into()));
    let described = shop.kubectl(&["describe", "pod", "web"]);
    assert!(described.contains("Warning  NotCaptured") && described.contains(note), "{described}");
    // Many of one node are one.
    let told = eventually("an event of the node", || of("Node").into_iter().next());
    let note = "12 of its pods cannot be captured: no permission to enter namespaces";
    assert_eq!((&told["regarding"]["name"], &told["note"]), (&two.into(), &note.into()));
    assert_eq!((of("Pod").len(), of("Node").len()), (1, 1));
    assert_eq!(forbidden(&cluster), [""; 0]);
}
