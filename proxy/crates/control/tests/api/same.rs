//! Files and the API mean the same.
use crate::{
    plane::{Plane, Told},
    shop::{self, run_pod},
};
use culvert_cluster::{Cluster, Crds};
use serde_json::{Value, json};
use std::fs;

/// All kinds that are read and are in namespaces.
const KINDS: &str = "services,endpointslices,pods,peerauthentications,authorizationpolicies,\
    serviceentries,workloadentries,virtualservices,destinationrules";

/// What is told of a namespace.
fn of(told: &Told, namespace: &str) -> Told {
    let Told { members, services, policies } = told.clone();
    let within = |name: &str| name.starts_with(&format!("{namespace}/"));
    Told {
        members: members.into_iter().filter(|(_, one)| *one.name.namespace == *namespace).collect(),
        services: services.into_iter().filter(|(name, _)| within(name)).collect(),
        policies: policies.into_iter().filter(|(name, _)| within(name)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_tells_what_the_same_objects_in_a_file_tell() {
    let cluster = Cluster::shared();
    cluster.install(Crds::Istio);
    let shop = cluster.namespace("shop");
    shop.label("culvert.dev/mesh=enabled");
    shop.apply(shop::ALL);
    run_pod(&shop, "web", "10.1.0.1");
    run_pod(&shop, "client", "10.1.0.2");
    let mut plane = Plane::of_cluster(cluster.kubeconfig()).await;
    let name = shop.name();
    let told = plane
        .tells(|told| told.members_of(name).len() == 5 && told.policies_of(name).len() == 2)
        .await;
    let dumped: Value = shop.get(&[KINDS]);
    let own: Value = cluster.get(&["namespace", name]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [dumped, own]});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.json");
    fs::write(&file, list.to_string()).unwrap();
    let mut same = Plane::of_file(&file).await;
    let from_file = same.tells(|told| told.members_of(name).len() == 5).await;
    assert_eq!(of(&told, name), of(&from_file, name));

    // Whatever changes is told: labels, pods, services, policies, in this order.
    cluster.kubectl(&["label", "namespace", name, "culvert.dev/mesh-"]);
    shop.kubectl(&["delete", "authorizationpolicy", "nobody"]);
    plane.tells(|told| told.policies_of(name) == ["web"]).await;
    shop.kubectl(&["delete", "pod", "client", "--force", "--grace-period=0"]);
    plane.tells(|told| !told.members_of(name).contains_key("client")).await;
    let rule = r#"{"spec":{"rules":[{"from":[{"source":{"namespaces":["a"]}}]}]}}"#;
    let before = plane.told.borrow().policies[&format!("{name}/web")].clone();
    shop.kubectl(&["patch", "authorizationpolicy", "web", "--type=merge", "-p", rule]);
    plane.tells(|told| told.policies[&format!("{name}/web")] != before).await;
    shop.kubectl(&["delete", "service", "outside"]);
    plane.tells(|told| !told.services.keys().any(|host| host.contains("outside."))).await;
}

/// The schema of the API lets through what no policy can mean: it closes, and holds up nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_not_understood_closes_and_holds_up_nobody() {
    let cluster = Cluster::shared();
    cluster.install(Crds::Istio);
    let shop = cluster.namespace("odd");
    let name = shop.name();
    let mut plane = Plane::of_cluster(cluster.kubeconfig()).await;
    let policy = |ports: &str| {
        format!(
            "{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {{name: odd}}, \
         spec: {{action: ALLOW, rules: [{{to: [{{operation: {{ports: [\"{ports}\"]}}}}]}}]}}}}"
        )
    };
    shop.apply(&policy("no-port"));
    let told = plane.tells(|told| told.policies_of(name) == ["odd"]).await;
    let closed = &told.policies[&format!("{name}/odd")];
    assert_eq!((format!("{:?}", closed.action), closed.rules.len()), ("Deny".to_owned(), 1));
    let object = format!("AuthorizationPolicy/{name}/odd");
    let status = plane.until(|status| status.invalid.iter().any(|one| one.object == object)).await;
    let invalid = status.invalid.iter().find(|one| one.object == object).unwrap();
    let place = format!("AuthorizationPolicy {name}/odd in the Kubernetes API, spec.rules[0]");
    assert!(invalid.problems[0].to_string().starts_with(&place), "{}", invalid.problems[0]);
    run_pod(&shop, "web", "10.2.0.1");
    plane.tells(|told| told.members_of(name).contains_key("web")).await;
    shop.apply(&policy("8080"));
    plane.tells(|told| told.policies[&format!("{name}/odd")] != *closed).await;
    plane.until(|status| status.invalid.iter().all(|one| one.object != object)).await;
}
