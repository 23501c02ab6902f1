//! A gateway is who shows a token of the service account that is called as it is.
use crate::{
    replica::{Caller, PATIENCE, Replica, mounted},
    shipped::{self, NAMESPACE, forbidden, runs},
};
use culvert_cluster::{Cluster, Crds};
use culvert_model::identity::Identity;
use tokio::time;

const GATEWAY: &str = "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge}, \
    spec: {gatewayClassName: culvert, addresses: [{type: Hostname, value: edge}], \
    listeners: [{name: http, port: 80, protocol: HTTP}]}}";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_account_of_a_gateway_is_it_and_nobody_else() {
    let cluster = Cluster::api("control-gateway-account");
    cluster.install(Crds::Gateway);
    cluster.apply(&shipped::rules());
    let shop = cluster.namespace("shop");
    let name = shop.name();
    let kubeconfig = cluster.kubeconfig_of(NAMESPACE, "culvert-control");
    let replica = Replica::start_with_gateways(kubeconfig, "only").await;
    let token = |account: &str| {
        shop.kubectl(&["create", "serviceaccount", account]);
        cluster.apply(&shipped::pod(name, account, account, "node-one"));
        runs(&cluster, name, account, "10.1.0.1");
        let pod = format!("--bound-object-name={account}");
        let words = ["--audience=culvert", "--bound-object-kind=Pod", &pod];
        cluster.token(name, account, &words)
    };
    let (edge, web) = (token("edge"), token("web"));
    let id = |account| Identity::try_new("cluster.local", name, account).unwrap();
    let called = |account: &str| format!("{name}/{account}");

    // There is no such gateway yet.
    let mut early = Caller::start(replica.at, &called("edge"), &edge, &mounted(&cluster));
    assert!(early.refusal().await.contains("culvert-node"), "{}", early.refusal().await);
    shop.apply(GATEWAY);
    time::timeout(PATIENCE, early.follows()).await.unwrap();
    early.identities.certificate(&id("edge")).await.unwrap();
    let why = early.uncertified(&id("web")).await;
    assert!(why.contains("is spiffe://"), "{why}");

    // Of an account that no gateway has, and of another gateway.
    let mut other = Caller::start(replica.at, &called("web"), &web, &mounted(&cluster));
    assert!(other.refusal().await.contains("culvert-node"));
    let mut posing = Caller::start(replica.at, &called("other"), &edge, &mounted(&cluster));
    let why = posing.refusal().await;
    assert!(why.contains("the caller is gateway"), "{why}");
    assert_eq!(forbidden(&cluster), [""; 0]);
}
