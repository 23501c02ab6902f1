//! The authority that replicas share, and the roots that nodes mount.
use crate::{
    replica::{PATIENCE, Replica, mounted, until_mounted},
    shipped::{self, forbidden, pod, token},
};
use culvert_cluster::{Cluster, eventually};
use culvert_control::control::Ca;
use culvert_identity::{
    ca::{Authority, bundle, files::Given},
    clock::{Clock as _, SystemClock},
};
use culvert_kubernetes::{
    client::{Client, Reach},
    named::{Contents, Named, What},
};
use culvert_model::identity::Identity;
use serde_json::Value;
use std::{fs, path::PathBuf, time::Duration};
use tokio::time;

const NAMESPACE: &str = shipped::NAMESPACE;

/// Whoever may replace the Secret.
struct Admin(Named);

impl Admin {
    async fn of(cluster: &Cluster) -> Self {
        let reach = Reach::Kubeconfig { file: Some(cluster.kubeconfig()), context: None };
        let client = Client::new(&reach).await.unwrap();
        Self(Named::new(&client, What::Secret, NAMESPACE, "culvert-ca"))
    }

    async fn write(&self, contents: &Contents) {
        self.0.apply(contents).await.unwrap();
    }
}

fn start(cluster: &Cluster) -> PathBuf {
    cluster.apply(&shipped::rules());
    cluster.kubeconfig_of(NAMESPACE, "culvert-control")
}

