//! What is made for gateways, and what their status says.
use crate::{
    replica::Replica,
    shipped::{self, NAMESPACE, USER, forbidden},
};
use culvert_cluster::{Cluster, Crds, Namespace, eventually};
use serde_json::{Value, json};

const GATEWAY: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: culvert
  infrastructure: {labels: {team: front}, annotations: {example.org/note: kept}}
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: more, port: 8080, protocol: HTTP, hostname: a.example}
";

const ROUTE: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge}, {name: elsewhere}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
";

const SERVICE: &str =
    "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}";

/// The status, condition or reason of an object, once it is so.
fn reason(object: &Value, condition: &str) -> String {
    let all = object["conditions"].as_array().into_iter().flatten();
    let mut found = all.filter(|one| one["type"] == condition);
    found.next().map_or(String::new(), |one| one["reason"].as_str().unwrap_or_default().to_owned())
}

fn until(
    shop: &Namespace<'_>,
    what: &str,
    words: &[&str],
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(what, || {
            last = shop.get(words);
            is_so(&last).then(|| last.clone())
        })
    }));
    found.unwrap_or_else(|_| panic!("{what}: {last:#}"))
}

/// What was written of made objects: the verb, and of what.
fn writes(cluster: &Cluster) -> Vec<String> {
    let lines = cluster.requests_by(USER).into_iter();
    let written = lines.filter(|line| {
        let of = line["objectRef"]["resource"].as_str().unwrap_or_default();
        ["patch", "create"].contains(&line["verb"].as_str().unwrap_or_default())
            && ["deployments", "services", "serviceaccounts", "configmaps"].contains(&of)
            && line["objectRef"]["namespace"] != NAMESPACE
    });
    let told = written.map(|line| {
        let of = &line["objectRef"];
        format!("{} {}", of["resource"].as_str().unwrap(), of["name"].as_str().unwrap())
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::too_many_lines, reason = "one story, on one cluster")]
async fn a_gateway_has_what_it_needs_and_says_where_it_is() {
    let cluster = Cluster::api("control-gateways");
    cluster.apply(&shipped::rules());
    let kubeconfig = || cluster.kubeconfig_of(NAMESPACE, "culvert-control");
    let first = Replica::start_with_gateways(kubeconfig(), "first").await;
    first.writes().await;
    // Kinds that appear later; with them comes the class.
    cluster.install(Crds::Gateway);
    eventually("the class", || {
        let class = cluster.get(&["gatewayclass", "culvert"]);
        (reason(&class["status"], "Accepted") == "Accepted").then_some(())
    });
    let shop = cluster.namespace("shop");
    shop.apply(SERVICE);
    shop.apply(GATEWAY);
    shop.apply(ROUTE);

    // Everything that it needs is there, and goes with it.
    let deployment =
        until(&shop, "a Deployment", &["deployment", "edge-culvert"], |one| !one.is_null());
    let gateway = shop.get(&["gateway", "edge"]);
    assert_eq!(deployment["metadata"]["ownerReferences"][0]["uid"], gateway["metadata"]["uid"]);
    let labels = &deployment["metadata"]["labels"];
    assert_eq!(labels["gateway.networking.k8s.io/gateway-name"], "edge");
    assert_eq!(
        (&labels["team"], &labels["gateway.networking.k8s.io/gateway-class-name"]),
        (&json!("front"), &json!("culvert"))
    );
    assert_eq!(deployment["metadata"]["annotations"]["example.org/note"], "kept");
    let pod = &deployment["spec"]["template"];
    assert_eq!(pod["spec"]["serviceAccountName"], "edge");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["gateway", format!("{}/edge", shop.name())]));
    let ports = container["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["containerPort"].as_u64().unwrap());
    let ports: Vec<_> = ports.collect();
    assert!([80, 8080].iter().all(|port| ports.contains(port)), "{ports:?}");
    let service = until(&shop, "a Service", &["service", "edge-culvert"], |one| !one.is_null());
    assert_eq!(service["spec"]["type"], "LoadBalancer");
    assert_eq!(service["spec"]["ports"].as_array().unwrap().len(), 2);
    let roots = until(&shop, "the roots", &["configmap", "edge-culvert"], |one| !one.is_null());
    assert!(roots["data"]["root.pem"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    until(&shop, "an account", &["serviceaccount", "edge"], |one| !one.is_null());

    // It is accepted, and programmed once it is reached.
    let pending = until(&shop, "no address", &["gateway", "edge"], |gateway| {
        reason(&gateway["status"], "Programmed") == "AddressNotAssigned"
    });
    assert_eq!(reason(&pending["status"], "Accepted"), "Accepted");
    assert_eq!(pending["status"]["listeners"][0]["attachedRoutes"], 1);
    assert_eq!(reason(&pending["status"]["listeners"][1], "ResolvedRefs"), "ResolvedRefs");
    let given = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}"#;
    shop.kubectl(&[
        "patch",
        "service",
        "edge-culvert",
        "--subresource=status",
        "--type=merge",
        "-p",
        given,
    ]);
    until(&shop, "no pod", &["gateway", "edge"], |gateway| {
        reason(&gateway["status"], "Programmed") == "Pending"
            && gateway["status"]["addresses"][0]["value"] == "192.0.2.1"
    });
    let labelled = ["pods", "-l", "gateway.networking.k8s.io/gateway-name=edge"];
    let pods = until(&shop, "a pod", &labelled, |pods| !pods["items"][0].is_null());
    shipped::runs_ready(&shop, pods["items"][0]["metadata"]["name"].as_str().unwrap());
    until(&shop, "programmed", &["gateway", "edge"], |gateway| {
        reason(&gateway["status"], "Programmed") == "Programmed"
    });
    let route = until(&shop, "the route", &["httproute", "web"], |route| {
        reason(&route["status"]["parents"][0], "Accepted") == "Accepted"
    });
    let parents = route["status"]["parents"].as_array().unwrap();
    assert_eq!(parents.len(), 1, "only what is ours: {parents:?}");
    assert_eq!(parents[0]["parentRef"]["name"], "edge");
    assert_eq!(parents[0]["controllerName"], "culvert.dev/gateway");

    // Another replica changes nothing that is so.
    let before = writes(&cluster);
    let second = Replica::start_with_gateways(kubeconfig(), "second").await;
    first.end().await;
    second.writes().await;
    shop.kubectl(&["annotate", "gateway", "edge", "networking.istio.io/service-type=ClusterIP"]);
    until(&shop, "another type", &["service", "edge-culvert"], |service| {
        service["spec"]["type"] == "ClusterIP"
    });
    let host = format!("edge-culvert.{}.svc.cluster.local", shop.name());
    until(&shop, "a name", &["gateway", "edge"], |gateway| {
        gateway["status"]["addresses"][0]["value"] == *host
    });
    let after = writes(&cluster);
    assert_eq!(
        after.strip_prefix(&*before),
        Some(&["services edge-culvert".to_owned()][..]),
        "{after:?}"
    );

    // What somebody edits or removes is put back.
    let edit = r#"{"spec":{"template":{"spec":{"serviceAccountName":"other"}}}}"#;
    shop.kubectl(&["patch", "deployment", "edge-culvert", "--type=merge", "-p", edit]);
    until(&shop, "its account", &["deployment", "edge-culvert"], |deployment| {
        deployment["spec"]["template"]["spec"]["serviceAccountName"] == "edge"
    });
    shop.kubectl(&["delete", "deployment", "edge-culvert"]);
    until(&shop, "another one", &["deployment", "edge-culvert"], |one| !one.is_null());

    // What is somebody else's is not touched.
    shop.kubectl(&["create", "serviceaccount", "taken"]);
    shop.apply(&GATEWAY.replace("name: edge", "name: taken"));
    let taken = until(&shop, "a refusal", &["gateway", "taken"], |gateway| {
        reason(&gateway["status"], "Programmed") == "Invalid"
    });
    assert!(taken["status"]["conditions"].to_string().contains("somebody else's"), "{taken}");
    assert!(shop.get(&["serviceaccount", "taken"])["metadata"]["ownerReferences"].is_null());
    assert!(shop.get(&["deployment", "taken-culvert"]).is_null());

    // One that says its Service is served, and nothing is made.
    let manual = GATEWAY.replace("name: edge", "name: manual").replace(
        "gatewayClassName: culvert",
        "gatewayClassName: culvert\n  addresses: [{type: Hostname, value: web}]",
    );
    shop.apply(&manual);
    until(&shop, "an address", &["gateway", "manual"], |gateway| {
        let host = format!("web.{}.svc.cluster.local", shop.name());
        gateway["status"]["addresses"][0]["value"] == *host
            && reason(&gateway["status"], "Programmed") == "Programmed"
    });
    assert!(shop.get(&["deployment", "manual-culvert"]).is_null());

    // With the gateway goes what was made for it, and what was said of it.
    shop.kubectl(&["delete", "gateway", "edge"]);
    until(&shop, "nothing", &["deployment", "edge-culvert"], Value::is_null);
    until(&shop, "nothing", &["service", "edge-culvert"], Value::is_null);
    until(&shop, "no parents", &["httproute", "web"], |route| {
        route["status"]["parents"].as_array().is_none_or(Vec::is_empty)
    });
    assert_eq!(forbidden(&cluster), [""; 0]);
}
