//! Nodes that prove who they are by the tokens of their own pods.
use crate::{
    replica::{Caller, Replica, mounted},
    shipped::{self, forbidden, pod, runs, token},
};
use culvert_cluster::{Cluster, eventually};
use culvert_model::identity::Identity;
use std::time::Duration;
use tokio::{runtime::Handle, task};

const ONE: &str = "node-one";
const TWO: &str = "node-two";

/// Two nodes, each with its own pod, and one pod in the mesh on each.
struct Scene {
    cluster: Cluster,
    shop: String,
    replica: Replica,
}

fn id(namespace: &str, account: &str) -> Identity {
    Identity::try_new("cluster.local", namespace, account).unwrap()
}

impl Scene {
    async fn set(name: &str) -> Self {
        let cluster = Cluster::api(name);
        cluster.apply(&shipped::rules());
        for node in [ONE, TWO] {
            cluster.apply(&pod(shipped::NAMESPACE, &agent(node), "culvert-node", node));
        }
        let shop = "shop".to_owned();
        cluster.kubectl(&["create", "namespace", &shop]);
        cluster.kubectl(&["label", "namespace", &shop, "culvert.dev/mesh=enabled"]);
        for (account, node, ip) in [("web", ONE, "10.1.0.1"), ("db", TWO, "10.1.0.2")] {
            make(&cluster, &shop, account, node);
            runs(&cluster, &shop, account, ip);
        }
        let kubeconfig = cluster.kubeconfig_of(shipped::NAMESPACE, "culvert-control");
        let replica = Replica::start(kubeconfig).await;
        Self { cluster, shop, replica }
    }

    /// The token of a node's own pod.
    fn token(&self, node: &str) -> String {
        token(&self.cluster, "culvert-node", &agent(node), "culvert")
    }

    fn delete(&self, namespace: &str, pod: &str) {
        let words = ["-n", namespace, "delete", "pod", pod, "--force", "--grace-period=0"];
        self.cluster.kubectl(&words);
    }
}

fn agent(node: &str) -> String {
    format!("agent-{node}")
}