fn secret(cluster: &Cluster) -> Value {
    cluster.get(&["-n", NAMESPACE, "secret", "culvert-ca"])
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

fn map(cluster: &Cluster) -> Value {
    cluster.get(&["-n", NAMESPACE, "configmap", "culvert-root"])
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_one_authority_and_one_root_replaces_another_under_them() {
    let cluster = Cluster::api("control-authority");
    let kubeconfig = start(&cluster);
    // Both come first.
    let (one, two) =
        tokio::join!(Replica::start(kubeconfig.clone()), Replica::start(kubeconfig.clone()));
    assert_eq!(one.roots(), two.roots());
    let old = one.roots();
    until_mounted(&cluster, &old);
    let three = Replica::start(kubeconfig.clone()).await;
    assert_eq!(three.roots(), old);
    // A join token of one is good at another.
    let joined = three.control.join_token("elsewhere", Duration::from_secs(60)).unwrap();
    drop(three);
    two.node(&cluster, "elsewhere", &joined).follows().await;

    // A node with certificates of the first root goes along with all steps.
    cluster.apply(&pod(NAMESPACE, "agent", "culvert-node", "node-one"));
    let shop = cluster.namespace("shop");
    shop.label("culvert.dev/mesh=enabled");
    let name = shop.name();
    for (account, ip) in [("a", "10.1.0.1"), ("b", "10.1.0.2"), ("c", "10.1.0.3")] {
        shop.kubectl(&["create", "serviceaccount", account]);
        cluster.apply(&pod(name, account, account, "node-one"));
        shipped::runs(&cluster, name, account, ip);
    }
    let id = |account| Identity::try_new("cluster.local", name, account).unwrap();
    let shown = token(&cluster, "culvert-node", "agent", "culvert");
    let mut node = one.node(&cluster, "node-one", &shown);
    node.follows().await;
    node.identities.certificate(&id("a")).await.unwrap();

    let admin = Admin::of(&cluster).await;
    let new = Authority::new_root("cluster.local", SystemClock.now()).unwrap();
    let both = [&*old, new.roots()].concat();
    // Both are believed, the old one signs; then the new one signs; then it alone is believed.
    let before = one.control.authority().pin().value.believing(&both).unwrap();
    admin.write(&bundle::write(&before)).await;
    for replica in [&one, &two] {
        replica.until(|status| status.authority.roots == 2).await;
    }
    until_mounted(&cluster, &both);
    let own = [&one, &two].map(|replica| replica.control.mesh_status().authority.own_serial);
    let signs = bundle::write(&new.believing(&both).unwrap());
    admin.write(&signs).await;
    for (replica, own) in [&one, &two].into_iter().zip(&own) {
        replica.until(|status| status.authority.own_serial != *own).await;
    }
    node.identities.certificate(&id("b")).await.unwrap();
    assert_eq!(node.trust.view().pin().value.roots(), both);
    let mut late = two.node(&cluster, "node-one", &shown);
    late.follows().await;
    admin.write(&bundle::write(&new)).await;
    for replica in [&one, &two] {
        replica.until(|status| status.authority.roots == 1).await;
    }
    node.identities.certificate(&id("c")).await.unwrap();
    assert_eq!(node.trust.view().pin().value.roots(), new.roots());
    until_mounted(&cluster, new.roots());
    assert!(node.follower.status().connected);
    assert_eq!(one.roots(), new.roots());
    assert_eq!(forbidden(&cluster), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_changes_nothing_and_what_is_gone_is_put_back() {
    let cluster = Cluster::api("control-kept");
    let kubeconfig = start(&cluster);
    let (one, two) =
        tokio::join!(Replica::start(kubeconfig.clone()), Replica::start(kubeconfig.clone()));
    let roots = one.roots();
    until_mounted(&cluster, &roots);
    let before = secret(&cluster);

    // Not the key of this certificate.
    let admin = Admin::of(&cluster).await;
    let other = Authority::new_root("cluster.local", SystemClock.now()).unwrap();
    let key = bundle::write(&other).remove(bundle::KEY).unwrap();
    admin.write(&Contents::from([(bundle::KEY.to_owned(), key)])).await;
    let status = one.until(|status| !status.authority.troubles.is_empty()).await;
    let [trouble] = &*status.authority.troubles else { panic!("{status:#?}") };
    let expected = "the Secret culvert-system/culvert-ca: its private key is not the one of its \
                    certificate; the authority before it stays";
    assert_eq!(trouble, expected);
    two.until(|status| !status.authority.troubles.is_empty()).await;
    assert_eq!(one.roots(), roots);
    // Whoever starts now waits for better.
    let late = Replica::start(kubeconfig);
    let mut late = std::pin::pin!(late);
    assert!(time::timeout(Duration::from_secs(3), late.as_mut()).await.is_err());
    // Gone: the same authority is there again, by whoever was faster.
    cluster.kubectl(&["-n", NAMESPACE, "delete", "secret", "culvert-ca"]);
    let back = eventually("the Secret is back", || {
        Some(secret(&cluster)).filter(|now| now["data"] == before["data"])
    });
    assert_ne!(version(&back), version(&before));
    for replica in [&one, &two] {
        replica.until(|status| status.authority.troubles.is_empty()).await;
        assert_eq!(replica.roots(), roots);
    }
    assert_eq!(late.await.roots(), roots);

    // The roots for nodes: what others do to them is undone, and nothing else is written.
    for change in [
        &["delete", "configmap", "culvert-root"][..],
        &["patch", "configmap", "culvert-root", "-p", r#"{"data":{"root.pem":"mine"}}"#],
        &["patch", "configmap", "culvert-root", "-p", r#"{"data":{"root.pem":null}}"#],
    ] {
        cluster.kubectl(&[&["-n", NAMESPACE], change].concat());
        until_mounted(&cluster, &roots);
    }
    let other = r#"{"data":{"note":"of somebody else"}}"#;
    cluster.kubectl(&["-n", NAMESPACE, "patch", "configmap", "culvert-root", "-p", other]);
    let quiet = version(&map(&cluster));
    time::sleep(Duration::from_secs(3)).await;
    assert_eq!(version(&map(&cluster)), quiet, "nobody writes what is right");
    assert_eq!(map(&cluster)["data"]["note"], "of somebody else");
    assert_eq!(forbidden(&cluster), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_away_those_who_are_in_stay_and_others_hear_why_not() {
    let cluster = Cluster::api("control-away");
    let kubeconfig = start(&cluster);
    cluster.apply(&pod(NAMESPACE, "agent", "culvert-node", "node-one"));
    let replica = Replica::start(kubeconfig).await;
    let [first, second] = [(); 2].map(|()| token(&cluster, "culvert-node", "agent", "culvert"));
    let mut node = replica.node(&cluster, "node-one", &first);
    node.follows().await;
    let roots = mounted(&cluster);
    cluster.stop_part("kube-apiserver");
    let mut late = crate::replica::Caller::start(replica.at, "node-one", &second, &roots);
    let refused = late.refusal().await;
    assert!(refused.contains("whose token it is cannot be asked"), "{refused}");
    assert!(refused.contains("currently unavailable"), "{refused}");
    let away = replica.until(|status| !status.authority.troubles.is_empty()).await;
    assert!(away.authority.troubles[0].contains("cannot be reached"), "{away:#?}");
    assert!(node.follower.status().connected);
    cluster.start_part("kube-apiserver");
    late.follows().await;
    time::timeout(PATIENCE, replica.until(|status| status.authority.troubles.is_empty()))
        .await
        .unwrap();
    assert!(node.follower.status().connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_somebody_mounts_is_what_nodes_are_told_and_no_other_is_made() {
    let cluster = Cluster::api("control-given");
    let kubeconfig = start(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let write = |authority: &Authority| {
        for (name, text) in bundle::write(authority) {
            fs::write(folder.path().join(name), text).unwrap();
        }
    };
    let [one, two] =
        [(); 2].map(|()| Authority::new_root("cluster.local", SystemClock.now()).unwrap());
    write(&one);
    let given = Ca::Given(Given::in_folder(folder.path()));
    let replica = Replica::start_with(kubeconfig, |_| given).await;
    until_mounted(&cluster, one.roots());
    write(&two);
    until_mounted(&cluster, two.roots());
    assert_eq!(replica.roots(), two.roots());
    assert_eq!(secret(&cluster), Value::Null);
}
