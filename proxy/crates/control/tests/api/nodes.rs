//! Nodes that prove who they are by the tokens of their own pods.
use crate::{
    replica::{Caller, Replica, mounted},
    shipped::{self, forbidden, pod, runs, token},
};
use culvert_cluster::{Cluster, eventually};
use culvert_model::identity::Identity;

fn id(namespace: &str, account: &str) -> Identity {
    Identity::try_new("cluster.local", namespace, account).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_known_by_the_token_of_its_pod_and_speaks_for_its_own_pods() {
    let cluster = Cluster::api("control-nodes");
    cluster.apply(&shipped::rules());
    let [one, two] = ["node-one", "node-two"];
    for node in [one, two] {
        cluster.apply(&pod("culvert-system", &format!("agent-{node}"), "culvert-node", node));
    }
    cluster.apply(&pod("culvert-system", "other", "culvert-control", one));
    let shop = cluster.namespace("shop");
    shop.label("culvert.dev/mesh=enabled");
    let name = shop.name();
    for (account, node, ip) in [("web", one, "10.1.0.1"), ("db", two, "10.1.0.2")] {
        shop.kubectl(&["create", "serviceaccount", account]);
        cluster.apply(&pod(name, account, account, node));
        runs(&cluster, name, account, ip);
    }
    let replica = Replica::start(cluster.kubeconfig_of("culvert-system", "culvert-control")).await;
    let good = token(&cluster, "culvert-node", "agent-node-one", "culvert");
    let mut node = replica.node(&cluster, one, &good);
    node.follows().await;
    // One that is being made has no address; its node may speak for it.
    shop.kubectl(&["create", "serviceaccount", "made"]);
    cluster.apply(&pod(name, "made", "made", one));
    node.identities.certificate(&id(name, "made")).await.unwrap();
    shop.kubectl(&["delete", "pod", "made", "--force", "--grace-period=0"]);
    let web = node.identities.certificate(&id(name, "web")).await.unwrap();
    assert_eq!(web.identity(), &id(name, "web"));
    let status = replica.until(|status| !status.nodes.is_empty()).await;
    assert_eq!((&*status.nodes[0].name, &status.nodes[0].identity), (one, &None));

    // Of another node's pod, it hears which pods are its own.
    let refused = node.uncertified(&id(name, "db")).await;
    let expected = format!(
        "no workload of spiffe://cluster.local/ns/{name}/sa/db is on node node-one, which has \
         {name}/web"
    );
    assert!(refused.contains(&expected), "{refused}");
    let refused = node.uncertified(&id("culvert-system", "culvert-node")).await;
    assert!(refused.contains("no workload of"), "{refused}");

    // Whoever has another token is nobody, or somebody else.
    let bound = ["--bound-object-kind=Pod", "--bound-object-name=agent-node-one"];
    let plain = ["--audience=culvert"];
    let of_api = [bound[0], bound[1]];
    let mut forged = good.clone();
    forged.truncate(good.len() - 8);
    forged.push_str("AAAAAAAA");
    for (token, why) in [
        (token(&cluster, "culvert-node", "agent-node-two", "culvert"), "is node node-two by its"),
        (token(&cluster, "culvert-node", "agent-node-one", "istio-ca"), "is meant for istio-ca,"),
        (cluster.token("culvert-system", "culvert-node", &of_api), "not for culvert"),
        (cluster.token("culvert-system", "culvert-node", &plain), "is bound to no pod"),
        (
            token(&cluster, "culvert-control", "other", "culvert"),
            "culvert-control's, not culvert-system/culvert-node's",
        ),
        (forged, "the API server refuses the token"),
        ("a.b.c".to_owned(), "neither a join token nor a service account's token"),
    ] {
        let mut caller = replica.node(&cluster, one, &token);
        let refused = caller.refusal().await;
        assert!(refused.contains(why), "{refused}");
        assert!(caller.identities.certificate(&id(name, "web")).await.is_err());
    }

    // A join token works beside them.
    let hour = std::time::Duration::from_secs(60 * 60);
    let joined = replica.control.join_token(two, hour).unwrap();
    let mut joined = replica.node(&cluster, two, &joined);
    joined.follows().await;
    joined.identities.certificate(&id(name, "db")).await.unwrap();

    // A pod that is gone proves nothing, and one that has left is nobody's to speak for.
    let gone = token(&cluster, "culvert-node", "agent-node-two", "culvert");
    cluster.kubectl(&[
        "-n",
        "culvert-system",
        "delete",
        "pod",
        "agent-node-two",
        "--force",
        "--grace-period=0",
    ]);
    let mut caller = replica.node(&cluster, two, &gone);
    let refused = caller.refusal().await;
    assert!(refused.contains("the API server refuses the token"), "{refused}");
    shop.kubectl(&["delete", "pod", "web", "--force", "--grace-period=0"]);
    let other = replica.node(&cluster, one, &good);
    let refused = eventually("the pod is gone", || {
        let refused = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(other.uncertified(&id(name, "web")))
        });
        refused.contains("which has no pod in the mesh").then_some(refused)
    });
    assert!(refused.contains("node-one"), "{refused}");
    assert_eq!(forbidden(&cluster), [""; 0]);
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
    cluster.kubectl(&[
        "-n",
        "culvert-system",
        "delete",
        "pod",
        "agent",
        "--force",
        "--grace-period=0",
    ]);
    node.waits_for("the token's pod culvert-system/agent is gone").await;
}