/// A pod with an account of its own.
fn make(cluster: &Cluster, namespace: &str, account: &str, node: &str) {
    cluster.kubectl(&["-n", namespace, "create", "serviceaccount", account]);
    cluster.apply(&pod(namespace, account, account, node));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_known_by_the_token_of_its_pod_and_speaks_for_its_own_pods() {
    let scene = Scene::set("control-nodes").await;
    let Scene { cluster, shop, replica } = &scene;
    let good = scene.token(ONE);
    let mut node = replica.node(cluster, ONE, &good);
    node.follows().await;
    let web = node.identities.certificate(&id(shop, "web")).await.unwrap();
    assert_eq!(web.identity(), &id(shop, "web"));
    let status = replica.until(|status| !status.nodes.is_empty()).await;
    assert_eq!((&*status.nodes[0].name, &status.nodes[0].identity), (ONE, &None));
    // One that is being made has no address; its node may speak for it.
    make(cluster, shop, "made", ONE);
    node.identities.certificate(&id(shop, "made")).await.unwrap();
    scene.delete(shop, "made");

    // Of another node's pod, it hears which pods are its own.
    let refused = eventually("the pod that was made is gone", || {
        let refused = now(node.uncertified(&id(shop, "db")));
        (!refused.contains("shop/made")).then_some(refused)
    });
    let expected = "no workload of spiffe://cluster.local/ns/shop/sa/db is on node node-one, which \
                    has shop/web";
    assert!(refused.contains(expected), "{refused}");
    let refused = node.uncertified(&id(shipped::NAMESPACE, "culvert-node")).await;
    assert!(refused.contains("no workload of"), "{refused}");

    // A join token works beside them.
    let joined = replica.control.join_token(TWO, Duration::from_secs(60 * 60)).unwrap();
    let mut joined = replica.node(cluster, TWO, &joined);
    joined.follows().await;
    joined.identities.certificate(&id(shop, "db")).await.unwrap();

    // A pod that has left is nobody's to speak for.
    scene.delete(shop, "web");
    let other = replica.node(cluster, ONE, &good);
    eventually("the pod is gone", || {
        let refused = now(other.uncertified(&id(shop, "web")));
        refused.contains("node-one, which has no pod in the mesh").then_some(())
    });
    assert_eq!(forbidden(cluster), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_another_token_is_nobody_or_somebody_else() {
    let scene = Scene::set("control-tokens").await;
    let Scene { cluster, shop, replica } = &scene;
    cluster.apply(&pod(shipped::NAMESPACE, "other", "culvert-control", ONE));
    let bound = format!("--bound-object-name={}", agent(ONE));
    let make = |options: &[&str]| cluster.token(shipped::NAMESPACE, "culvert-node", options);
    let good = scene.token(ONE);
    let forged = format!("{}.{}", good.rsplit_once('.').unwrap().0, "A".repeat(86));
    let gone = scene.token(TWO);
    let of_two = token(cluster, "culvert-node", &agent(TWO), "culvert");
    for (token, why) in [
        (of_two, "the caller is node node-two by its service account's token, not node-one"),
        (token(cluster, "culvert-node", &agent(ONE), "istio-ca"), "is meant for istio-ca,"),
        (make(&["--bound-object-kind=Pod", &bound]), "not for culvert"),
        (make(&["--audience=culvert"]), "is bound to no pod"),
        (
            token(cluster, "culvert-control", "other", "culvert"),
            "culvert-control's, not culvert-system/culvert-node's",
        ),
        (forged, "the API server refuses the token"),
        ("a.b.c".to_owned(), "neither a join token nor a service account's token"),
    ] {
        let mut caller = replica.node(cluster, ONE, &token);
        let refused = caller.refusal().await;
        assert!(refused.contains(why), "{refused}");
        assert!(caller.identities.certificate(&id(shop, "web")).await.is_err());
    }
    // A pod that is gone proves nothing; nobody asked about this token so far.
    scene.delete(shipped::NAMESPACE, &agent(TWO));
    let refused = replica.node(cluster, TWO, &gone).refusal().await;
    assert!(refused.contains("the API server refuses the token"), "{refused}");
}

/// What comes of it, in a test that waits elsewhere.
fn now<T>(future: impl Future<Output = T>) -> T {
    task::block_in_place(|| Handle::current().block_on(future))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_tokens_up_keeps_neither_the_api_server_nor_others_busy() {
    let cluster = Cluster::api("control-flood");
    cluster.apply(&shipped::rules());
    cluster.apply(&pod("culvert-system", "agent", "culvert-node", "node-one"));
    let replica = Replica::start(cluster.kubeconfig_of("culvert-system", "culvert-control")).await;
    let good = token(&cluster, "culvert-node", "agent", "culvert");
    replica.node(&cluster, "node-one", &good).follows().await;
    let (body, _) = good.rsplit_once('.').unwrap();
    let mut refusals = Vec::new();
    for number in 0..60 {
        let forged = format!("{body}.{number:086}");
        refusals.push(replica.node(&cluster, "node-one", &forged).refusal().await);
    }
    assert!(refusals[0].contains("the API server refuses the token"), "{}", refusals[0]);
    let last = refusals.last().unwrap();
    assert!(last.contains("too many bad tokens came from this address"), "{last}");
    // Whoever was known goes on, also from there.
    replica.node(&cluster, "node-one", &good).follows().await;
    let user = "system:serviceaccount:culvert-system:culvert-control";
    let asked = cluster.requests_by(user).into_iter().filter(|line| {
        line["requestURI"].as_str().is_some_and(|uri| uri.ends_with("/tokenreviews"))
    });
    let asked = asked.count();
    assert!((20..40).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_waits_for_its_roots_and_its_token_and_is_cut_off_when_its_pod_is_gone() {
    let cluster = Cluster::api("control-wait");
    cluster.apply(&shipped::rules());
    cluster.apply(&pod("culvert-system", "agent", "culvert-node", "node-one"));
    let replica = Replica::start(cluster.kubeconfig_of("culvert-system", "culvert-control")).await;
    // Neither is there when it starts, as when it is mounted later.
    let mut node = Caller::empty(replica.at, "node-one");
    let waits = node.refusal().await;
    assert!(waits.contains("cannot read") && waits.contains("root.pem"), "{waits}");
    node.replace_roots(&mounted(&cluster));
    node.waits_for("cannot read the token").await;
    node.replace_token(&token(&cluster, "culvert-node", "agent", "culvert"));
    node.follows().await;
    // Once the pod is heard of, that it is gone is, too.
    runs(&cluster, "culvert-system", "agent", "10.2.0.1");
    replica.until(|status| status.counts.workloads == 1).await;
    let gone = ["delete", "pod", "agent", "--force", "--grace-period=0"];
    cluster.kubectl(&[&["-n", "culvert-system"], &gone[..]].concat());
    node.waits_for("the token's pod culvert-system/agent is gone").await;
}
