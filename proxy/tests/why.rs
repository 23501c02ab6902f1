//! `culvert why` about requests, from manifests: the rules by name, file and line.
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

const SHOP: &str = "\
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: reviews}
  ports: [{name: http, port: 9080, targetPort: 8080}]
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {nodeName: a, serviceAccountName: web}, status: {podIP: 10.1.0.3, phase: Running}}
---
{apiVersion: v1, kind: Pod, metadata: {name: v1, namespace: shop, labels: {app: reviews, version: v1}}, spec: {nodeName: a}, status: {podIP: 10.1.0.1, phase: Running}}
---
{apiVersion: v1, kind: Pod, metadata: {name: v2, namespace: shop, labels: {app: reviews, version: v2}}, spec: {nodeName: b}, status: {podIP: 10.2.0.1, phase: Running}}
";

const ROUTES: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {x-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
    timeout: 10s
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new}
  - match: [{uri: {prefix: /broken}}]
    fault: {abort: {httpStatus: 500, percentage: {value: 100}}}
    route: [{destination: {host: reviews, subset: v1}}]
  - rewrite: {uri: /all}
    route:
    - {destination: {host: reviews, subset: v1}, weight: 90}
    - {destination: {host: reviews, subset: v2}, weight: 10}
";

const POLICY: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec:
  selector: {matchLabels: {version: v2}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]
    to: [{operation: {methods: [GET]}}]
";

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in [("shop.yaml", SHOP), ("routes.yaml", ROUTES), ("policy.yaml", POLICY)] {
        fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

/// The exit code, and the only way.
fn why(folder: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_culvert"))
        .args(["why", "shop/web", "reviews.shop:9080", "-o", "json"])
        .args(more)
        .arg("-f")
        .arg(folder)
        .env_remove("CULVERT_CONFIG")
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let document: Value = serde_json::from_slice(&output.stdout).expect(&said);
    (output.status.code(), document["ways"][0].clone())
}

/// The line of a file that holds a text.
fn line(of: &str, file: &str, text: &str) -> String {
    let at = of.lines().position(|line| line.contains(text)).expect(text);
    format!("{file}:{}", at + 1)
}

#[track_caller]
fn ends(said: &Value, wanted: &str) {
    let origin = said.as_str().unwrap_or_default();
    assert!(origin.ends_with(wanted), "{origin} is not {wanted}");
}

#[test]
fn the_rule_that_a_request_takes_is_named_with_cluster_and_endpoints() {
    let dir = folder();
    let (code, way) = why(dir.path(), &["--path", "/x", "--header", "x-user: jason"]);
    assert_eq!(code, Some(0), "{way}");
    let client = &way["client"];
    assert_eq!(client["namespace"], "shop");
    assert_eq!(client["route"]["object"], "VirtualService/shop/reviews");
    assert_eq!(client["route"]["index"], 0);
    ends(&client["route"]["origin"], &line(ROUTES, "routes.yaml", "x-user"));
    let sent = &client["sent"];
    assert_eq!((&sent["timeout"], &sent["retries"]["most"]), (&json!(10.0), &json!(3)));
    assert_eq!((&sent["retries"]["each"], &sent["retries"]["on"]), (&json!(2.0), &json!("5xx")));
    let cluster = &sent["clusters"][0];
    assert_eq!(cluster["name"], "outbound|9080|v2|reviews.shop.svc.cluster.local");
    assert_eq!(cluster["object"], "DestinationRule/shop/reviews");
    assert_eq!(cluster["endpoints"][0]["address"], "10.2.0.1:8080");
    assert_eq!(cluster["endpoints"][0]["eligible"], true);
    // Then the policies of that endpoint.
    let server = &way["arrivals"][0]["server"];
    assert_eq!((&server["node"], &server["answer"]), (&json!("b"), &json!("permitted")));
    let rule = &server["filters"][0]["rule"];
    assert_eq!((&rule["policy"], &rule["index"]), (&json!("shop/readers"), &json!(0)));
    assert!(rule["origin"].as_str().unwrap().contains("policy.yaml:"), "{rule}");
}

#[test]
fn a_policy_that_denies_is_named_at_its_server() {
    let dir = folder();
    let asked = ["--method", "DELETE", "--header", "x-user:jason"];
    let (code, way) = why(dir.path(), &asked);
    assert_eq!((code, &way["answer"]), (Some(1), &json!("denied")), "{way}");
    let server = &way["arrivals"][0]["server"];
    assert_eq!(server["status"], 403);
    let filter = &server["filters"][0];
    assert_eq!((&filter["action"], &filter["rule"]), (&json!("ALLOW"), &Value::Null));
    assert_eq!(filter["passed_over"][0]["policy"], "shop/readers");
}

#[test]
fn weights_rewrites_redirects_and_faults_are_told() {
    let dir = folder();
    let (code, way) = why(dir.path(), &["--path", "/x"]);
    assert_eq!(code, Some(0), "{way}");
    let client = &way["client"];
    let passed: Vec<_> = client["passed_over"].as_array().unwrap().iter().collect();
    assert_eq!(passed.len(), 3, "{client}");
    assert_eq!(passed[0]["because"], "header x-user is not as it must be");
    let clusters = client["sent"]["clusters"].as_array().unwrap();
    let shares: Vec<_> = clusters.iter().map(|one| one["percent"].as_f64().unwrap()).collect();
    assert_eq!(shares, [90.0, 10.0]);
    assert_eq!(clusters[0]["path"], "/all/x");
    assert_eq!(way["arrivals"].as_array().unwrap().len(), 2);

    let (code, way) = why(dir.path(), &["--path", "/old/x"]);
    assert_eq!((code, &way["client"]["status"]), (Some(0), &json!(301)), "{way}");
    assert_eq!(way["client"]["location"], "http://reviews.shop:9080/new");

    let (code, way) = why(dir.path(), &["--path", "/broken"]);
    assert_eq!((code, &way["client"]["status"]), (Some(1), &json!(500)), "{way}");
    let says = way["client"]["filters"][0]["says"].as_str().unwrap();
    assert_eq!(says, "fault: answers all requests with 500");
}

#[test]
fn words_that_are_no_request_are_2() {
    let dir = folder();
    let output = Command::new(env!("CARGO_BIN_EXE_culvert"))
        .args(["why", "shop/web", "reviews.shop:9080", "--header", "x", "-f"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("\"x\" is not a header: write NAME:VALUE"), "{said}");
}
